#include "data/prepare/registration/registration_descent.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <algorithm>
#include <cmath>

namespace epvs::data {

Descent descend(const Level& level, Motion motion, const Eigen::Matrix4d& start,
                const Eigen::Vector3d& centre, const RegistrationOptions& options,
                double longest_mm, double shortest_mm) {
  Objective objective(level, motion, start, centre, options.bins);
  const Eigen::Index n = objective.size();
  Eigen::VectorXd x = Eigen::VectorXd::Zero(n);
  Eigen::VectorXd gradient = Eigen::VectorXd::Zero(n);
  Eigen::VectorXd new_gradient = gradient;
  double value = objective(x, gradient);
  Eigen::MatrixXd inverse_hessian = Eigen::MatrixXd::Identity(n, n);
  bool scaled = false;
  for (int i = 0; i < options.iterations && std::isfinite(value); ++i) {
    Eigen::VectorXd direction = -inverse_hessian * gradient;
    if (direction.dot(gradient) >= 0) {
      inverse_hessian.setIdentity();
      scaled = false;
      direction = -gradient;
    }
    const double length = direction.norm();
    if (length == 0) break;
    double step = scaled ? std::min(1.0, longest_mm / length) : 0.5 * longest_mm / length;
    Eigen::VectorXd next = x;
    double next_value = value;
    bool improved = false;
    for (; step * length > shortest_mm; step *= 0.4) {
      next = x + step * direction;
      next_value = objective(next, new_gradient);
      improved = next_value <= value + 1e-4 * step * direction.dot(gradient);
      if (improved) break;
    }
    if (!improved) {
      if (!scaled) break;
      inverse_hessian.setIdentity();
      scaled = false;
      continue;
    }
    const Eigen::VectorXd moved = next - x;
    const Eigen::VectorXd change = new_gradient - gradient;
    const double curvature = moved.dot(change);
    if (curvature > 1e-12 * moved.norm() * change.norm()) {
      if (!scaled)
        inverse_hessian = Eigen::MatrixXd::Identity(n, n) * curvature / change.dot(change);
      scaled = true;
      const double rho = 1.0 / curvature;
      const Eigen::MatrixXd left =
          Eigen::MatrixXd::Identity(n, n) - rho * moved * change.transpose();
      inverse_hessian = left * inverse_hessian * left.transpose() + rho * moved * moved.transpose();
    }
    x = next;
    value = next_value;
    gradient = new_gradient;
    if (moved.norm() < shortest_mm) break;
  }
  value = objective(x, gradient);
  return {objective.matrix(), value, objective.overlap(), objective.evaluations()};
}

}  // namespace epvs::data
