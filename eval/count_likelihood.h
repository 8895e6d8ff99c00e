// Log-likelihoods of the four count models with exact first and second derivatives.
//
// Counts y with mean mu = exp(x'b); with dispersion the negative binomial NB2 of Greene 1994,
// variance mu + mu^2 / theta; with zero inflation (Lambert 1992) a structural zero with probability
// p = 1 / (1 + exp(-z'g)):
//   P(Y = 0) = p + (1 - p) f(0),  P(Y = y) = (1 - p) f(y) for y > 0.
// Parameters stand in the order b, g (if zero inflated), tau = log(theta) (if with dispersion).
#pragma once

#include <Eigen/Core>

#include "eval/newton.h"

namespace epvs::eval {

struct CountProblem {
  Eigen::VectorXd y;  ///< n whole numbers >= 0, at most kMaximalCount
  Eigen::MatrixXd x;  ///< n x p, count part, intercept included
  Eigen::MatrixXd z;  ///< n x q, zero part; n x 0 without zero inflation
  bool dispersion = false;

  Eigen::Index parameters() const { return x.cols() + z.cols() + (dispersion ? 1 : 0); }
};

inline constexpr double kMaximalCount = 1e7;

/// Log-likelihood (constants such as log(y!) included), gradient and Hessian. Not finite values
/// where exp(x'b) overflows.
Derivatives count_log_likelihood(const CountProblem& problem, const Eigen::VectorXd& parameters);

}  // namespace epvs::eval
