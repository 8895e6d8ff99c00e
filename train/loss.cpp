#include "train/loss.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

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

torch::Tensor loss(const LossOptions& options, const torch::Tensor& scores,
                   const torch::Tensor& labels, double tukey_scale) {
  EPVS_ASSERT(scores.dim() == 1 && scores.sizes() == labels.sizes());
  const torch::Tensor error = scores - labels;
  switch (options.kind) {
    case Loss::kMse:
      return error.square().mean();
    case Loss::kMae:
      return error.abs().mean();
    case Loss::kMce:
      return (error.square() * error.abs()).mean();
    case Loss::kMfe:
      return error.square().square().mean();
    case Loss::kRmse:
      return (error.square().mean() + 1e-12).sqrt();
    case Loss::kHuber: {
      const torch::Tensor inside = error.abs().clamp_max(options.huber_delta);
      return (inside * (error.abs() - inside / 2)).mean();
    }
    case Loss::kTukey:
      return tukey(error / tukey_scale, options.tukey_constant);
    case Loss::kSummed:
      return error.sum().square() / static_cast<double>(error.numel());
  }
  return {};
}

double median_absolute_deviation(std::vector<double> residuals) {
  EPVS_ASSERT(!residuals.empty());
  const double centre = median(residuals);
  for (double& residual : residuals) residual = std::abs(residual - centre);
  return std::max(1e-3, 1.4826 * median(residuals));
}

}  // namespace epvs::train
