// Log-likelihoods of the four count models with exact derivatives, and their maximum.
#pragma once

#include <Eigen/Core>
#include <functional>

namespace epvs::eval {

// Maximum of a smooth function of a few variables with exact first and second derivatives: Newton's
// method with modified curvature and backtracking, made for log-likelihoods.
//
// A likelihood may have no maximum at finite values (separation; a dispersion that wants to be
// infinite). Then the gain of a further step goes to zero while the step itself does not: the
// Newton decrement g' (-H)^-1 g falls below `decrement_tolerance` with a step above
// `step_tolerance`. The result then holds that step as the direction of divergence, and the
// function value at the limit.

/// Value, gradient (k) and Hessian (k x k) of a function at one point.
struct Derivatives {
  double value = 0.0;
  Eigen::VectorXd gradient;
  Eigen::MatrixXd hessian;
};

struct NewtonOptions {
  int max_iterations = 200;
  double decrement_tolerance = 1e-10;  ///< gain (in units of the function) that counts as none
  double step_tolerance = 1e-3;        ///< step of a variable, over 1 + |x|, that counts as none
  double max_step = 4.0;               ///< longest step of one variable
};

struct NewtonResult {
  Eigen::VectorXd x;
  Derivatives at;
  int iterations = 0;
  bool converged = false;
  /// The step (k) that went on without gain; empty at an interior maximum.
  Eigen::VectorXd divergence;
};

/// `evaluate` fills value, gradient and Hessian, and may return a value that is not finite where
/// the function does not exist (the step is then shortened). The start must be finite, else
/// RunError.
NewtonResult maximise(const std::function<Derivatives(const Eigen::VectorXd&)>& evaluate,
                      const Eigen::VectorXd& start, const NewtonOptions& options = {});

// Log-likelihoods of the four count models with exact first and second derivatives.
//
// Counts y with mean mu = exp(x'b); with dispersion the negative binomial NB2 of Greene 1994,
// variance mu + mu^2 / theta; with zero inflation (Lambert 1992) a structural zero with probability
// p = 1 / (1 + exp(-z'g)):
//   P(Y = 0) = p + (1 - p) f(0),  P(Y = y) = (1 - p) f(y) for y > 0.
// Parameters stand in the order b, g (if zero inflated), tau = log(theta) (if with dispersion).

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
