#include "eval/count_regression.h"

#include <fmt/format.h>

#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "eval/count_likelihood.h"
#include "eval/statistics.h"

namespace epvs::eval {

namespace {

/// Why two fits cannot be compared by their likelihoods; empty when they can.
std::string incomparable(const CountFit& smaller, const CountFit& larger) {
  if (!smaller.available()) return smaller.unavailable;
  if (!larger.available()) return larger.unavailable;
  if (smaller.n != larger.n) {
    return fmt::format("the models were fitted to {} and {} participants", smaller.n, larger.n);
  }
  if (has_zero_part(smaller.requested) != has_zero_part(larger.requested)) {
    return "a model without zero part is no regular point of one with it: compare by AIC";
  }
  if (larger.requested_parameters <= smaller.requested_parameters) {
    return fmt::format("{} parameters against {}: the second model is not larger",
                       smaller.requested_parameters, larger.requested_parameters);
  }
  if (!smaller.converged || !larger.converged) return "a fit did not converge";
  return {};
}

Eigen::VectorXd estimates(const std::vector<Coefficient>& coefficients) {
  Eigen::VectorXd values(static_cast<Eigen::Index>(coefficients.size()));
  for (Eigen::Index i = 0; i < values.size(); ++i) {
    values[i] = coefficients[static_cast<std::size_t>(i)].estimate;
  }
  return values;
}

struct MeanPrediction {
  double mean = 0.0;
  Eigen::VectorXd gradient;  ///< in b and g
};

/// Mean of (1 - p) mu over the rows and its gradient: m x in b, -p m z in g.
MeanPrediction mean_prediction(const Eigen::MatrixXd& x, const Eigen::MatrixXd& z,
                               const Eigen::VectorXd& b, const Eigen::VectorXd& g) {
  const Eigen::VectorXd mu = (x * b).array().exp();
  Eigen::VectorXd p = Eigen::VectorXd::Zero(x.rows());
  if (g.size() > 0) p = (1.0 + (-(z * g)).array().exp()).inverse();
  const Eigen::VectorXd m = (1.0 - p.array()) * mu.array();
  const auto n = static_cast<double>(x.rows());
  MeanPrediction result;
  result.mean = m.sum() / n;
  result.gradient.resize(b.size() + g.size());
  result.gradient.head(b.size()) = x.transpose() * m / n;
  if (g.size() > 0) {
    const Eigen::VectorXd weights = -(p.array() * m.array());
    result.gradient.tail(g.size()) = z.transpose() * weights / n;
  }
  return result;
}

Ratio interval(double log_ratio, double se, double confidence) {
  const double quantile = normal_quantile(0.5 + confidence / 2.0);
  return {std::exp(log_ratio), std::exp(log_ratio - quantile * se),
          std::exp(log_ratio + quantile * se)};
}

}  // namespace

bool has_zero_part(CountModel model) {
  return model == CountModel::kZeroInflatedPoisson ||
         model == CountModel::kZeroInflatedNegativeBinomial;
}

bool has_dispersion(CountModel model) {
  return model == CountModel::kNegativeBinomial ||
         model == CountModel::kZeroInflatedNegativeBinomial;
}

Design make_design(std::size_t n,
                   const std::vector<std::pair<std::string, std::vector<double>>>& covariates) {
  Design design;
  design.values.resize(static_cast<Eigen::Index>(n),
                       static_cast<Eigen::Index>(covariates.size()) + 1);
  design.values.col(0).setOnes();
  design.terms.push_back("intercept");
  for (const auto& [name, values] : covariates) {
    if (values.size() != n) {
      throw core::InputError(
          fmt::format("covariate '{}' has {} values for {} participants", name, values.size(), n));
    }
    const auto column = static_cast<Eigen::Index>(design.terms.size());
    for (std::size_t i = 0; i < n; ++i) {
      if (!std::isfinite(values[i])) {
        throw core::InputError(fmt::format("covariate '{}' of participant {} is {}, expected a "
                                           "finite number",
                                           name, i + 1, values[i]),
                               "drop participants with missing covariates");
      }
      design.values(static_cast<Eigen::Index>(i), column) = values[i];
    }
    design.terms.push_back(name);
  }
  return design;
}

LikelihoodRatioTest likelihood_ratio_test(const CountFit& smaller, const CountFit& larger) {
  LikelihoodRatioTest test;
  test.note = incomparable(smaller, larger);
  if (!test.note.empty()) return test;
  test.statistic = std::max(0.0, 2.0 * (larger.log_likelihood - smaller.log_likelihood));
  test.df = larger.requested_parameters - smaller.requested_parameters;
  test.p = chi_squared_upper(test.statistic, test.df);
  if (has_dispersion(larger.requested) && !has_dispersion(smaller.requested)) {
    if (test.df == 1.0) {
      test.p = test.statistic > 0.0 ? test.p / 2.0 : 1.0;
      test.note = "p halved: the null lies on the edge";
    } else {
      test.note = "conservative: dispersion lies on the edge under the null";
    }
  }
  return test;
}

Ratio ratio_per(const Coefficient& coefficient, double per, double confidence) {
  return interval(per * coefficient.estimate, std::abs(per) * coefficient.se, confidence);
}

OverallRatio overall_ratio(const CountFit& fit, const Design& count_design,
                           const Design& zero_design, Eigen::Index count_term,
                           Eigen::Index zero_term, double per, double confidence) {
  OverallRatio result;
  if (!fit.available()) return result;
  const bool zero_part = has_zero_part(fit.fitted);
  const Eigen::VectorXd b = estimates(fit.count);
  const Eigen::VectorXd g = zero_part ? estimates(fit.zero) : Eigen::VectorXd();
  Eigen::MatrixXd x = count_design.values;
  Eigen::MatrixXd z = zero_part ? zero_design.values : Eigen::MatrixXd(x.rows(), 0);
  const MeanPrediction before = mean_prediction(x, z, b, g);
  if (count_term >= 0) x.col(count_term).array() += per;
  if (zero_term >= 0 && zero_part) z.col(zero_term).array() += per;
  const MeanPrediction after = mean_prediction(x, z, b, g);
  const Eigen::VectorXd gradient = after.gradient / after.mean - before.gradient / before.mean;
  const Eigen::Index k = gradient.size();
  result.log_ratio = std::log(after.mean / before.mean);
  result.se = std::sqrt(gradient.dot(fit.covariance.topLeftCorner(k, k) * gradient));
  result.z = result.log_ratio / result.se;
  result.p = normal_two_sided(result.z);
  result.ratio = interval(result.log_ratio, result.se, confidence);
  return result;
}

namespace {

/// Parameters in the order of count_likelihood.h; not finite where the fit has no value.
Eigen::VectorXd parameters_of(const CountFit& fit) {
  std::vector<double> all;
  for (const Coefficient& c : fit.count) all.push_back(c.estimate);
  if (has_zero_part(fit.fitted)) {
    for (const Coefficient& c : fit.zero) all.push_back(c.estimate);
  }
  if (has_dispersion(fit.fitted)) all.push_back(fit.log_theta);
  return Eigen::Map<Eigen::VectorXd>(all.data(), static_cast<Eigen::Index>(all.size()));
}

/// The log-likelihood of each observation.
std::vector<double> contributions(std::span<const double> counts, const Design& count_design,
                                  const Design& zero_design, const CountFit& fit) {
  const Eigen::VectorXd parameters = parameters_of(fit);
  CountProblem one;
  one.dispersion = has_dispersion(fit.fitted);
  one.y.resize(1);
  std::vector<double> values;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    one.y[0] = counts[i];
    one.x = count_design.values.row(row);
    one.z = has_zero_part(fit.fitted) ? Eigen::MatrixXd(zero_design.values.row(row))
                                      : Eigen::MatrixXd(1, 0);
    values.push_back(count_log_likelihood(one, parameters).value);
  }
  return values;
}

VuongStatistic statistic(double sum, double sd, double n) {
  const double z = sum / (sd * std::sqrt(n));
  return {z, boost::math::cdf(boost::math::complement(boost::math::normal(), std::abs(z)))};
}

}  // namespace

VuongTest vuong_test(std::span<const double> counts, const Design& count_design,
                     const Design& zero_design, const CountFit& inflated, const CountFit& plain) {
  for (const Design* design : {&count_design, &zero_design}) {
    if (static_cast<std::size_t>(design->values.rows()) != counts.size()) {
      throw core::InputError(fmt::format("{} counts and a design of {} rows, expected as many",
                                         counts.size(), design->values.rows()));
    }
  }
  VuongTest test;
  const auto without = [&test](const std::string& reason) {
    test.note = reason;
    return test;
  };
  if (!inflated.available() || !plain.available()) return without("a model has no fit");
  if (inflated.n != counts.size() || plain.n != counts.size()) {
    return without("the models were fitted to other participants");
  }
  if (!has_zero_part(inflated.fitted) || has_zero_part(plain.fitted)) {
    return without("no zero inflation was fitted: nothing to compare");
  }
  if (!parameters_of(inflated).allFinite() || !parameters_of(plain).allFinite()) {
    return without("a coefficient has no finite value");
  }
  const std::vector<double> a = contributions(counts, count_design, zero_design, inflated);
  const std::vector<double> b = contributions(counts, count_design, zero_design, plain);
  const auto n = static_cast<double>(counts.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] - b[i];
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += std::pow(a[i] - b[i] - sum / n, 2);
  const double sd = std::sqrt(squares / (n - 1));
  if (!(sd > 0)) return without("both models fit every observation equally well");
  const auto coefficients = [](const CountFit& fit) {
    return fit.parameters - (has_dispersion(fit.fitted) ? 1 : 0);
  };
  const double more = coefficients(inflated) - coefficients(plain);
  test.raw = statistic(sum, sd, n);
  test.aic = statistic(sum - more, sd, n);
  test.bic = statistic(sum - more * std::log(n) / 2, sd, n);
  return test;
}

}  // namespace epvs::eval
