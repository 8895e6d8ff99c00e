#include "eval/categories.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "eval/correlation.h"
#include "eval/statistics.h"

namespace epvs::eval {

namespace {

double weight(int i, int j, int count, KappaWeights weights) {
  if (weights == KappaWeights::kNone) return i == j ? 1 : 0;
  if (count < 2) return 1;
  const double distance = std::abs(i - j) / static_cast<double>(count - 1);
  return 1 - (weights == KappaWeights::kLinear ? distance : distance * distance);
}

/// Shares of the cells with their margins.
struct Shares {
  std::vector<double> cell, row, column;
  double total = 0;
};

Shares shares(std::span<const double> cells, int count) {
  const auto size = static_cast<std::size_t>(count);
  EPVS_ASSERT(cells.size() == size * size);
  Shares s{std::vector<double>(cells.begin(), cells.end()), std::vector<double>(size, 0.0),
           std::vector<double>(size, 0.0), 0};
  for (const double value : s.cell) s.total += value;
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      s.cell[i * size + j] /= s.total;
      s.row[i] += s.cell[i * size + j];
      s.column[j] += s.cell[i * size + j];
    }
  }
  return s;
}

struct Agreement {
  double observed = 0;
  double expected = 0;
};

Agreement weighted_agreement(const Shares& s, int count, KappaWeights weights) {
  Agreement result;
  const auto size = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      const double w = weight(static_cast<int>(i), static_cast<int>(j), count, weights);
      result.observed += w * s.cell[i * size + j];
      result.expected += w * s.row[i] * s.column[j];
    }
  }
  return result;
}

/// n times the variance of kappa.
double kappa_variance(const Shares& s, const Agreement& a, int count, KappaWeights weights) {
  const auto size = static_cast<std::size_t>(count);
  std::vector<double> row_mean(size, 0.0), column_mean(size, 0.0);
  const auto w = [&](std::size_t i, std::size_t j) {
    return weight(static_cast<int>(i), static_cast<int>(j), count, weights);
  };
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      row_mean[i] += w(i, j) * s.column[j];
      column_mean[j] += w(i, j) * s.row[i];
    }
  }
  const double po = a.observed;
  const double pe = a.expected;
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      const double term = w(i, j) * (1 - pe) - (row_mean[i] + column_mean[j]) * (1 - po);
      sum += s.cell[i * size + j] * term * term;
    }
  }
  const double last = po * pe - 2 * pe + po;
  return (sum - last * last) / std::pow(1 - pe, 4);
}

/// Area under the curve of the scores of positives against negatives, with DeLong's variance.
Estimate area(const std::vector<double>& positive, const std::vector<double>& negative,
              double confidence) {
  if (positive.empty()) return Estimate::unavailable("no reference score is above the threshold");
  if (negative.empty())
    return Estimate::unavailable("every reference score is above the threshold");
  std::vector<double> all = positive;
  all.insert(all.end(), negative.begin(), negative.end());
  const std::vector<double> joint = mid_ranks(all);
  const std::vector<double> among_positive = mid_ranks(positive);
  const std::vector<double> among_negative = mid_ranks(negative);
  const double m = static_cast<double>(positive.size());
  const double n = static_cast<double>(negative.size());
  std::vector<double> v10, v01;
  for (std::size_t i = 0; i < positive.size(); ++i) {
    v10.push_back((joint[i] - among_positive[i]) / n);
  }
  for (std::size_t i = 0; i < negative.size(); ++i) {
    v01.push_back(1 - (joint[positive.size() + i] - among_negative[i]) / m);
  }
  Estimate result;
  const Moments positives = moments(v10);
  const Moments negatives = moments(v01);
  result.estimate = positives.mean;
  if (m < 2 || n < 2) {
    result.note = "no interval: fewer than two on one side of the threshold";
    return result;
  }
  const double variance = positives.ss / (m - 1) / m + negatives.ss / (n - 1) / n;
  const double half = normal_quantile(0.5 + confidence / 2) * std::sqrt(variance);
  result.ci_low = std::max(0.0, result.estimate - half);
  result.ci_high = std::min(1.0, result.estimate + half);
  result.ci_method = "delong";
  return result;
}

}  // namespace

Estimate proportion(double successes, double n, double confidence) {
  if (!(n > 0)) return Estimate::unavailable("n = 0");
  const double z = normal_quantile(0.5 + confidence / 2);
  const double share = successes / n;
  const double center = (share + z * z / (2 * n)) / (1 + z * z / n);
  const double half =
      z / (1 + z * z / n) * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  Estimate result;
  result.estimate = share;
  result.ci_low = std::max(0.0, center - half);
  result.ci_high = std::min(1.0, center + half);
  result.ci_method = "wilson";
  return result;
}

ThresholdEstimates at_threshold(std::span<const double> x, std::span<const double> y,
                                double threshold, double confidence) {
  std::vector<double> positive, negative;
  double true_yes = 0;
  double true_no = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool yes = x[i] > threshold;
    (yes ? positive : negative).push_back(y[i]);
    if (yes && y[i] > threshold) true_yes += 1;
    if (!yes && !(y[i] > threshold)) true_no += 1;
  }
  ThresholdEstimates result;
  result.accuracy = proportion(true_yes + true_no, static_cast<double>(x.size()), confidence);
  result.sensitivity = proportion(true_yes, static_cast<double>(positive.size()), confidence);
  result.specificity = proportion(true_no, static_cast<double>(negative.size()), confidence);
  if (positive.empty()) result.sensitivity.note = "no reference score is above the threshold";
  if (negative.empty()) result.specificity.note = "every reference score is above the threshold";
  result.auc = area(positive, negative, confidence);
  return result;
}

std::vector<int> categories_of(std::span<const double> scores, std::span<const double> bounds) {
  std::vector<int> result;
  result.reserve(scores.size());
  for (const double score : scores) {
    result.push_back(
        static_cast<int>(std::lower_bound(bounds.begin(), bounds.end(), score) - bounds.begin()));
  }
  return result;
}

double kappa_value(std::span<const double> cells, int count, KappaWeights weights) {
  const Agreement a = weighted_agreement(shares(cells, count), count, weights);
  return a.expected < 1 ? (a.observed - a.expected) / (1 - a.expected) : kNaN;
}

Estimate kappa(std::span<const int> x, std::span<const int> y, int count, KappaWeights weights,
               double confidence) {
  const auto size = static_cast<std::size_t>(count);
  if (x.size() < 3) {
    return Estimate::unavailable(fmt::format("n = {}, at least 3 are needed", x.size()));
  }
  std::vector<double> cells(size * size, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    cells[static_cast<std::size_t>(x[i]) * size + static_cast<std::size_t>(y[i])] += 1;
  }
  const Shares s = shares(cells, count);
  const Agreement a = weighted_agreement(s, count, weights);
  if (!(a.expected < 1)) {
    return Estimate::unavailable("reference and scorer use one and the same category only");
  }
  Estimate result;
  result.estimate = (a.observed - a.expected) / (1 - a.expected);
  const double variance =
      std::max(0.0, kappa_variance(s, a, count, weights)) / static_cast<double>(x.size());
  const double half = normal_quantile(0.5 + confidence / 2) * std::sqrt(variance);
  result.ci_low = std::max(-1.0, result.estimate - half);
  result.ci_high = std::min(1.0, result.estimate + half);
  result.ci_method = "fleiss_cohen_everitt";
  return result;
}

}  // namespace epvs::eval
