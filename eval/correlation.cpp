#include "eval/correlation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "eval/statistics.h"

namespace epvs::eval {

namespace {

constexpr std::size_t kExactUpTo = 9;
constexpr std::size_t kEdgeworthUpTo = 1290;

/// Why no correlation exists; empty when it does.
std::string obstacle(const PairMoments& m) {
  if (m.n < 3) return fmt::format("n = {}, at least 3 are needed", m.n);
  if (m.constant_x && m.constant_y) return "reference and scorer are constant";
  if (m.constant_x) return "the reference is constant";
  if (m.constant_y) return "the scorer is constant";
  return {};
}

double correlation(const PairMoments& m) {
  const double product = m.sxx * m.syy;
  const bool in_range = std::isnormal(product);
  const double scale = in_range ? std::sqrt(product) : std::sqrt(m.sxx) * std::sqrt(m.syy);
  return std::clamp(m.sxy / scale, -1.0, 1.0);
}

void add_z_interval(Estimate& result, double standard_error, double confidence,
                    const char* method) {
  const double z = std::atanh(result.estimate);
  const double half = normal_quantile(0.5 + confidence / 2) * standard_error;
  result.ci_low = std::tanh(z - half);
  result.ci_high = std::tanh(z + half);
  result.ci_method = method;
}

double t_of(double r, std::size_t n) {
  return r * std::sqrt(static_cast<double>(n - 2)) / std::sqrt((1 - r) * (1 + r));
}

double exact_upper(double s, std::size_t n) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  double all = 0;
  double reached = 0;
  do {
    int sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const int difference = order[i] - static_cast<int>(i);
      sum += difference * difference;
    }
    all += 1;
    if (sum >= s) reached += 1;
  } while (std::next_permutation(order.begin(), order.end()));
  return reached / all;
}

double edgeworth(double s, std::size_t n, bool lower_tail) {
  const double b = 1.0 / static_cast<double>(n);
  const double nn = static_cast<double>(n) * static_cast<double>(n);
  const double x = (6 * (s - 1) * b / (nn - 1) - 1) * std::sqrt(1 / b - 1);
  const double y = x * x;
  const double u =
      x * b *
      (0.2274 + b * (0.2531 + 0.1745 * b) +
       y * (-0.0758 + b * (0.1033 + 0.3932 * b) -
            y * b *
                (0.0879 + 0.0151 * b - y * (0.0072 - 0.0831 * b + y * b * (0.0131 - 4.6e-4 * y)))));
  const double correction = u / std::exp(y / 2);
  const double p = lower_tail ? normal_cdf(x) - correction : normal_upper(x) + correction;
  return std::clamp(p, 0.0, 1.0);
}

bool has_ties(std::span<const double> x) {
  std::vector<double> sorted(x.begin(), x.end());
  std::sort(sorted.begin(), sorted.end());
  return std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
}

}  // namespace

Estimate pearson(std::span<const double> x, std::span<const double> y, double confidence) {
  const PairMoments m = pair_moments(x, y);
  const std::string reason = obstacle(m);
  if (!reason.empty()) return Estimate::unavailable(reason);
  Estimate result;
  result.estimate = correlation(m);
  result.df1 = static_cast<double>(m.n - 2);
  result.statistic = t_of(result.estimate, m.n);
  result.p = t_two_sided(result.statistic, result.df1);
  if (m.n > 3) {
    add_z_interval(result, 1 / std::sqrt(static_cast<double>(m.n - 3)), confidence, "fisher");
  } else {
    result.note = "no interval: n = 3, Fisher's z needs at least 4";
  }
  return result;
}

std::vector<double> mid_ranks(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  std::vector<double> ranks(x.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && x[order[end]] == x[order[begin]]) ++end;
    const double rank = 0.5 * static_cast<double>(begin + 1 + end);
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
    begin = end;
  }
  return ranks;
}

double spearman_s_probability(double s, std::size_t n, bool lower_tail) {
  const double size = static_cast<double>(n);
  const double largest = size * (size * size - 1) / 3;
  if (s <= 0) return lower_tail ? 0 : 1;
  if (s > largest) return lower_tail ? 1 : 0;
  if (n > kExactUpTo) return edgeworth(s, n, lower_tail);
  const double upper = exact_upper(s, n);
  return lower_tail ? 1 - upper : upper;
}

Estimate spearman(std::span<const double> x, std::span<const double> y, double confidence) {
  const std::string reason = obstacle(pair_moments(x, y));
  if (!reason.empty()) return Estimate::unavailable(reason);
  const std::size_t n = x.size();
  const PairMoments m = pair_moments(mid_ranks(x), mid_ranks(y));
  Estimate result;
  result.estimate = correlation(m);
  const double size = static_cast<double>(n);
  const double middle = (size * size * size - size) / 6;
  result.statistic = middle * (1 - result.estimate);
  const bool ties = has_ties(x) || has_ties(y);
  if (!ties && n <= kEdgeworthUpTo) {
    const bool lower = !(result.statistic > middle);
    const double s = std::round(result.statistic) + (lower ? 2 : 0);
    result.p = std::min(1.0, 2 * spearman_s_probability(s, n, lower));
  } else {
    result.df1 = size - 2;
    result.p = t_two_sided(t_of(result.estimate, n), result.df1);
  }
  if (n > 3) {
    const double se = std::sqrt((1 + result.estimate * result.estimate / 2) / (size - 3));
    add_z_interval(result, se, confidence, "bonett_wright");
  } else {
    result.note = "no interval: n = 3, Fisher's z needs at least 4";
  }
  return result;
}

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
