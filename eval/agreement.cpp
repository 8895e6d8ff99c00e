#include "eval/agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "eval/statistics.h"

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

MeanSquares mean_squares(std::span<const std::span<const double>> columns) {
  MeanSquares ms;
  ms.k = columns.size();
  ms.n = columns.empty() ? 0 : columns.front().size();
  if (ms.n < 2 || ms.k < 2) return ms;
  const double n = static_cast<double>(ms.n);
  const double k = static_cast<double>(ms.k);
  const double shift = columns[0][0];
  std::vector<double> row_mean(ms.n, 0.0);
  std::vector<double> rater_mean(ms.k, 0.0);
  std::vector<double> shifted(ms.n);
  for (std::size_t j = 0; j < ms.k; ++j) {
    EPVS_ASSERT(columns[j].size() == ms.n);
    for (std::size_t i = 0; i < ms.n; ++i) {
      shifted[i] = columns[j][i] - shift;
      row_mean[i] += shifted[i] / k;
    }
    rater_mean[j] = moments(shifted).mean;
  }
  const double grand = moments(row_mean).mean;
  double raters = 0;
  for (const double mean : rater_mean) raters += (mean - grand) * (mean - grand);
  double residual = 0;
  for (std::size_t j = 0; j < ms.k; ++j) {
    for (std::size_t i = 0; i < ms.n; ++i) {
      const double value = (columns[j][i] - shift) - row_mean[i] - rater_mean[j] + grand;
      residual += value * value;
    }
  }
  const double ss_between = k * moments(row_mean).ss;
  const double ss_raters = n * raters;
  ms.between = ss_between / (n - 1);
  ms.raters = ss_raters / (k - 1);
  ms.residual = residual / ((n - 1) * (k - 1));
  ms.within = (ss_raters + residual) / (n * (k - 1));
  return ms;
}

std::array<double, 6> icc_values(const MeanSquares& ms) {
  const double n = static_cast<double>(ms.n);
  const double k = static_cast<double>(ms.k);
  const double b = ms.between;
  return {(b - ms.within) / (b + (k - 1) * ms.within),
          (b - ms.residual) / (b + (k - 1) * ms.residual + k * (ms.raters - ms.residual) / n),
          (b - ms.residual) / (b + (k - 1) * ms.residual),
          (b - ms.within) / b,
          (b - ms.residual) / (b + (ms.raters - ms.residual) / n),
          (b - ms.residual) / b};
}

namespace {

/// Single-rater interval of forms 1 and 3 from F = MSB / MSerror; the k-form follows from it.
void exact_interval(Estimate& single, Estimate& mean, double k, double confidence) {
  const double upper = 0.5 + confidence / 2;
  const double low = single.statistic / f_quantile(upper, single.df1, single.df2);
  const double high = single.statistic * f_quantile(upper, single.df2, single.df1);
  const auto form = [k](double f) { return std::isinf(f) ? 1.0 : (f - 1) / (f + k - 1); };
  single.ci_low = form(low);
  single.ci_high = form(high);
  mean.ci_low = 1 - 1 / low;
  mean.ci_high = 1 - 1 / high;
  single.ci_method = mean.ci_method = "f";
}

/// Form 2: Satterthwaite's degrees of freedom (Shrout & Fleiss 1979, p. 424).
void satterthwaite_interval(const MeanSquares& ms, Estimate& single, Estimate& mean,
                            double confidence) {
  const double n = static_cast<double>(ms.n);
  const double k = static_cast<double>(ms.k);
  const double fj = ms.raters / ms.residual;
  const double rho = single.estimate;
  const double common = n * (1 + (k - 1) * rho) - k * rho;
  const double numerator = k * rho * fj + common;
  const double v = (k - 1) * (n - 1) * numerator * numerator /
                   ((n - 1) * k * k * rho * rho * fj * fj + common * common);
  if (!std::isfinite(v) || !(v > 0)) {
    single.note = mean.note = "no interval: no residual variance";
    return;
  }
  const double upper = 0.5 + confidence / 2;
  const double f_low = f_quantile(upper, n - 1, v);
  const double f_high = f_quantile(upper, v, n - 1);
  const double others = k * ms.raters + (k * n - k - n) * ms.residual;
  single.ci_low = n * (ms.between - f_low * ms.residual) / (f_low * others + n * ms.between);
  single.ci_high = n * (f_high * ms.between - ms.residual) / (others + n * f_high * ms.between);
  const auto of_mean = [k](double r) { return r * k / (1 + r * (k - 1)); };
  mean.ci_low = of_mean(single.ci_low);
  mean.ci_high = of_mean(single.ci_high);
  single.ci_method = mean.ci_method = "f_satterthwaite";
}

}  // namespace

std::array<Estimate, 6> icc(std::span<const std::span<const double>> columns, double confidence) {
  std::array<Estimate, 6> result;
  const auto refuse = [&](const std::string& reason) {
    result.fill(Estimate::unavailable(reason));
    return result;
  };
  const MeanSquares ms = mean_squares(columns);
  if (ms.k < 2) return refuse("at least two scorers are needed");
  if (ms.n < 3) return refuse(fmt::format("n = {}, at least 3 are needed", ms.n));
  bool varies = false;
  for (const auto& column : columns) varies = varies || moments(column).ss > 0;
  if (!varies) return refuse("every scorer is constant");
  const double n = static_cast<double>(ms.n);
  const double k = static_cast<double>(ms.k);
  const std::array<double, 6> values = icc_values(ms);
  for (std::size_t i = 0; i < 6; ++i) {
    const bool one_way = i % 3 == 0;
    result[i].estimate = values[i];
    result[i].statistic = ms.between / (one_way ? ms.within : ms.residual);
    result[i].df1 = n - 1;
    result[i].df2 = one_way ? n * (k - 1) : (n - 1) * (k - 1);
    result[i].p = f_upper(result[i].statistic, result[i].df1, result[i].df2);
    if (std::isnan(result[i].estimate)) result[i].note = "no variance between participants";
  }
  exact_interval(result[0], result[3], k, confidence);
  satterthwaite_interval(ms, result[1], result[4], confidence);
  exact_interval(result[2], result[5], k, confidence);
  return result;
}

std::array<Estimate, 6> icc(std::span<const double> x, std::span<const double> y,
                            double confidence) {
  const std::array<std::span<const double>, 2> columns = {x, y};
  return icc(columns, confidence);
}

}  // namespace epvs::eval
