#include "eval/count_likelihood.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <vector>

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

namespace {

/// Sums over j < y for y = 0 .. max(y), shared by all participants of one evaluation:
/// log1p(j / theta), theta / (theta + j), (theta / (theta + j))^2. They are the differences of
/// lgamma, digamma and trigamma at theta + y and theta, without their cancellation for large theta.
struct GammaSums {
  std::vector<double> log_ratio;
  std::vector<double> first;
  std::vector<double> second;

  GammaSums(double theta, std::size_t largest) {
    log_ratio.assign(largest + 1, 0.0);
    first.assign(largest + 1, 0.0);
    second.assign(largest + 1, 0.0);
    for (std::size_t y = 1; y <= largest; ++y) {
      const double j = static_cast<double>(y) - 1.0;
      const double ratio = theta / (theta + j);
      log_ratio[y] = log_ratio[y - 1] + std::log1p(j / theta);
      first[y] = first[y - 1] + ratio;
      second[y] = second[y - 1] + ratio * ratio;
    }
  }
};

/// log f(y) and its derivatives in a = log(mu) and t = log(theta).
struct CountTerm {
  double value = 0.0;
  double a = 0.0;
  double t = 0.0;
  double aa = 0.0;
  double at = 0.0;
  double tt = 0.0;
};

CountTerm poisson_term(double y, double log_mu) {
  const double mu = std::exp(log_mu);
  CountTerm term;
  term.value = y * log_mu - mu - std::lgamma(y + 1.0);
  term.a = y - mu;
  term.aa = -mu;
  return term;
}

CountTerm negative_binomial_term(double y, double log_mu, double theta, const GammaSums& sums) {
  const double mu = std::exp(log_mu);
  const double share = theta / (theta + mu);  // 1 in the Poisson limit
  const double log1p_ratio = std::log1p(mu / theta);
  const auto index = static_cast<std::size_t>(y);
  CountTerm term;
  term.value =
      y * log_mu - (theta + y) * log1p_ratio + sums.log_ratio[index] - std::lgamma(y + 1.0);
  term.a = share * (y - mu);
  term.aa = -(y + theta) * mu * share / (theta + mu);
  term.at = share * (y - mu) * mu / (theta + mu);
  term.t = sums.first[index] - theta * log1p_ratio + share * (mu - y);
  term.tt = term.t - sums.second[index] + share * mu + share * share * (y - mu);
  return term;
}

/// One participant's log-likelihood with derivatives in a, the zero predictor z and t.
struct MixedTerm {
  CountTerm count;
  double z = 0.0;
  double zz = 0.0;
  double za = 0.0;
  double zt = 0.0;
};

/// log(1 + exp(x)) without overflow.
double log1p_exp(double x) {
  return x > 0.0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

double logistic(double x) {
  return x >= 0.0 ? 1.0 / (1.0 + std::exp(-x)) : std::exp(x) / (1.0 + std::exp(x));
}

MixedTerm zero_inflated(double y, const CountTerm& f, double eta) {
  const double p = logistic(eta);
  const double spread = p * logistic(-eta);
  MixedTerm term;
  if (y > 0.0) {
    term.count = f;
    term.count.value -= log1p_exp(eta);
    term.z = -p;
    term.zz = -spread;
    return term;
  }
  // w: the probability that this zero is structural.
  const double w = logistic(eta - f.value);
  const double other = logistic(f.value - eta);
  const double product = w * other;
  term.count.value = f.value + log1p_exp(eta - f.value) - log1p_exp(eta);
  term.count.a = other * f.a;
  term.count.t = other * f.t;
  term.count.aa = other * f.aa + product * f.a * f.a;
  term.count.at = other * f.at + product * f.a * f.t;
  term.count.tt = other * f.tt + product * f.t * f.t;
  term.z = w * logistic(-eta) - other * p;  // w - p without cancellation
  term.zz = product - spread;
  term.za = -product * f.a;
  term.zt = -product * f.t;
  return term;
}

}  // namespace

Derivatives count_log_likelihood(const CountProblem& problem, const Eigen::VectorXd& parameters) {
  const Eigen::Index n = problem.y.size();
  const Eigen::Index p = problem.x.cols();
  const Eigen::Index q = problem.z.cols();
  const Eigen::Index last = p + q;
  const double theta = problem.dispersion ? std::exp(parameters[last]) : 0.0;
  const GammaSums sums(
      theta, problem.dispersion && n > 0 ? static_cast<std::size_t>(problem.y.maxCoeff()) : 0);
  const Eigen::VectorXd log_mu = problem.x * parameters.head(p);
  const Eigen::VectorXd eta = problem.z * parameters.segment(p, q);

  Derivatives result;
  // Weights of the rows of x and z in gradient and Hessian.
  Eigen::VectorXd a(n), aa(n), at(n), z(n), zz(n), za(n), zt(n);
  double t = 0.0;
  double tt = 0.0;
  for (Eigen::Index i = 0; i < n; ++i) {
    const CountTerm f = problem.dispersion
                            ? negative_binomial_term(problem.y[i], log_mu[i], theta, sums)
                            : poisson_term(problem.y[i], log_mu[i]);
    MixedTerm term;
    if (q > 0) {
      term = zero_inflated(problem.y[i], f, eta[i]);
    } else {
      term.count = f;
    }
    result.value += term.count.value;
    a[i] = term.count.a;
    aa[i] = term.count.aa;
    at[i] = term.count.at;
    z[i] = term.z;
    zz[i] = term.zz;
    za[i] = term.za;
    zt[i] = term.zt;
    t += term.count.t;
    tt += term.count.tt;
  }
  result.gradient.resize(problem.parameters());
  result.hessian.resize(problem.parameters(), problem.parameters());
  result.gradient.head(p) = problem.x.transpose() * a;
  result.hessian.topLeftCorner(p, p) = problem.x.transpose() * aa.asDiagonal() * problem.x;
  if (q > 0) {
    result.gradient.segment(p, q) = problem.z.transpose() * z;
    result.hessian.block(p, p, q, q) = problem.z.transpose() * zz.asDiagonal() * problem.z;
    result.hessian.block(p, 0, q, p) = problem.z.transpose() * za.asDiagonal() * problem.x;
    result.hessian.block(0, p, p, q) = result.hessian.block(p, 0, q, p).transpose();
  }
  if (problem.dispersion) {
    result.gradient[last] = t;
    result.hessian(last, last) = tt;
    result.hessian.block(0, last, p, 1) = problem.x.transpose() * at;
    if (q > 0) result.hessian.block(p, last, q, 1) = problem.z.transpose() * zt;
    result.hessian.block(last, 0, 1, last) = result.hessian.block(0, last, last, 1).transpose();
  }
  return result;
}

}  // namespace epvs::eval
