#include "train/target_scale.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace epvs::train {

namespace {

constexpr const char* kWeight = "output.weight";
constexpr const char* kBias = "output.bias";

/// In double, rounded once.
void multiply_add(torch::Tensor target, double factor, double offset) {
  const torch::NoGradGuard no_grad;
  target.copy_(target.to(torch::kDouble).mul(factor).add(offset));
}

}  // namespace

TargetScale TargetScale::of(TargetScaling kind, const std::vector<double>& labels) {
  TargetScale scale;
  if (kind == TargetScaling::kNone) return scale;
  EPVS_ASSERT(!labels.empty());
  const auto n = static_cast<double>(labels.size());
  if (kind == TargetScaling::kStandardize) {
    double sum = 0;
    for (const double label : labels) sum += label;
    scale.offset = sum / n;
    double squares = 0;
    for (const double label : labels) squares += std::pow(label - scale.offset, 2);
    scale.factor = labels.size() > 1 ? std::sqrt(squares / (n - 1)) : 0;
  } else {
    scale.factor = 0;
    for (const double label : labels) scale.factor = std::max(scale.factor, std::abs(label));
  }
  if (!(scale.factor > 0)) {
    throw core::InputError("train.target_scale = " + core::to_text(kind) +
                               ": the training labels are all " +
                               (kind == TargetScaling::kMaximum ? "zero" : "equal"),
                           "set train.target_scale = \"none\", or check the labels");
  }
  return scale;
}

void scale_output(models::Network& network, const TargetScale& scale, bool bias_only) {
  if (scale.is_identity()) return;
  if (!bias_only) multiply_add(network.output_weight_tensor(), 1 / scale.factor, 0);
  multiply_add(network.output_bias_tensor(), 1 / scale.factor, -scale.offset / scale.factor);
}

InCounts::InCounts(models::Network& network, const TargetScale& scale) : network_(network) {
  if (scale.is_identity()) return;
  scaled_unit_ = {{kWeight, network.output_weight_tensor().detach().clone()},
                  {kBias, network.output_bias_tensor().detach().clone()}};
  multiply_add(network.output_weight_tensor(), scale.factor, 0);
  multiply_add(network.output_bias_tensor(), scale.factor, scale.offset);
}

InCounts::~InCounts() {
  if (!scaled_unit_.empty()) restore_scaled_unit(network_, scaled_unit_);
}

void restore_scaled_unit(models::Network& network, const NamedTensors& unit) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : unit) {
    EPVS_ASSERT(name == kWeight || name == kBias);
    (name == kWeight ? network.output_weight_tensor() : network.output_bias_tensor()).copy_(tensor);
  }
}

}  // namespace epvs::train
