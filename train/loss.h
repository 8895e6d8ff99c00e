// Training losses on scores: the rows of P1 Table 3 and a few more.
#pragma once

#include <vector>

#include "models/torch.h"
#include "train/options.h"

namespace epvs::train {

/// `scores`, `labels`: (N). Returns a scalar, differentiable in `scores`. `tukey_scale` > 0 is used
/// by tukey alone.
torch::Tensor loss(const LossOptions& options, const torch::Tensor& scores,
                   const torch::Tensor& labels, double tukey_scale = 1.0);

/// 1.4826 * median |r - median r|: the scale of normally distributed residuals. At least 1e-3, so
/// that equal residuals do not divide by zero. `residuals` must not be empty.
double median_absolute_deviation(std::vector<double> residuals);

}  // namespace epvs::train
