#include "eval/dependent_correlations.h"

#include <fmt/format.h>

#include <cmath>

#include "eval/distributions.h"

namespace epvs::eval {

namespace {

double determinant(double r12, double r13, double r23) {
  return 1 - r12 * r12 - r13 * r13 - r23 * r23 + 2 * r12 * r13 * r23;
}

/// Why the three correlations cannot be compared; empty when they can.
std::string obstacle(std::size_t n, double r12, double r13, double r23) {
  if (std::isnan(r12) || std::isnan(r13) || std::isnan(r23)) return "a correlation does not exist";
  if (n < 4) return fmt::format("n = {}, at least 4 are needed", n);
  if (std::abs(r23) >= 1) return "the two scorers are perfectly correlated";
  if (std::abs(r12) >= 1 || std::abs(r13) >= 1) return "a correlation is perfect";
  if (determinant(r12, r13, r23) < -1e-12) return "the three correlations contradict each other";
  return {};
}

/// Zou 2007: the interval of r12 - r13 from the two Fisher intervals and their correlation.
void add_zou(Estimate& result, std::size_t n, double r12, double r13, double r23,
             double confidence) {
  const double half = normal_quantile(0.5 + confidence / 2) / std::sqrt(static_cast<double>(n) - 3);
  const double l12 = std::tanh(std::atanh(r12) - half);
  const double u12 = std::tanh(std::atanh(r12) + half);
  const double l13 = std::tanh(std::atanh(r13) - half);
  const double u13 = std::tanh(std::atanh(r13) + half);
  const double c =
      ((r23 - 0.5 * r12 * r13) * (1 - r12 * r12 - r13 * r13 - r23 * r23) + r23 * r23 * r23) /
      ((1 - r12 * r12) * (1 - r13 * r13));
  const auto width = [c](double a, double b) {
    return std::sqrt(std::max(0.0, a * a + b * b - 2 * c * a * b));
  };
  result.ci_low = result.estimate - width(r12 - l12, u13 - r13);
  result.ci_high = result.estimate + width(u12 - r12, r13 - l13);
  result.ci_method = "zou";
}

}  // namespace

Estimate williams(std::size_t n, double r12, double r13, double r23, double confidence) {
  const std::string reason = obstacle(n, r12, r13, r23);
  if (!reason.empty()) return Estimate::unavailable(reason);
  const double size = static_cast<double>(n);
  const double mean = (r12 + r13) / 2;
  const double cube = (1 - r23) * (1 - r23) * (1 - r23);
  const double scale =
      2 * (size - 1) / (size - 3) * determinant(r12, r13, r23) + mean * mean * cube;
  Estimate result;
  result.estimate = r12 - r13;
  result.statistic =
      result.estimate == 0 ? 0 : result.estimate * std::sqrt((size - 1) * (1 + r23) / scale);
  result.df1 = size - 3;
  result.p = t_two_sided(result.statistic, result.df1);
  add_zou(result, n, r12, r13, r23, confidence);
  return result;
}

Estimate steiger(std::size_t n, double r12, double r13, double r23, double confidence) {
  const std::string reason = obstacle(n, r12, r13, r23);
  if (!reason.empty()) return Estimate::unavailable(reason);
  const double m = (r12 + r13) / 2;
  const double m2 = m * m;
  // Steiger's covariance s = [r23 (1 - 2 m2) - m2 (1 - 2 m2 - r23^2) / 2] / (1 - m2)^2 enters as
  // 1 - s only, which in terms of d = 1 - r23 is free of cancellation.
  const double d = 1 - r23;
  const double one_minus_covariance = d * ((1 - m2) - m2 * d / 2) / ((1 - m2) * (1 - m2));
  Estimate result;
  result.estimate = r12 - r13;
  result.statistic = (std::atanh(r12) - std::atanh(r13)) *
                     std::sqrt((static_cast<double>(n) - 3) / (2 * one_minus_covariance));
  result.p = normal_two_sided(result.statistic);
  add_zou(result, n, r12, r13, r23, confidence);
  return result;
}

Estimate steiger_disjoint(std::size_t n, double r12, double r34, double r13, double r14, double r23,
                          double r24) {
  if (n < 4) return Estimate::unavailable(fmt::format("n = {}, at least 4 are needed", n));
  if (std::abs(r12) >= 1 || std::abs(r34) >= 1) {
    return Estimate::unavailable("a correlation is perfect");
  }
  const double m = (r12 + r34) / 2;
  const double psi = 0.5 * ((r13 - m * r23) * (r24 - r23 * m) + (r14 - r13 * m) * (r23 - m * r13) +
                            (r13 - r14 * m) * (r24 - m * r14) + (r14 - m * r24) * (r23 - r24 * m));
  const double covariance = psi / ((1 - m * m) * (1 - m * m));
  Estimate result;
  result.estimate = r12 - r34;
  result.statistic = (std::atanh(r12) - std::atanh(r34)) *
                     std::sqrt((static_cast<double>(n) - 3) / (2 - 2 * covariance));
  result.p = normal_two_sided(result.statistic);
  return result;
}

double williams_smallest_r23(std::size_t n, double r12, double r13, double p) {
  // |R| >= 0 bounds r23; both bounds make t large, so the search comes down from the upper one.
  const double root = std::sqrt((1 - r12 * r12) * (1 - r13 * r13));
  const double bottom = r12 * r13 - root + 1e-9;
  double high = r12 * r13 + root - 1e-9;
  const auto below = [&](double r23) { return williams(n, r12, r13, r23).p < p; };
  if (!below(high)) return kNaN;
  constexpr int kSteps = 4096;
  const double step = (high - bottom) / kSteps;
  double low = high;
  for (int i = 0; i < kSteps && below(low); ++i) {
    high = low;
    low -= step;
  }
  if (below(low)) return bottom;
  while (high - low > 1e-14) {
    const double middle = 0.5 * (low + high);
    if (middle == low || middle == high) break;
    (below(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace epvs::eval
