#include "eval/agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "eval/distributions.h"
#include "eval/moments.h"

namespace epvs::eval {

namespace {

/// The mean of `values` with its t interval and test against 0.
Estimate mean_estimate(std::span<const double> values, double confidence, bool with_test) {
  const Moments m = moments(values);
  if (m.n == 0) return Estimate::unavailable("n = 0");
  Estimate result;
  result.estimate = m.mean;
  if (m.n < 3) {
    result.note = fmt::format("no interval: n = {}, at least 3 are needed", m.n);
    return result;
  }
  const double n = static_cast<double>(m.n);
  const double se = std::sqrt(m.ss / (n - 1) / n);
  const double half = t_quantile(0.5 + confidence / 2, n - 1) * se;
  result.ci_low = m.mean - half;
  result.ci_high = m.mean + half;
  result.ci_method = "t";
  if (with_test) {
    result.df1 = n - 1;
    result.statistic = m.mean / se;
    result.p = t_two_sided(result.statistic, result.df1);
    if (std::isnan(result.statistic)) result.note = "no test: all differences are 0";
  }
  return result;
}

/// Order statistics x(l), x(n+1-l) with l the largest for which coverage is at least `confidence`.
Estimate median_estimate(std::span<const double> values, double confidence) {
  if (values.empty()) return Estimate::unavailable("n = 0");
  Estimate result;
  result.estimate = median(values);
  const std::size_t n = values.size();
  const double tail = (1 - confidence) / 2;
  std::size_t low = 0;
  const double size = static_cast<double>(n);
  // Start below by the normal approximation, then step up: P(B <= low) <= tail.
  const double guess = 0.5 * size + normal_quantile(tail) * 0.5 * std::sqrt(size) - 3;
  if (guess > 0) low = static_cast<std::size_t>(guess);
  while (low > 0 && binomial_cdf(static_cast<double>(low) - 1, size, 0.5) > tail) --low;
  while (low < n && binomial_cdf(static_cast<double>(low), size, 0.5) <= tail) ++low;
  if (low == 0) {
    result.note = fmt::format("no interval: n = {} is too few for the median", n);
    return result;
  }
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  result.ci_low = sorted[low - 1];
  result.ci_high = sorted[n - low];
  result.ci_method = "order_statistics";
  return result;
}

Estimate root(Estimate squared) {
  squared.estimate = std::sqrt(squared.estimate);
  squared.ci_low = std::sqrt(std::max(0.0, squared.ci_low));
  squared.ci_high = std::sqrt(squared.ci_high);
  if (squared.ci_method.empty()) squared.ci_low = squared.ci_high = kNaN;
  return squared;
}

Estimate limit(const PairMoments& m, double sign, double confidence) {
  const double n = static_cast<double>(m.n);
  if (m.n < 3) {
    return Estimate::unavailable(fmt::format("n = {}, at least 3 are needed", m.n));
  }
  const double z = normal_quantile(0.975);
  const double sd = std::sqrt(m.sdd / (n - 1));
  Estimate result;
  result.estimate = m.mean_d + sign * z * sd;
  const double se = sd * std::sqrt(1 / n + z * z / (2 * (n - 1)));
  const double half = t_quantile(0.5 + confidence / 2, n - 1) * se;
  result.ci_low = result.estimate - half;
  result.ci_high = result.estimate + half;
  result.ci_method = "bland_altman";
  return result;
}

}  // namespace

AgreementEstimates agreement(std::span<const double> x, std::span<const double> y,
                             double confidence) {
  const PairMoments m = pair_moments(x, y);
  std::vector<double> difference(m.n), absolute(m.n), squared(m.n);
  for (std::size_t i = 0; i < m.n; ++i) {
    difference[i] = y[i] - x[i];
    absolute[i] = std::abs(difference[i]);
    squared[i] = difference[i] * difference[i];
  }
  AgreementEstimates result;
  result.mse = mean_estimate(squared, confidence, false);
  result.mse.ci_low = std::max(0.0, result.mse.ci_low);
  if (result.mse.ci_method.empty()) result.mse.ci_low = kNaN;
  result.rmse = root(result.mse);
  result.mae = mean_estimate(absolute, confidence, false);
  if (!result.mae.ci_method.empty()) result.mae.ci_low = std::max(0.0, result.mae.ci_low);
  result.median_ae = median_estimate(absolute, confidence);
  result.bias = mean_estimate(difference, confidence, true);
  result.loa_low = limit(m, -1, confidence);
  result.loa_high = limit(m, 1, confidence);
  return result;
}

Estimate concordance(std::span<const double> x, std::span<const double> y, double confidence) {
  const PairMoments m = pair_moments(x, y);
  if (m.n < 3) return Estimate::unavailable(fmt::format("n = {}, at least 3 are needed", m.n));
  const double n = static_cast<double>(m.n);
  const double shift = n * m.mean_d * m.mean_d;
  if (m.sxx + m.syy + shift == 0) {
    return Estimate::unavailable("reference and scorer are one constant");
  }
  Estimate result;
  const double c = 2 * m.sxy / (m.sxx + m.syy + shift);
  result.estimate = c;
  if (m.constant_x || m.constant_y) {
    result.note = "no interval: a constant scorer";
    return result;
  }
  const double r = m.sxy / std::sqrt(m.sxx * m.syy);
  const double u2 = shift / std::sqrt(m.sxx * m.syy);
  // Lin 2000's variance of c, multiplied out so that r = 0 (then c = 0) needs no division by r:
  // c / r = 2 / (v + 1/v + u^2) is the bias correction factor, finite for every r.
  const double cb = 2 * std::sqrt(m.sxx * m.syy) / (m.sxx + m.syy + shift);
  const double variance = ((1 - r * r) * cb * cb * (1 - c * c) + 2 * c * c * cb * (1 - c) * u2 -
                           0.5 * c * c * cb * cb * u2 * u2) /
                          (n - 2);
  if (!(variance >= 0) || std::abs(c) >= 1) {
    result.note = "no interval: complete concordance";
    return result;
  }
  const double z = std::atanh(c);
  const double half = normal_quantile(0.5 + confidence / 2) * std::sqrt(variance) / (1 - c * c);
  result.ci_low = std::tanh(z - half);
  result.ci_high = std::tanh(z + half);
  result.ci_method = "lin";
  return result;
}

}  // namespace epvs::eval
