#include "models/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "core/error.h"
#include "core/text.h"
#include "models/safetensors.h"

namespace epvs::models {

namespace fs = std::filesystem;

namespace {

using torch::Tensor;

std::string dtype_name(const Tensor& tensor) {
  if (tensor.scalar_type() == torch::kFloat) return "F32";
  if (tensor.scalar_type() == torch::kDouble) return "F64";
  throw core::UsageError(
      fmt::format("weights of type {} cannot be stored; expected float32 or float64",
                  c10::toString(tensor.scalar_type())));
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

/// Everything in which the tensors of the file differ from the parameters of the network.
std::vector<std::string> differences(const SafetensorsHeader& header, const Network& network) {
  std::map<std::string, const TensorEntry*> stored;
  for (const TensorEntry& entry : header.tensors) stored[entry.name] = &entry;
  std::vector<std::string> problems;
  for (const auto& item : network.named_parameters()) {
    const std::vector<std::int64_t> expected = item.value().sizes().vec();
    const auto found = stored.find(item.key());
    if (found == stored.end()) {
      problems.push_back(fmt::format("{} {} is missing", item.key(), shape_text(expected)));
      continue;
    }
    const TensorEntry& entry = *found->second;
    if (entry.shape != expected) {
      problems.push_back(fmt::format("{} is {} in the file, {} in the network", item.key(),
                                     shape_text(entry.shape), shape_text(expected)));
    } else if (entry.dtype != dtype_name(item.value())) {
      problems.push_back(fmt::format("{} is of type {} in the file, {} in the network", item.key(),
                                     entry.dtype, dtype_name(item.value())));
    }
    stored.erase(found);
  }
  for (const auto& [name, entry] : stored) {
    problems.push_back(
        fmt::format("{} {} is not part of the network", name, shape_text(entry->shape)));
  }
  return problems;
}

void copy_tensors(const fs::path& path, const SafetensorsHeader& header, Network& network) {
  const std::vector<std::string> problems = differences(header, network);
  if (!problems.empty()) {
    throw core::InputError(fmt::format("the weights {} do not fit the network {}: {}",
                                       path.string(), core::to_text(network.options().architecture),
                                       core::join(problems, "; ")));
  }
  std::map<std::string, const TensorEntry*> stored;
  for (const TensorEntry& entry : header.tensors) stored[entry.name] = &entry;
  // Read everything before the first parameter changes.
  std::vector<std::pair<Tensor, Tensor>> copies;
  for (const auto& item : network.named_parameters()) {
    Tensor read = torch::empty(item.value().sizes(), torch::dtype(item.value().scalar_type()));
    read_safetensors_data(path, header, *stored.at(item.key()), read.data_ptr());
    copies.emplace_back(item.value(), read);
  }
  torch::NoGradGuard no_grad;
  for (auto& [parameter, read] : copies) parameter.copy_(read);
}

}  // namespace

void save_weights(const fs::path& path, const Network& network, const WeightsMetadata& metadata) {
  std::vector<Tensor> tensors;
  std::vector<TensorToWrite> entries;
  for (const auto& item : network.named_parameters()) {
    tensors.push_back(item.value().detach().to(torch::kCPU).contiguous());
    entries.push_back({item.key(), dtype_name(tensors.back()), tensors.back().sizes().vec(),
                       tensors.back().data_ptr()});
  }
  WeightsMetadata complete = metadata;
  complete.network = network.options();
  write_safetensors(path, entries, {{"epvs", complete.to_json().dump()}});
}

LoadedNetwork load_weights(const fs::path& path) {
  const SafetensorsHeader header = read_safetensors_header(path);
  LoadedNetwork loaded;
  loaded.metadata = parse_weights_metadata(header.metadata, path);
  try {
    loaded.network = make_network(loaded.metadata.network, 0);
  } catch (const core::UsageError& error) {
    throw core::InputError(path.string() + ": " + error.what());
  }
  if (!header.tensors.empty() && header.tensors.front().dtype == "F64") {
    loaded.network->to(torch::kDouble);
  }
  copy_tensors(path, header, *loaded.network);
  return loaded;
}

void load_weights_into(const fs::path& path, Network& network) {
  const SafetensorsHeader header = read_safetensors_header(path);
  const WeightsMetadata metadata = parse_weights_metadata(header.metadata, path);
  if (metadata.network.architecture != network.options().architecture) {
    throw core::InputError(
        fmt::format("the weights {} are of the architecture {}, the network is {}", path.string(),
                    core::to_text(metadata.network.architecture),
                    core::to_text(network.options().architecture)),
        "set network.architecture to that of the weights, or take other weights");
  }
  copy_tensors(path, header, network);
}

}  // namespace epvs::models
