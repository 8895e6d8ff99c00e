// All metrics of one pair of scorers for any weights of its units, in O(n) per evaluation: the
// engine of bootstrap, jackknife and permutation.
//
// A resample is a vector of weights (how often each unit was drawn), so nothing is copied or sorted
// again: moments are weighted sums of prepared columns; ranks and medians come from one pass over
// the order that was sorted once.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace epvs::eval {

struct MetricName {
  std::string metric;
  std::string parameter;
  bool operator==(const MetricName&) const = default;
};

struct PairOptions {
  /// Score thresholds for accuracy, sensitivity, specificity, auc (eval/categories.h).
  std::vector<double> thresholds;
  /// Ascending bounds of categories for kappa, kappa_linear, kappa_quadratic; empty for none.
  std::vector<double> category_bounds;
};

/// pearson spearman icc1..icc3k ccc mse rmse mae median_ae bias loa_low loa_high, then those of the
/// thresholds (parameter ">10") and categories.
std::vector<MetricName> metric_names(const PairOptions& options);

class PairStatistics {
 public:
  static constexpr std::size_t kSums = 8;
  using Sums = std::array<double, kSums>;

  /// x (reference) and y (scorer): n >= 1 finite values each.
  PairStatistics(std::span<const double> x, std::span<const double> y, const PairOptions& options);

  std::size_t units() const { return n_; }
  const std::vector<MetricName>& names() const { return names_; }

  /// Scratch memory of one thread.
  struct Workspace {
    std::vector<double> rank_y;
    std::vector<double> cells;
    std::vector<double> rank_sums;
  };

  /// `weights`: n whole numbers >= 0, not all 0. `out`: names().size() values, NaN where a metric
  /// does not exist for these weights.
  void evaluate(std::span<const double> weights, std::span<double> out, Workspace& work) const;

  /// The same with the moment sums given (a jackknife subtracts its rows from the totals).
  void evaluate(std::span<const double> weights, const Sums& sums, std::span<double> out,
                Workspace& work) const;
  Sums sums(std::span<const double> weights) const;
  std::span<const double, kSums> row(std::size_t unit) const {
    return std::span<const double, kSums>(columns_.data() + unit * kSums, kSums);
  }

 private:
  /// Units in ascending order of a value; groups of equal values end at the marks.
  struct Order {
    std::vector<std::uint32_t> units;
    std::vector<std::uint32_t> ends;
  };
  static Order sorted(std::span<const double> values);

  void moment_metrics(const Sums& sums, std::span<double> out) const;
  void rank_metrics(std::span<const double> weights, double total, std::span<double> out,
                    Workspace& work) const;
  double weighted_median(std::span<const double> weights, double total) const;
  void threshold_metrics(std::span<const double> weights, std::span<double> out,
                         Workspace& work) const;
  void category_metrics(std::span<const double> weights, std::span<double> out,
                        Workspace& work) const;

  std::size_t n_;
  PairOptions options_;
  std::vector<MetricName> names_;
  double center_difference_ = 0;  ///< mean of d, taken off the columns and given back
  double center_shift_ = 0;       ///< mean_y - mean_x, likewise
  std::vector<double> columns_;   ///< n x kSums: 1, x, y, xx, yy, xy, dd (all centred), |d|
  std::vector<double> absolute_;  ///< |d|
  Order order_x_, order_y_, order_absolute_;
  std::vector<int> interval_x_, interval_y_;  ///< between thresholds
  std::vector<int> category_x_, category_y_;
};

/// Text of the column `parameter` of categories: "0|10|20|40".
std::string categories_text(const std::vector<double>& bounds);

}  // namespace epvs::eval
