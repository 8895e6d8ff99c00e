#include "eval/pair_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/text.h"
#include "eval/agreement.h"
#include "eval/categories.h"
#include "eval/statistics.h"

namespace epvs::eval {

namespace {

constexpr std::array<const char*, 16> kBaseNames = {
    "pearson", "spearman", "icc1", "icc2", "icc3",      "icc1k", "icc2k",   "icc3k",
    "ccc",     "mse",      "rmse", "mae",  "median_ae", "bias",  "loa_low", "loa_high"};
constexpr std::size_t kSpearman = 1;
constexpr std::size_t kMedian = 12;
constexpr std::size_t kPerThreshold = 4;

/// A sum of squares below this share of its parts is rounding: the sample is constant.
constexpr double kConstant = 1e-13;

}  // namespace

std::string categories_text(const std::vector<double>& bounds) {
  std::vector<std::string> parts;
  for (const double bound : bounds) parts.push_back(core::format_number(bound));
  return core::join(parts, "|");
}

std::vector<MetricName> metric_names(const PairOptions& options) {
  std::vector<MetricName> names;
  for (const char* name : kBaseNames) names.push_back({name, ""});
  for (const double threshold : options.thresholds) {
    for (const char* name : {"accuracy", "sensitivity", "specificity", "auc"}) {
      names.push_back({name, ">" + core::format_number(threshold)});
    }
  }
  if (!options.category_bounds.empty()) {
    for (const char* name : {"kappa", "kappa_linear", "kappa_quadratic"}) {
      names.push_back({name, categories_text(options.category_bounds)});
    }
  }
  return names;
}

PairStatistics::Order PairStatistics::sorted(std::span<const double> values) {
  Order order;
  order.units.resize(values.size());
  std::iota(order.units.begin(), order.units.end(), 0U);
  std::stable_sort(order.units.begin(), order.units.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + 1 == values.size() || values[order.units[i + 1]] != values[order.units[i]]) {
      order.ends.push_back(static_cast<std::uint32_t>(i + 1));
    }
  }
  return order;
}

PairStatistics::PairStatistics(std::span<const double> x, std::span<const double> y,
                               const PairOptions& options)
    : n_(x.size()), options_(options) {
  EPVS_ASSERT(n_ > 0 && y.size() == n_);
  std::sort(options_.thresholds.begin(), options_.thresholds.end());
  names_ = metric_names(options_);
  const PairMoments m = pair_moments(x, y);
  center_difference_ = m.mean_d;
  center_shift_ = m.mean_y - m.mean_x;
  columns_.resize(n_ * kSums);
  absolute_.resize(n_);
  for (std::size_t i = 0; i < n_; ++i) {
    const double dx = x[i] - m.mean_x;
    const double dy = y[i] - m.mean_y;
    const double dd = (y[i] - x[i]) - m.mean_d;
    absolute_[i] = std::abs(y[i] - x[i]);
    const std::array<double, kSums> row = {1,       dx,      dy,      dx * dx,
                                           dy * dy, dx * dy, dd * dd, absolute_[i]};
    std::copy(row.begin(), row.end(), columns_.begin() + static_cast<std::ptrdiff_t>(i * kSums));
  }
  order_x_ = sorted(x);
  order_y_ = sorted(y);
  order_absolute_ = sorted(absolute_);
  interval_x_ = categories_of(x, options_.thresholds);
  interval_y_ = categories_of(y, options_.thresholds);
  category_x_ = categories_of(x, options_.category_bounds);
  category_y_ = categories_of(y, options_.category_bounds);
}

PairStatistics::Sums PairStatistics::sums(std::span<const double> weights) const {
  // Two sets of accumulators hide the latency of the additions.
  Sums even{};
  Sums odd{};
  const double* row = columns_.data();
  std::size_t i = 0;
  for (; i + 1 < n_; i += 2, row += 2 * kSums) {
    const double w0 = weights[i];
    const double w1 = weights[i + 1];
    for (std::size_t c = 0; c < kSums; ++c) even[c] += w0 * row[c];
    for (std::size_t c = 0; c < kSums; ++c) odd[c] += w1 * row[kSums + c];
  }
  if (i < n_) {
    for (std::size_t c = 0; c < kSums; ++c) even[c] += weights[i] * row[c];
  }
  for (std::size_t c = 0; c < kSums; ++c) even[c] += odd[c];
  return even;
}

void PairStatistics::moment_metrics(const Sums& s, std::span<double> out) const {
  const double n = s[0];
  const double mx = s[1] / n;
  const double my = s[2] / n;
  const auto centred = [&](double square, double a, double b) { return square - n * a * b; };
  double sxx = centred(s[3], mx, mx);
  double syy = centred(s[4], my, my);
  if (sxx <= kConstant * s[3]) sxx = 0;
  if (syy <= kConstant * s[4]) syy = 0;
  const double sxy = sxx > 0 && syy > 0 ? centred(s[5], mx, my) : 0;
  const double md = my - mx;  // of the centred differences
  double sdd = centred(s[6], md, md);
  if (sdd <= kConstant * s[6]) sdd = 0;
  const double bias = center_difference_ + md;
  const double between_means = center_shift_ + md;
  out[0] =
      sxx > 0 && syy > 0 ? std::clamp(sxy / (std::sqrt(sxx) * std::sqrt(syy)), -1.0, 1.0) : kNaN;
  MeanSquares ms;
  ms.n = static_cast<std::size_t>(std::lround(n));
  ms.k = 2;
  ms.between = (sxx + syy + 2 * sxy) / 2 / (n - 1);
  ms.raters = n * between_means * between_means / 2;
  ms.residual = sdd / 2 / (n - 1);
  ms.within = (ms.raters + sdd / 2) / n;
  const auto forms = icc_values(ms);
  std::copy(forms.begin(), forms.end(), out.begin() + 2);
  const double spread = sxx + syy + n * between_means * between_means;
  out[8] = spread > 0 ? 2 * sxy / spread : kNaN;
  const double mse = sdd / n + bias * bias;
  out[9] = mse;
  out[10] = std::sqrt(mse);
  out[11] = s[7] / n;
  out[13] = bias;
  static const double z = normal_quantile(0.975);
  const double sd = std::sqrt(sdd / (n - 1));
  out[14] = n > 1 ? bias - z * sd : kNaN;
  out[15] = n > 1 ? bias + z * sd : kNaN;
}

void PairStatistics::rank_metrics(std::span<const double> weights, double total,
                                  std::span<double> out, Workspace& work) const {
  work.rank_y.resize(n_);
  double below = 0;
  double syy = 0;
  std::size_t i = 0;
  for (const std::uint32_t end : order_y_.ends) {
    double group = 0;
    for (std::size_t j = i; j < end; ++j) group += weights[order_y_.units[j]];
    const double rank = below + (group + 1) / 2;
    for (; i < end; ++i) work.rank_y[order_y_.units[i]] = rank;
    below += group;
    syy += group * rank * rank;
  }
  below = 0;
  i = 0;
  double sxx = 0;
  double sxy = 0;
  for (const std::uint32_t end : order_x_.ends) {
    double group = 0;
    double ranks = 0;
    for (; i < end; ++i) {
      const std::uint32_t unit = order_x_.units[i];
      group += weights[unit];
      ranks += weights[unit] * work.rank_y[unit];
    }
    const double rank = below + (group + 1) / 2;
    below += group;
    sxx += group * rank * rank;
    sxy += rank * ranks;
  }
  // Sums of multiples of 1/4 below 2^53: exact, so a constant sample gives exactly 0.
  const double mean = (total + 1) / 2;
  sxx -= total * mean * mean;
  syy -= total * mean * mean;
  sxy -= total * mean * mean;
  out[kSpearman] = sxx > 0 && syy > 0 ? std::clamp(sxy / std::sqrt(sxx * syy), -1.0, 1.0) : kNaN;
}

double PairStatistics::weighted_median(std::span<const double> weights, double total) const {
  const double low_rank = std::floor((total + 1) / 2);
  const double high_rank = std::floor(total / 2) + 1;
  double below = 0;
  double low = kNaN;
  for (const std::uint32_t unit : order_absolute_.units) {
    below += weights[unit];
    if (std::isnan(low) && below >= low_rank) low = absolute_[unit];
    if (below >= high_rank) return 0.5 * (low + absolute_[unit]);
  }
  return low;
}

void PairStatistics::threshold_metrics(std::span<const double> weights, std::span<double> out,
                                       Workspace& work) const {
  const std::size_t count = options_.thresholds.size() + 1;
  work.cells.assign(count * count, 0.0);
  work.rank_sums.assign(count, 0.0);
  for (std::size_t i = 0; i < n_; ++i) {
    const auto row = static_cast<std::size_t>(interval_x_[i]);
    work.cells[row * count + static_cast<std::size_t>(interval_y_[i])] += weights[i];
    work.rank_sums[row] += weights[i] * work.rank_y[i];
  }
  for (std::size_t t = 0; t + 1 < count; ++t) {
    double yes_yes = 0, yes = 0, no_no = 0, no = 0, ranks = 0;
    for (std::size_t a = 0; a < count; ++a) {
      for (std::size_t b = 0; b < count; ++b) {
        const double w = work.cells[a * count + b];
        (a > t ? yes : no) += w;
        if (a > t && b > t) yes_yes += w;
        if (a <= t && b <= t) no_no += w;
      }
      if (a > t) ranks += work.rank_sums[a];
    }
    double* result = out.data() + t * kPerThreshold;
    result[0] = (yes_yes + no_no) / (yes + no);
    result[1] = yes > 0 ? yes_yes / yes : kNaN;
    result[2] = no > 0 ? no_no / no : kNaN;
    result[3] = yes > 0 && no > 0 ? (ranks - yes * (yes + 1) / 2) / (yes * no) : kNaN;
  }
}

void PairStatistics::category_metrics(std::span<const double> weights, std::span<double> out,
                                      Workspace& work) const {
  const std::size_t count = options_.category_bounds.size() + 1;
  work.cells.assign(count * count, 0.0);
  for (std::size_t i = 0; i < n_; ++i) {
    work.cells[static_cast<std::size_t>(category_x_[i]) * count +
               static_cast<std::size_t>(category_y_[i])] += weights[i];
  }
  const int size = static_cast<int>(count);
  out[0] = kappa_value(work.cells, size, KappaWeights::kNone);
  out[1] = kappa_value(work.cells, size, KappaWeights::kLinear);
  out[2] = kappa_value(work.cells, size, KappaWeights::kQuadratic);
}

void PairStatistics::evaluate(std::span<const double> weights, const Sums& sums,
                              std::span<double> out, Workspace& work) const {
  moment_metrics(sums, out);
  rank_metrics(weights, sums[0], out, work);
  out[kMedian] = weighted_median(weights, sums[0]);
  std::size_t next = kBaseNames.size();
  if (!options_.thresholds.empty()) {
    threshold_metrics(weights, out.subspan(next), work);
    next += kPerThreshold * options_.thresholds.size();
  }
  if (!options_.category_bounds.empty()) category_metrics(weights, out.subspan(next), work);
}

void PairStatistics::evaluate(std::span<const double> weights, std::span<double> out,
                              Workspace& work) const {
  evaluate(weights, sums(weights), out, work);
}

}  // namespace epvs::eval
