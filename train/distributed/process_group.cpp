#include "train/distributed/process_group.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>

#include "core/error.h"
#include "models/torch.h"

namespace epvs::train {

namespace {

torch::Tensor bytes_of(const std::string& text, std::size_t size) {
  torch::Tensor bytes = torch::zeros({static_cast<std::int64_t>(size)}, torch::kUInt8);
  std::memcpy(bytes.data_ptr(), text.data(), text.size());
  return bytes;
}

std::string text_of(const torch::Tensor& bytes, std::size_t size) {
  return {static_cast<const char*>(bytes.data_ptr()), size};
}

torch::Tensor number(double value) {
  return torch::full({1}, value, torch::kDouble);
}

/// Gradients that are summed in one go, as one flat tensor.
struct Bucket {
  std::vector<torch::Tensor> gradients;
  std::size_t bytes = 0;
};

std::vector<Bucket> make_buckets(const std::vector<NamedParameter>& parameters,
                                 std::size_t bucket_bytes) {
  std::vector<Bucket> buckets;
  for (const NamedParameter& parameter : parameters) {
    torch::Tensor& gradient = parameter.value.mutable_grad();
    if (!gradient.defined()) gradient = torch::zeros_like(parameter.value);
    const bool fits = !buckets.empty() && buckets.back().bytes < bucket_bytes &&
                      buckets.back().gradients.front().options().type_equal(gradient.options());
    if (!fits) buckets.emplace_back();
    buckets.back().gradients.push_back(gradient);
    buckets.back().bytes += gradient.nbytes();
  }
  return buckets;
}

}  // namespace

ProcessGroup ProcessGroup::join(const Launch& launch, std::chrono::milliseconds patience) {
  ProcessGroup group;
  if (launch.size == 1) return group;
  group.collectives_ = connect(launch, patience);
  group.rank_ = launch.rank;
  group.size_ = launch.size;
  return group;
}

int ProcessGroup::local_rank() const {
  return !collectives_ ? 0 : collectives_->members()[static_cast<std::size_t>(rank_)].local_rank;
}

int ProcessGroup::local_size() const {
  return !collectives_ ? 1 : collectives_->members()[static_cast<std::size_t>(rank_)].local_size;
}

std::string ProcessGroup::name(int rank) const {
  return !collectives_ ? std::string()
                       : collectives_->members().at(static_cast<std::size_t>(rank)).name;
}

ProcessGroup::Share ProcessGroup::share(std::size_t n, int rank) const {
  const auto processes = static_cast<std::size_t>(size_);
  const auto index = static_cast<std::size_t>(rank);
  const std::size_t base = n / processes;
  const std::size_t more = n % processes;
  const std::size_t begin = index * base + std::min(index, more);
  return {begin, begin + base + (index < more ? 1 : 0)};
}

void ProcessGroup::use_device(const torch::Device& device) {
  if (collectives_) collectives_->use_device(device);
}

void ProcessGroup::sum_gradients(const std::vector<NamedParameter>& parameters,
                                 std::size_t bucket_bytes) {
  if (!collectives_) return;
  const torch::NoGradGuard no_grad;
  std::deque<std::function<void()>> running;
  // Two at a time: one is on its way while the next is packed.
  constexpr std::size_t kAtOnce = 2;
  for (const Bucket& bucket : make_buckets(parameters, bucket_bytes)) {
    std::vector<torch::Tensor> flat;
    for (const torch::Tensor& gradient : bucket.gradients) flat.push_back(gradient.reshape({-1}));
    torch::Tensor packed = torch::cat(flat);
    if (!collectives_->reduces_on(packed.device())) packed = packed.to(torch::kCPU);
    auto wait = collectives_->start_sum(packed);
    running.push_back([wait = std::move(wait), packed, gradients = bucket.gradients] {
      wait();
      std::int64_t offset = 0;
      for (const torch::Tensor& gradient : gradients) {
        gradient.copy_(packed.narrow(0, offset, gradient.numel()).view_as(gradient));
        offset += gradient.numel();
      }
    });
    if (running.size() < kAtOnce) continue;
    running.front()();
    running.pop_front();
  }
  for (const auto& rest : running) rest();
}

void ProcessGroup::broadcast(const std::vector<torch::Tensor>& tensors) {
  if (!collectives_) return;
  const torch::NoGradGuard no_grad;
  for (const torch::Tensor& tensor : tensors) {
    torch::Tensor on_cpu = tensor.detach().to(torch::kCPU).contiguous();
    collectives_->broadcast(on_cpu);
    if (!is_first()) tensor.detach().copy_(on_cpu.view_as(tensor));
  }
}

std::string ProcessGroup::broadcast(const std::string& text) {
  if (!collectives_) return text;
  torch::Tensor size = number(static_cast<double>(text.size()));
  collectives_->broadcast(size);
  const auto count = static_cast<std::size_t>(size.item<double>());
  torch::Tensor bytes =
      bytes_of(is_first() ? text : std::string(), std::max<std::size_t>(count, 1));
  collectives_->broadcast(bytes);
  return text_of(bytes, count);
}

std::vector<double> ProcessGroup::gather(const std::vector<double>& own, std::size_t most) {
  if (!collectives_) return own;
  EPVS_ASSERT(own.size() <= most);
  // The first number says how many follow.
  torch::Tensor padded = torch::zeros({static_cast<std::int64_t>(most) + 1}, torch::kDouble);
  padded.data_ptr<double>()[0] = static_cast<double>(own.size());
  std::copy(own.begin(), own.end(), padded.data_ptr<double>() + 1);
  std::vector<double> all;
  for (const torch::Tensor& part : collectives_->gather(padded)) {
    const double* numbers = part.data_ptr<double>();
    all.insert(all.end(), numbers + 1, numbers + 1 + static_cast<std::ptrdiff_t>(numbers[0]));
  }
  return all;
}

std::vector<std::string> ProcessGroup::gather(const std::string& own) {
  if (!collectives_) return {own};
  const auto sizes = collectives_->gather(number(static_cast<double>(own.size())));
  std::size_t most = 1;
  for (const torch::Tensor& size : sizes) {
    most = std::max(most, static_cast<std::size_t>(size.item<double>()));
  }
  const auto parts = collectives_->gather(bytes_of(own, most));
  std::vector<std::string> all;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    all.push_back(text_of(parts[rank], static_cast<std::size_t>(sizes[rank].item<double>())));
  }
  return all;
}

std::vector<double> ProcessGroup::largest(const std::vector<double>& own) {
  std::vector<double> result = own;
  const std::vector<double> all = gather(own, own.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    double& value = result[i % own.size()];
    value = std::max(value, all[i]);
  }
  return result;
}

void ProcessGroup::require_equal(const core::Json& own) {
  if (!collectives_) return;
  const std::vector<std::string> texts = gather(own.dump());
  const core::Json first = core::Json::parse(texts.front());
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    const core::Json other = core::Json::parse(texts[rank]);
    core::Json keys = first;
    keys.update(other);
    for (const auto& [key, ignored] : keys.items()) {
      const auto value = [&key = key](const core::Json& from) {
        return from.contains(key) ? from.at(key).dump() : std::string("absent");
      };
      if (value(first) == value(other)) continue;
      const std::string shown = key.starts_with("/") ? key.substr(1) : key;
      throw core::UsageError(fmt::format("{}: {} is {}, but {} at {}", name(static_cast<int>(rank)),
                                         shown, value(other), value(first), name(0)),
                             "all processes need the same command, recipe, files and LibTorch");
    }
  }
}

void ProcessGroup::finish() {
  if (!collectives_) return;
  collectives_->finish();
  collectives_.reset();
}

void ProcessGroup::fail(const std::string& message) noexcept {
  if (collectives_) collectives_->fail(message);
}

}  // namespace epvs::train
