#include "eval/vuong.h"

#include <fmt/format.h>

#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "eval/count_likelihood.h"

namespace epvs::eval {

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
  VuongStatistic result;
  result.z = sum / (sd * std::sqrt(n));
  result.p = boost::math::cdf(boost::math::complement(boost::math::normal(), std::abs(result.z)));
  return result;
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
