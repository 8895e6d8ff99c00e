#include "eval/newton.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace epvs::eval {
namespace {

/// Ascent direction: the Newton step where the function is concave; elsewhere eigenvalues of -H are
/// replaced by their magnitudes.
Eigen::VectorXd ascent(const Derivatives& at) {
  const Eigen::MatrixXd curvature = -at.hessian;
  const Eigen::LLT<Eigen::MatrixXd> cholesky(curvature);
  if (cholesky.info() == Eigen::Success) {
    const Eigen::VectorXd step = cholesky.solve(at.gradient);
    if (step.allFinite() && step.dot(at.gradient) >= 0.0) return step;
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(curvature);
  const double largest = eigen.eigenvalues().cwiseAbs().maxCoeff();
  const double smallest = std::max(largest * 1e-15, 1e-300);
  const Eigen::VectorXd magnitudes = eigen.eigenvalues().cwiseAbs().cwiseMax(smallest);
  const Eigen::VectorXd rotated =
      (eigen.eigenvectors().transpose() * at.gradient).cwiseQuotient(magnitudes);
  return eigen.eigenvectors() * rotated;
}

bool usable(const Derivatives& at) {
  return std::isfinite(at.value) && at.gradient.allFinite() && at.hessian.allFinite();
}

/// Whether every part of the step is negligible beside its variable.
bool is_negligible(const Eigen::VectorXd& step, const Eigen::VectorXd& x, double tolerance) {
  return (step.array().abs() <= tolerance * (1.0 + x.array().abs())).all();
}

using Evaluate = std::function<Derivatives(const Eigen::VectorXd&)>;

/// The gain is spent: an interior maximum (one last full step squares its error) or a divergence.
void finish(const Evaluate& evaluate, const Eigen::VectorXd& step, const NewtonOptions& options,
            NewtonResult& result) {
  result.converged = true;
  if (!is_negligible(step, result.x, options.step_tolerance)) {
    result.divergence = step;
    return;
  }
  Derivatives last = evaluate(result.x + step);
  if (usable(last) && last.gradient.norm() <= result.at.gradient.norm()) {
    result.x += step;
    result.at = std::move(last);
  }
}

/// Backtracks from the full step to one with enough gain; false when there is none.
bool advance(const Evaluate& evaluate, const Eigen::VectorXd& step, NewtonResult& result) {
  const double slope = step.dot(result.at.gradient);
  for (double length = 1.0; length > 1e-12; length *= 0.5) {
    const Eigen::VectorXd candidate = result.x + length * step;
    Derivatives next = evaluate(candidate);
    if (!usable(next) || next.value < result.at.value + 1e-4 * length * slope) continue;
    result.x = candidate;
    result.at = std::move(next);
    return true;
  }
  return false;
}

}  // namespace

NewtonResult maximise(const Evaluate& evaluate, const Eigen::VectorXd& start,
                      const NewtonOptions& options) {
  NewtonResult result;
  result.x = start;
  result.at = evaluate(start);
  if (!usable(result.at)) {
    throw core::RunError("the likelihood does not exist at the starting values",
                         "look for extreme values among scores and covariates");
  }
  for (; result.iterations < options.max_iterations; ++result.iterations) {
    const Eigen::VectorXd newton = ascent(result.at);
    const double decrement = newton.dot(result.at.gradient);
    if (decrement < options.decrement_tolerance) {
      finish(evaluate, newton, options, result);
      return result;
    }
    const double longest = newton.cwiseAbs().maxCoeff();
    const Eigen::VectorXd step = newton * std::min(1.0, options.max_step / longest);
    if (!advance(evaluate, step, result)) {
      // No measurable gain: rounding of the value, not a failure, when the promised gain is tiny.
      if (decrement < 1e-9 * (1.0 + std::abs(result.at.value))) {
        finish(evaluate, newton, options, result);
      }
      return result;
    }
  }
  return result;
}

}  // namespace epvs::eval
