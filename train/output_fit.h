// The start of the output unit: fitted to the labels instead of drawn at random.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <vector>

#include "data/cohort/examples.h"
#include "models/cohort_tensors.h"
#include "models/network.h"
#include "models/torch.h"

namespace epvs::train {

struct RidgeFit {
  Eigen::VectorXd weights;        ///< K
  double intercept = 0;           ///< not penalised
  double penalty = 0;             ///< lambda
  double degrees_of_freedom = 0;  ///< trace of the hat matrix, intercept included: 1..n
  double mean_square = 0;         ///< mean squared residual over the n rows
  double gcv = 0;                 ///< mean_square / (1 - degrees_of_freedom / n)^2, the smallest
};

/// Ridge regression with the penalty chosen by generalised cross-validation: minimises
/// |labels - features w - intercept|^2 + lambda |w - prior|^2 over w and the intercept.
/// features: (n, K), labels: n, prior: K (zeros: the usual ridge). lambda is the value with the
/// smallest generalised cross-validation error (Golub, Heath & Wahba 1979) among 41 from 1e-6 to
/// 100 times the largest eigenvalue of the centred features' covariance, five in a decade;
/// weights along which the features do not vary equal the prior. Throws core::InputError for fewer
/// than two rows and core::RunError for a value that is not finite.
RidgeFit fit_ridge(const Eigen::MatrixXd& features, const Eigen::VectorXd& labels,
                   const Eigen::VectorXd& prior);

/// Sets the weights and bias of the output unit to the ridge regression of
/// the labels on the features that the network has for `examples`, not augmented, in double
/// precision. With `keep_close` the penalty pulls towards the weights that the unit has, for
/// networks that were trained before, else towards zero. The result depends on the other layers,
/// the examples and the labels only; without `keep_close`, fitting again changes nothing.
/// `after_batch` is called after each batch of `batch_size` and may throw.
RidgeFit fit_output(
    models::Network& network, const models::VolumeSource& source,
    const std::vector<data::Example>& examples, std::int64_t batch_size, torch::Device device,
    bool keep_close, const std::function<void()>& after_batch = [] {});

}  // namespace epvs::train
