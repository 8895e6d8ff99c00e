#include "eval/age_bins.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "eval/statistics.h"

namespace epvs::eval {
namespace {

constexpr double kMaximalBins = 10000.0;

AgeBin summarise(double low, double high, const std::vector<double>& values, double confidence) {
  AgeBin bin{low, high, values.size(), kNaN, kNaN, kNaN, kNaN, {}};
  if (values.empty()) {
    bin.note = "no participant";
    return bin;
  }
  const auto n = static_cast<double>(values.size());
  double sum = 0.0;
  for (const double value : values) sum += value - values[0];
  bin.mean = values[0] + sum / n;
  if (values.size() < 2) {
    bin.note = "n = 1, an interval needs 2";
    return bin;
  }
  double squares = 0.0;
  for (const double value : values) squares += (value - bin.mean) * (value - bin.mean);
  bin.sd = std::sqrt(squares / (n - 1.0));
  const double t = t_quantile(0.5 + confidence / 2.0, n - 1.0);
  bin.ci_low = bin.mean - t * bin.sd / std::sqrt(n);
  bin.ci_high = bin.mean + t * bin.sd / std::sqrt(n);
  return bin;
}

}  // namespace

void AgeBinOptions::validate() const {
  if (!(width > 0.0) || !std::isfinite(width)) {
    throw core::UsageError(fmt::format("bin width = {}, expected a number above 0", width));
  }
  if (!std::isfinite(origin)) {
    throw core::UsageError(fmt::format("bin origin = {}, expected a finite number", origin));
  }
  if (!(confidence > 0.0 && confidence < 1.0)) {
    throw core::UsageError(fmt::format("confidence = {}, expected between 0 and 1", confidence),
                           "0.95 is usual");
  }
}

std::vector<AgeBin> mean_by_age(std::span<const double> ages, std::span<const double> scores,
                                const AgeBinOptions& options) {
  options.validate();
  if (ages.size() != scores.size()) {
    throw core::InputError(
        fmt::format("{} ages and {} scores, expected as many", ages.size(), scores.size()));
  }
  std::vector<std::pair<double, double>> pairs;
  for (std::size_t i = 0; i < ages.size(); ++i) {
    if (std::isnan(ages[i]) || std::isnan(scores[i])) continue;
    if (std::isinf(ages[i]) || std::isinf(scores[i])) {
      throw core::InputError(
          fmt::format("pair {} is ({}, {}), expected finite numbers", i + 1, ages[i], scores[i]));
    }
    pairs.emplace_back(std::floor((ages[i] - options.origin) / options.width), scores[i]);
  }
  if (pairs.empty()) return {};
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const double first = pairs.front().first;
  const double last = pairs.back().first;
  if (last - first + 1.0 > kMaximalBins) {
    throw core::InputError(fmt::format("bins of width {} over this range would be {:.0f}, at most "
                                       "{:.0f} are made",
                                       options.width, last - first + 1.0, kMaximalBins),
                           "choose a larger width or correct the covariate");
  }
  std::vector<AgeBin> bins;
  std::size_t next = 0;
  const auto count = static_cast<std::size_t>(last - first) + 1;
  for (std::size_t k = 0; k < count; ++k) {
    const double index = first + static_cast<double>(k);
    std::vector<double> values;
    for (; next < pairs.size() && pairs[next].first == index; ++next) {
      values.push_back(pairs[next].second);
    }
    bins.push_back(summarise(options.origin + index * options.width,
                             options.origin + (index + 1.0) * options.width, values,
                             options.confidence));
  }
  return bins;
}

}  // namespace epvs::eval
