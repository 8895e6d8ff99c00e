#include "infer/ensemble.h"

#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text.h"
#include "models/cohort_tensors.h"
#include "models/layers.h"
#include "models/precision.h"
#include "models/profile.h"
#include "models/torch.h"
#include "models/torch_setup.h"
#include "models/weights.h"

namespace epvs::infer {

namespace fs = std::filesystem;
using torch::Tensor;

namespace {

/// All combinations of flips along the named axes, as dimensions of (N, C, Z, Y, X).
std::vector<std::vector<std::int64_t>> flip_sets(const std::vector<FlipAxis>& axes) {
  std::vector<std::vector<std::int64_t>> sets = {{}};
  for (const FlipAxis axis : axes) {
    const std::int64_t dimension = 4 - static_cast<std::int64_t>(axis);
    const std::size_t count = sets.size();
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<std::int64_t> longer = sets[i];
      longer.push_back(dimension);
      sets.push_back(std::move(longer));
    }
  }
  return sets;
}

Tensor flipped(const Tensor& x, const std::vector<std::int64_t>& dimensions) {
  return dimensions.empty() ? x : x.flip(dimensions);
}

std::vector<float> to_vector(const Tensor& map) {
  const Tensor flat = map.to(torch::kCPU, torch::kFloat).contiguous();
  const float* data = flat.data_ptr<float>();
  return {data, data + flat.numel()};
}

/// What the networks say of one batch: members x N scores, maps (N, 1, Z, Y, X) or undefined.
struct BatchOutput {
  Tensor scores;
  Tensor attention;
  Tensor saliency;
};

/// `scores`: one per network, double.
InferenceResult scores_of(const Tensor& scores) {
  InferenceResult result;
  const double* data = scores.data_ptr<double>();
  result.member_scores.assign(data, data + scores.numel());
  const auto n = static_cast<double>(result.member_scores.size());
  for (const double s : result.member_scores) result.score += s;
  result.score /= n;
  for (const double s : result.member_scores) result.sd += std::pow(s - result.score, 2);
  result.sd = n > 1 ? std::sqrt(result.sd / (n - 1)) : 0.0;
  return result;
}

}  // namespace

struct Ensemble::State {
  std::vector<fs::path> files;
  std::vector<models::LoadedNetwork> members;
  torch::Device device = torch::kCPU;
  models::Precision precision = models::Precision::kFloat32;

  BatchOutput compute(const Tensor& volumes, const InferenceRequest& request) const;
};

BatchOutput Ensemble::State::compute(const Tensor& volumes, const InferenceRequest& request) const {
  const auto flips = flip_sets(request.flip_axes);
  const auto parts = static_cast<double>(members.size() * flips.size());
  const torch::AutoGradMode grad_mode(request.saliency);
  BatchOutput out;
  std::vector<Tensor> scores;
  for (const models::LoadedNetwork& member : members) {
    // A file of float64 weights computes in float64.
    const auto type = member.network->parameters().front().scalar_type();
    Tensor x = volumes.to(device, type);
    if (request.saliency) x = x.detach().clone().requires_grad_(true);
    Tensor sum = torch::zeros({x.size(0)}, x.options().requires_grad(false));
    const double map_scale = members.size() == 1 ? 1.0 : member.metadata.network.pool_scale;
    const double flops = static_cast<double>(
        x.size(0) * models::total_flops(models::layers_of(member.metadata.network)));
    for (const auto& dimensions : flips) {
      const models::Autocast autocast(precision, device);
      Tensor maps;
      {
        const models::Timed timed(request.profile, "forward", flops);
        maps = member.network->last_maps(flipped(x, dimensions));
        sum = sum + member.network->scores_of(maps);
      }
      if (!request.attention) continue;
      const models::Timed timed(request.profile, "attention");
      const Tensor attention = member.network->attention_of(maps).detach();
      const Tensor map = (flipped(attention, dimensions) * (map_scale / parts)).to(torch::kFloat);
      out.attention = out.attention.defined() ? out.attention + map : map;
    }
    if (request.saliency) {
      const models::Timed timed(request.profile, "saliency");
      sum.sum().backward();
      const Tensor map = (x.grad() / parts).to(torch::kFloat);
      out.saliency = out.saliency.defined() ? out.saliency + map : map;
    }
    scores.push_back((sum.detach() / static_cast<double>(flips.size())).to(torch::kDouble));
  }
  out.scores = torch::stack(scores).to(torch::kCPU);
  return out;
}

Ensemble::Ensemble(const std::vector<fs::path>& weights, const std::string& device, int threads,
                   std::optional<models::Precision> precision)
    : state_(std::make_unique<State>()) {
  EPVS_ASSERT(!weights.empty() && threads >= 1);
  models::set_up_torch({.threads = threads});
  state_->device = models::resolve_device(device);
  state_->precision = precision ? *precision : models::fastest_precision(state_->device);
  state_->files = weights;
  models::require_precision(state_->precision, state_->device);
  for (const fs::path& path : weights) {
    state_->members.push_back(models::load_weights(path));
    models::LoadedNetwork& member = state_->members.back();
    for (Tensor& parameter : member.network->parameters()) parameter.requires_grad_(false);
    member.network->to(state_->device);
    member.network->eval();
  }
}

Ensemble::~Ensemble() = default;

std::size_t Ensemble::size() const {
  return state_->members.size();
}

const models::WeightsMetadata& Ensemble::metadata(std::size_t member) const {
  return state_->members.at(member).metadata;
}

bool Ensemble::has_attention() const {
  return std::ranges::all_of(state_->members,
                             [](const auto& member) { return member.network->has_attention(); });
}

bool Ensemble::identity_holds() const {
  return has_attention() && std::ranges::all_of(state_->members, [](const auto& member) {
           return member.metadata.network.pool == models::GlobalPool::kAverage;
         });
}

double Ensemble::identity_scale() const {
  return size() == 1 ? metadata(0).network.pool_scale : 1.0;
}

double Ensemble::identity_bias() const {
  double sum = 0;
  for (const auto& member : state_->members) sum += member.network->output_bias();
  return sum / static_cast<double>(size());
}

std::string Ensemble::device() const {
  return state_->device.str();
}

models::Precision Ensemble::precision() const {
  return state_->precision;
}

std::string Ensemble::torch_version() {
  return TORCH_VERSION;
}

void Ensemble::require_fit(const data::CohortReader& cohort, const std::string& region,
                           core::Log& log) const {
  for (std::size_t i = 0; i < size(); ++i) {
    models::require_fit(metadata(i), state_->files[i], cohort.options(region), cohort.path(), log);
  }
}

void Ensemble::run(const data::CohortReader& cohort, const InferenceRequest& request,
                   const Done& done, const Failed& failed) const {
  EPVS_ASSERT(!request.attention || has_attention());
  const models::CohortSource source(cohort, request.region);
  const auto finish = [&](const std::vector<std::size_t>& rows, const Tensor& volumes) {
    BatchOutput output;
    try {
      output = state_->compute(volumes, request);
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      const bool of_memory = text.find("memory") != std::string::npos;
      throw core::RunError(fmt::format("a batch of {} volume(s) failed: {}", rows.size(), text),
                           of_memory ? "take a smaller --batch or --device cpu" : "");
    }
    for (std::int64_t n = 0; n < std::ssize(rows); ++n) {
      InferenceResult result = scores_of(output.scores.select(1, n).contiguous());
      result.row = rows[n];
      if (!std::isfinite(result.score)) {
        failed(result.row, "the score is not finite: the weights hold NaN or overflow");
        continue;
      }
      if (request.attention) result.attention = to_vector(output.attention[n]);
      if (request.saliency) result.saliency = to_vector(output.saliency[n]);
      done(result);
    }
  };
  const auto one_by_one = [&](const std::vector<std::size_t>& rows) {
    for (const std::size_t row : rows) {
      Tensor volume;
      try {
        volume = source.volume(row);
      } catch (const core::Error& error) {
        failed(row, error.what());
        continue;
      }
      finish({row}, volume);
    }
  };
  const auto batches = models::make_batches(request.rows, std::max<std::size_t>(request.batch, 1));
  models::BatchLoader loader(source, batches, state_->device);
  for (const std::vector<std::size_t>& rows : batches) {
    std::optional<models::Batch> batch;
    try {
      const models::Timed timed(request.profile, "reading");
      batch = loader.next();
    } catch (const core::Error&) {
      // Find out which of them it was; the others go on alone.
      one_by_one(rows);
      continue;
    }
    finish(batch->rows, batch->volumes);
  }
}

}  // namespace epvs::infer
