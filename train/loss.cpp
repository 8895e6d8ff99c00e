#include "train/loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace epvs::train {

namespace {

torch::Tensor tukey(const torch::Tensor& residuals, double constant) {
  const torch::Tensor ratio = (residuals / constant).square().clamp_max(1.0);
  return (1 - (1 - ratio).pow(3)).mean() * (constant * constant / 6);
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

std::vector<std::string> LossOptions::kinds() {
  return {"mse", "mae", "mce", "mfe", "rmse", "huber", "tukey", "summed"};
}

void LossOptions::validate() const {
  const std::vector<std::string> known = kinds();
  if (std::find(known.begin(), known.end(), kind) == known.end()) {
    throw core::UsageError(
        fmt::format("unknown loss '{}'{}", kind, core::did_you_mean(kind, known)));
  }
  if (!(huber_delta > 0)) {
    throw core::UsageError(
        fmt::format("huber_delta = {}. Violated constraint: huber_delta > 0", huber_delta));
  }
  if (!(tukey_constant > 0)) {
    throw core::UsageError(fmt::format(
        "tukey_constant = {}. Violated constraint: tukey_constant > 0", tukey_constant));
  }
}

torch::Tensor loss(const LossOptions& options, const torch::Tensor& scores,
                   const torch::Tensor& labels, double tukey_scale) {
  EPVS_ASSERT(scores.dim() == 1 && scores.sizes() == labels.sizes());
  const torch::Tensor error = scores - labels;
  if (options.kind == "mse") return error.square().mean();
  if (options.kind == "mae") return error.abs().mean();
  if (options.kind == "mce") return (error.square() * error.abs()).mean();
  if (options.kind == "mfe") return error.square().square().mean();
  if (options.kind == "rmse") return (error.square().mean() + 1e-12).sqrt();
  if (options.kind == "huber") {
    const torch::Tensor inside = error.abs().clamp_max(options.huber_delta);
    return (inside * (error.abs() - inside / 2)).mean();
  }
  if (options.kind == "tukey") return tukey(error / tukey_scale, options.tukey_constant);
  if (options.kind == "summed") return error.sum().square() / static_cast<double>(error.numel());
  throw core::UsageError(fmt::format("unknown loss '{}'{}", options.kind,
                                     core::did_you_mean(options.kind, LossOptions::kinds())));
}

double median_absolute_deviation(std::vector<double> residuals) {
  EPVS_ASSERT(!residuals.empty());
  const double centre = median(residuals);
  for (double& residual : residuals) residual = std::abs(residual - centre);
  return std::max(1e-3, 1.4826 * median(residuals));
}

}  // namespace epvs::train
