#include "train/loss_scale.h"

#include <fmt/format.h>

#include "core/error.h"

namespace epvs::train {

void LossScale::count(bool finite, std::int64_t epoch) {
  if (!on) return;
  if (finite) {
    bad_updates = 0;
    if (++good_updates < kGrowthInterval) return;
    value *= kGrowth;
    good_updates = 0;
    return;
  }
  good_updates = 0;
  ++bad_updates;
  value *= kBackoff;
  if (value >= kSmallest) return;
  throw core::RunError(
      fmt::format("training diverged in epoch {}: gradients were not finite in {} updates in a "
                  "row, down to a loss scale of {}",
                  epoch, bad_updates, value),
      "the last good checkpoint is kept; lower train.learning_rate, set train.clip_norm, or take "
      "train.precision = \"bf16\" or \"float32\"");
}

core::Json LossScale::to_json() const {
  return {
      {"on", on}, {"value", value}, {"good_updates", good_updates}, {"bad_updates", bad_updates}};
}

LossScale LossScale::from_json(const core::Json& document) {
  LossScale scale;
  document.at("on").get_to(scale.on);
  document.at("value").get_to(scale.value);
  document.at("good_updates").get_to(scale.good_updates);
  document.at("bad_updates").get_to(scale.bad_updates);
  return scale;
}

bool unscale_gradients(const std::vector<NamedParameter>& parameters, double scale) {
  const torch::NoGradGuard no_grad;
  bool finite = true;
  for (const NamedParameter& parameter : parameters) {
    torch::Tensor gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    gradient.div_(scale);
    finite = finite && torch::isfinite(gradient).all().item<bool>();
  }
  return finite;
}

}  // namespace epvs::train
