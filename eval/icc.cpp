#include "eval/icc.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "core/error.h"
#include "eval/distributions.h"
#include "eval/moments.h"

namespace epvs::eval {

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
