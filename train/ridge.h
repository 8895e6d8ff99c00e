// Ridge regression with the penalty chosen by generalised cross-validation.
#pragma once

#include <Eigen/Core>

namespace epvs::train {

struct RidgeFit {
  Eigen::VectorXd weights;        ///< K
  double intercept = 0;           ///< not penalised
  double penalty = 0;             ///< lambda
  double degrees_of_freedom = 0;  ///< trace of the hat matrix, intercept included: 1..n
  double mean_square = 0;         ///< mean squared residual over the n rows
  double gcv = 0;                 ///< mean_square / (1 - degrees_of_freedom / n)^2, the smallest
};

/// Minimises |labels - features w - intercept|^2 + lambda |w - prior|^2 over w and the intercept.
/// features: (n, K), labels: n, prior: K (zeros: the usual ridge). lambda is the value with the
/// smallest generalised cross-validation error (Golub, Heath & Wahba 1979) among 41 from 1e-6 to
/// 100 times the largest eigenvalue of the centred features' covariance, five in a decade;
/// weights along which the features do not vary equal the prior. Throws core::InputError for fewer
/// than two rows and core::RunError for a value that is not finite.
RidgeFit fit_ridge(const Eigen::MatrixXd& features, const Eigen::VectorXd& labels,
                   const Eigen::VectorXd& prior);

}  // namespace epvs::train
