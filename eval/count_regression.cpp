#include "eval/count_regression.h"

#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "eval/count_likelihood.h"
#include "eval/statistics.h"

namespace epvs::eval {
namespace {

using Eigen::Index;

/// Likelihoods nearer than this are equal: the larger model's maximum lies at its edge.
constexpr double kEqualLikelihood = 1e-8;
/// A change of a predictor by its own SD times this, without gain, is a divergence.
constexpr double kDivergingStep = 1e-3;

/// A design in orthonormal coordinates: columns of `values` are orthogonal with mean square one, so
/// units, offsets and correlations of covariates do not matter. b = back * coordinates.
struct Coordinates {
  Eigen::MatrixXd values;
  Eigen::MatrixXd back;
  Eigen::VectorXd scale;  ///< SD of each covariate, 1 for the intercept
  std::string problem;    ///< why the rank is deficient
};

Coordinates orthonormal(const Design& design) {
  const Index n = design.values.rows();
  const Index p = design.values.cols();
  Coordinates result;
  result.scale = Eigen::VectorXd::Ones(p);
  Eigen::MatrixXd centred = design.values;
  Eigen::MatrixXd uncentre = Eigen::MatrixXd::Identity(p, p);
  for (Index j = 1; j < p; ++j) {
    const double mean = design.values.col(j).mean();
    centred.col(j).array() -= mean;
    centred.col(j).array() -= centred.col(j).mean();  // what rounding of the mean left
    uncentre(0, j) = -mean;
    const double norm = centred.col(j).norm();
    result.scale[j] = norm / std::sqrt(static_cast<double>(n));
    if (!(result.scale[j] > 1e-13 * std::abs(mean))) {
      result.problem = "covariate '" + design.terms[static_cast<std::size_t>(j)] + "' is constant";
      return result;
    }
  }
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(centred);
  const Eigen::MatrixXd r = qr.matrixQR().topRows(p).triangularView<Eigen::Upper>();
  for (Index j = 1; j < p; ++j) {
    if (!(std::abs(r(j, j)) > 1e-9 * centred.col(j).norm())) {
      result.problem = "covariate '" + design.terms[static_cast<std::size_t>(j)] +
                       "' is a linear combination of those before it";
      return result;
    }
  }
  const double root = std::sqrt(static_cast<double>(n));
  result.values = root * (qr.householderQ() * Eigen::MatrixXd::Identity(n, p));
  result.back =
      uncentre * (root * r.triangularView<Eigen::Upper>().solve(Eigen::MatrixXd::Identity(p, p)));
  return result;
}

struct Candidate {
  NewtonResult newton;
  int starts = 0;
  int at_best = 0;
};

/// The best of several starts: highest likelihood; among equals one that does not diverge.
Candidate best_of(const CountProblem& problem, const std::vector<Eigen::VectorXd>& starts) {
  const auto evaluate = [&](const Eigen::VectorXd& at) {
    return count_log_likelihood(problem, at);
  };
  Candidate best;
  std::vector<double> values;
  for (const Eigen::VectorXd& start : starts) {
    if (!std::isfinite(evaluate(start).value)) continue;
    NewtonResult result = maximise(evaluate, start);
    values.push_back(result.at.value);
    const double gain = result.at.value - best.newton.at.value;
    const bool equal = std::abs(gain) <= kEqualLikelihood;
    const bool interior = result.converged && result.divergence.size() == 0;
    const bool best_interior = best.newton.converged && best.newton.divergence.size() == 0;
    if (values.size() == 1 || (!equal && gain > 0.0) || (equal && interior && !best_interior)) {
      best.newton = std::move(result);
    }
  }
  if (values.empty()) {
    throw core::RunError("the likelihood does not exist at any starting value",
                         "look for extreme values among scores and covariates");
  }
  best.starts = static_cast<int>(values.size());
  best.at_best = static_cast<int>(std::count_if(values.begin(), values.end(), [&](double value) {
    return value >= best.newton.at.value - 1e-6;
  }));
  return best;
}

/// Everything that the models of one table share.
class Fitter {
 public:
  Fitter(const Eigen::VectorXd& y, const Coordinates& count, const Coordinates& zero)
      : y_(y), count_(count), zero_(zero) {}

  CountProblem problem(CountModel model) const {
    CountProblem result;
    result.y = y_;
    result.x = count_.values;
    result.z = has_zero_part(model) ? zero_.values : Eigen::MatrixXd(y_.size(), 0);
    result.dispersion = has_dispersion(model);
    return result;
  }

  Candidate fit(CountModel model) const {
    const CountProblem full = problem(model);
    if (!has_zero_part(model)) return best_of(full, plain_starts(full, least_squares()));
    return best_of(full, mixed_starts(full));
  }

 private:
  /// Least squares of log(y + 1/2), in orthonormal coordinates a projection.
  Eigen::VectorXd least_squares() const {
    const Eigen::VectorXd logs = (y_.array() + 0.5).log();
    return count_.values.transpose() * logs / static_cast<double>(y_.size());
  }

  /// log(theta) from mean and variance.
  double moment_log_theta() const {
    const double mean = y_.mean();
    const double excess = (y_.array() - mean).square().mean() - mean;
    return std::log(std::clamp(excess > 0.0 ? mean * mean / excess : 50.0, 0.05, 50.0));
  }

  std::vector<Eigen::VectorXd> plain_starts(const CountProblem& problem,
                                            const Eigen::VectorXd& b) const {
    if (!problem.dispersion) return {b};
    std::vector<Eigen::VectorXd> starts;
    for (const double log_theta : {moment_log_theta(), 0.0, 3.0}) {
      Eigen::VectorXd start(problem.parameters());
      start << b, log_theta;
      starts.push_back(start);
    }
    return starts;
  }

  /// The count part of those who scored above zero: where the zeros are mostly structural.
  Eigen::VectorXd positive_part(const CountProblem& full) const {
    std::vector<Index> rows;
    for (Index i = 0; i < y_.size(); ++i) {
      if (y_[i] > 0.0) rows.push_back(i);
    }
    CountProblem part;
    part.y.resize(static_cast<Index>(rows.size()));
    part.x.resize(part.y.size(), full.x.cols());
    part.z.resize(part.y.size(), 0);
    for (Index i = 0; i < part.y.size(); ++i) {
      part.y[i] = y_[rows[static_cast<std::size_t>(i)]];
      part.x.row(i) = full.x.row(rows[static_cast<std::size_t>(i)]);
    }
    Eigen::VectorXd start = Eigen::VectorXd::Zero(full.x.cols());
    start[0] = std::log(part.y.mean()) / full.x(0, 0);
    if (part.y.size() < 2 * full.x.cols()) return start;  // too few to say more
    NewtonOptions options;
    options.max_iterations = 15;
    return maximise([&](const Eigen::VectorXd& at) { return count_log_likelihood(part, at); },
                    start, options)
        .x;
  }

  std::vector<Eigen::VectorXd> mixed_starts(const CountProblem& full) const {
    const Index p = full.x.cols();
    const Index q = full.z.cols();
    const double zero_share = (y_.array() == 0.0).cast<double>().mean();
    const Eigen::VectorXd positive = positive_part(full);
    const Eigen::VectorXd everyone = least_squares();
    core::Random random(20190802);  // fixed: the same table gives the same fit
    std::vector<Eigen::VectorXd> starts;
    const auto add = [&](const Eigen::VectorXd& b, double share, double slope_sd,
                         double log_theta) {
      Eigen::VectorXd start = Eigen::VectorXd::Zero(full.parameters());
      start.head(p) = b;
      start[p] = std::log(share / (1.0 - share)) / full.z(0, 0);
      for (Index j = 1; j < q && slope_sd > 0.0; ++j) start[p + j] = random.normal(0, slope_sd);
      if (full.dispersion) start[p + q] = log_theta;
      starts.push_back(start);
    };
    const double share = std::clamp(zero_share, 0.05, 0.95);
    add(positive, share, 0.0, 1.5);
    add(positive, share / 2.0, 0.0, 0.0);
    add(everyone, share / 2.0, 0.0, moment_log_theta());
    add(everyone, 0.1 * share, 0.0, 3.0);
    for (int i = 0; i < 4; ++i) add(i % 2 == 0 ? positive : everyone, share / 2.0, 1.0, i - 1.0);
    return starts;
  }

  const Eigen::VectorXd& y_;
  const Coordinates& count_;
  const Coordinates& zero_;
};

struct Resolved {
  CountModel model = CountModel::kPoisson;
  Candidate candidate;
};

/// Fits a model, or the simpler one at whose edge its maximum lies (with a note).
Resolved resolve(const Fitter& fitter, CountModel model, std::size_t zeros,
                 std::vector<std::string>& notes) {
  using enum CountModel;
  if (has_zero_part(model) && zeros == 0) {
    notes.push_back("no score is zero: the zero part is not identified");
    return resolve(fitter, has_dispersion(model) ? kNegativeBinomial : kPoisson, zeros, notes);
  }
  Resolved result{model, fitter.fit(model)};
  const auto not_above = [&](CountModel simpler) {
    const double value = fitter.fit(simpler).newton.at.value;
    return result.candidate.newton.at.value <= value + kEqualLikelihood;
  };
  struct Edge {
    CountModel model, simpler;
    const char* note;
  };
  constexpr const char* kNoInflation =
      "no zero inflation: the probability of a structural zero tends to 0";
  for (const Edge& edge :
       {Edge{kNegativeBinomial, kPoisson,
             "theta tends to infinity: no overdispersion, Poisson fitted"},
        Edge{kZeroInflatedNegativeBinomial, kZeroInflatedPoisson,
             "theta tends to infinity: no overdispersion, zero-inflated Poisson fitted"},
        Edge{kZeroInflatedNegativeBinomial, kNegativeBinomial, kNoInflation},
        Edge{kZeroInflatedPoisson, kPoisson, kNoInflation}}) {
    if (model != edge.model || !not_above(edge.simpler)) continue;
    notes.emplace_back(edge.note);
    return resolve(fitter, edge.simpler, zeros, notes);
  }
  return result;
}

/// Estimates, covariance and the direction of divergence in the coordinates of the user.
struct UserScale {
  Eigen::VectorXd estimate;
  Eigen::VectorXd divergence;  ///< zero where a parameter has a finite estimate
  Eigen::MatrixXd covariance;
};

UserScale to_user(const CountProblem& problem, const Coordinates& count, const Coordinates& zero,
                  const NewtonResult& newton) {
  const Index k = problem.parameters();
  const Index p = problem.x.cols();
  const Index q = problem.z.cols();
  Eigen::MatrixXd back = Eigen::MatrixXd::Identity(k, k);
  Eigen::VectorXd scale = Eigen::VectorXd::Ones(k);
  back.topLeftCorner(p, p) = count.back;
  scale.head(p) = count.scale;
  if (q > 0) {
    back.block(p, p, q, q) = zero.back;
    scale.segment(p, q) = zero.scale;
  }
  UserScale user;
  user.estimate = back * newton.x;
  user.divergence = Eigen::VectorXd::Zero(k);
  if (newton.divergence.size() > 0) {
    user.divergence = back * newton.divergence;
    for (Index i = 0; i < k; ++i) {
      if (std::abs(user.divergence[i]) * scale[i] <= kDivergingStep) user.divergence[i] = 0.0;
    }
  }
  user.covariance = Eigen::MatrixXd::Constant(k, k, kNaN);
  std::vector<Index> finite;
  for (Index i = 0; i < k; ++i) {
    if (user.divergence[i] == 0.0) finite.push_back(i);
  }
  const Eigen::MatrixXd information = -newton.at.hessian;
  if (finite.size() == static_cast<std::size_t>(k)) {
    const Eigen::LLT<Eigen::MatrixXd> cholesky(information);
    if (cholesky.info() != Eigen::Success) return user;
    user.covariance = back * cholesky.solve(Eigen::MatrixXd::Identity(k, k)) * back.transpose();
    return user;
  }
  // Parameters that diverge are held at their limit: information of the others alone.
  const Eigen::MatrixXd forward = back.inverse();
  const Eigen::MatrixXd whole = forward.transpose() * information * forward;
  const Eigen::MatrixXd part = whole(finite, finite);
  const Eigen::LLT<Eigen::MatrixXd> cholesky(part);
  if (finite.empty() || cholesky.info() != Eigen::Success) return user;
  const Eigen::MatrixXd inverse =
      cholesky.solve(Eigen::MatrixXd::Identity(part.rows(), part.cols()));
  user.covariance(finite, finite) = inverse;
  return user;
}

Coefficient coefficient(const std::string& term, const UserScale& user, Index i) {
  Coefficient result{term};
  if (user.divergence[i] != 0.0) {
    result.note = fmt::format("no finite estimate (tends to {}infinity): separation",
                              user.divergence[i] < 0.0 ? "minus " : "");
    return result;
  }
  result.estimate = user.estimate[i];
  result.se = std::sqrt(user.covariance(i, i));
  if (std::isnan(result.se)) {
    result.note = "no standard error: the information matrix is not positive definite";
    return result;
  }
  result.z = result.estimate / result.se;
  result.p = normal_two_sided(result.z);
  return result;
}

void set_theta(const UserScale& user, CountFit& fit) {
  const Index last = user.estimate.size() - 1;
  if (user.divergence[last] != 0.0) {
    fit.notes.push_back("theta has no finite positive estimate");
    return;
  }
  fit.log_theta = user.estimate[last];
  fit.log_theta_se = std::sqrt(user.covariance(last, last));
  fit.theta = std::exp(fit.log_theta);
  fit.theta_se = fit.theta * fit.log_theta_se;
}

std::string obstacle(const CountFit& fit, const Coordinates& count, const Coordinates& zero) {
  if (fit.n == 0) return "no participants";
  if (fit.n <= static_cast<std::size_t>(fit.requested_parameters)) {
    return fmt::format("n = {}, a fit of {} parameters needs more", fit.n,
                       fit.requested_parameters);
  }
  if (!count.problem.empty()) return count.problem;
  if (has_zero_part(fit.requested) && !zero.problem.empty()) return zero.problem;
  if (fit.zeros == fit.n) return "every score is zero";
  return {};
}

CountFit empty_fit(std::span<const double> counts, const Design& count_design,
                   const Design& zero_design, CountModel model) {
  CountFit fit;
  fit.requested = fit.fitted = model;
  fit.n = counts.size();
  fit.zeros = static_cast<std::size_t>(std::count(counts.begin(), counts.end(), 0.0));
  for (const std::string& term : count_design.terms) fit.count.push_back({term});
  if (has_zero_part(model)) {
    for (const std::string& term : zero_design.terms) fit.zero.push_back({term});
  }
  fit.requested_parameters =
      static_cast<int>(fit.count.size() + fit.zero.size()) + (has_dispersion(model) ? 1 : 0);
  return fit;
}

void check_input(std::span<const double> counts, const Design& count_design,
                 const Design& zero_design, CountModel model) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (!(counts[i] >= 0.0 && counts[i] <= kMaximalCount && counts[i] == std::floor(counts[i]))) {
      throw core::InputError(
          fmt::format("count {} is {}, expected a whole number from 0 to 1e7", i + 1, counts[i]),
          "round and clip scores first");
    }
  }
  const auto check_rows = [&](const Design& design, const char* part) {
    if (design.values.rows() != static_cast<Index>(counts.size())) {
      throw core::InputError(fmt::format("the design of the {} part has {} rows for {} counts",
                                         part, design.values.rows(), counts.size()));
    }
  };
  check_rows(count_design, "count");
  if (has_zero_part(model)) check_rows(zero_design, "zero");
}

}  // namespace

CountFit fit_counts(std::span<const double> counts, const Design& count_design,
                    const Design& zero_design, CountModel model) {
  check_input(counts, count_design, zero_design, model);
  CountFit fit = empty_fit(counts, count_design, zero_design, model);
  const bool enough = fit.n > static_cast<std::size_t>(fit.requested_parameters);
  const Coordinates count = enough ? orthonormal(count_design) : Coordinates{};
  const Coordinates zero =
      enough && has_zero_part(model) ? orthonormal(zero_design) : Coordinates{};
  fit.unavailable = obstacle(fit, count, zero);
  if (!fit.available()) return fit;

  const Eigen::VectorXd y =
      Eigen::Map<const Eigen::VectorXd>(counts.data(), static_cast<Index>(counts.size()));
  const Fitter fitter(y, count, zero);
  const Resolved resolved = resolve(fitter, model, fit.zeros, fit.notes);
  const NewtonResult& newton = resolved.candidate.newton;
  const CountProblem problem = fitter.problem(resolved.model);
  const UserScale user = to_user(problem, count, zero, newton);

  fit.fitted = resolved.model;
  fit.starts = resolved.candidate.starts;
  fit.starts_at_best = resolved.candidate.at_best;
  fit.converged = newton.converged;
  if (!fit.converged) fit.notes.push_back("the maximisation did not converge");
  for (std::size_t i = 0; i < fit.count.size(); ++i) {
    fit.count[i] = coefficient(count_design.terms[i], user, static_cast<Index>(i));
  }
  for (std::size_t i = 0; i < fit.zero.size(); ++i) {
    if (has_zero_part(fit.fitted)) {
      fit.zero[i] =
          coefficient(zero_design.terms[i], user, problem.x.cols() + static_cast<Index>(i));
    } else {
      fit.zero[i].note =
          fit.zeros == 0 ? "no score is zero: not identified" : "no zero inflation: not identified";
    }
  }
  if (has_dispersion(fit.fitted)) {
    set_theta(user, fit);
  } else if (has_dispersion(model)) {
    fit.theta = fit.log_theta = std::numeric_limits<double>::infinity();
  }
  fit.covariance = user.covariance;
  fit.log_likelihood = newton.at.value;
  fit.parameters = static_cast<int>(problem.parameters());
  fit.aic = 2.0 * fit.parameters - 2.0 * fit.log_likelihood;
  fit.bic = fit.parameters * std::log(static_cast<double>(fit.n)) - 2.0 * fit.log_likelihood;
  return fit;
}

}  // namespace epvs::eval
