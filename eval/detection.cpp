#include "eval/detection.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/random.h"
#include "eval/detection_match.h"

namespace epvs::eval {
namespace {

/// One step of the pooled curve, and whose it is.
struct PooledEvent {
  double weight = 0.0;
  bool is_hit = false;
  std::size_t participant = 0;
};

/// What a participant adds to sums.
struct ParticipantSums {
  double scans = 0.0;
  double truths = 0.0;
};

struct Pool {
  std::vector<ParticipantSums> participants;
  std::vector<PooledEvent> events;  // falling weight
};

Pool pool(const std::vector<DetectionScan>& scans, double radius_mm) {
  Pool result;
  std::map<std::string, std::size_t> number;
  for (const DetectionScan& scan : scans) {
    const auto [place, is_new] =
        number.try_emplace(scan.participant_id, result.participants.size());
    if (is_new) result.participants.emplace_back();
    ParticipantSums& sums = result.participants[place->second];
    sums.scans += 1.0;
    sums.truths += static_cast<double>(scan.truths.size());
    for (const DetectionEvent& event : detection_events(scan, radius_mm)) {
      result.events.push_back({event.weight, event.is_hit, place->second});
    }
  }
  std::stable_sort(result.events.begin(), result.events.end(),
                   [](const PooledEvent& a, const PooledEvent& b) { return a.weight > b.weight; });
  return result;
}

double ratio(double numerator, double denominator) {
  return denominator > 0.0 ? numerator / denominator : kNaN;
}

/// The numbers of one (re)sample: `times[p]` copies of participant p.
struct Replicate {
  double truths = 0.0;
  double hits = 0.0;        // at the operating point
  double detections = 0.0;  // at the operating point
  double sensitivity = kNaN;
  double precision = kNaN;
  double f1 = kNaN;
  double fps_per_scan = kNaN;
  std::vector<double> froc;
  double froc_mean = kNaN;
};

Replicate replicate(const Pool& pool, const std::vector<double>& times,
                    const DetectionOptions& options) {
  Replicate result;
  double scans = 0.0;
  for (std::size_t p = 0; p < times.size(); ++p) {
    scans += times[p] * pool.participants[p].scans;
    result.truths += times[p] * pool.participants[p].truths;
  }
  result.froc.assign(options.fp_rates.size(), 0.0);
  double hits = 0.0;
  double false_positives = 0.0;
  for (std::size_t i = 0; i < pool.events.size(); ++i) {
    const PooledEvent& event = pool.events[i];
    (event.is_hit ? hits : false_positives) += times[event.participant];
    if (std::isnan(options.threshold) || event.weight >= options.threshold) {
      result.hits = hits;
      result.detections = hits + false_positives;
    }
    // Equal weights enter together.
    if (i + 1 < pool.events.size() && pool.events[i + 1].weight == event.weight) continue;
    for (std::size_t rate = 0; rate < options.fp_rates.size(); ++rate) {
      if (false_positives <= options.fp_rates[rate] * scans) result.froc[rate] = hits;
    }
  }
  result.sensitivity = ratio(result.hits, result.truths);
  result.precision = ratio(result.hits, result.detections);
  result.f1 = ratio(2.0 * result.hits, result.truths + result.detections);
  result.fps_per_scan = ratio(result.detections - result.hits, scans);
  double sum = 0.0;
  for (double& value : result.froc) {
    value = ratio(value, result.truths);
    sum += value;
  }
  result.froc_mean = ratio(sum, static_cast<double>(result.froc.size()));
  return result;
}

/// Quantile of sorted values as R's type 7.
double quantile(const std::vector<double>& sorted, double probability) {
  const double position = probability * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Estimate with_interval(double estimate, std::vector<double> values, std::size_t participants,
                       const DetectionOptions& options, const char* undefined) {
  Estimate result;
  result.estimate = estimate;
  if (std::isnan(estimate)) {
    result.note = undefined;
    return result;
  }
  if (participants < 3) {
    result.note = fmt::format("{} participants, an interval needs 3", participants);
    return result;
  }
  const std::size_t all = values.size();
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (all == 0) return result;
  if (values.size() < all) {
    result.note = fmt::format("{} of {} resamples had no such value", all - values.size(), all);
  }
  if (values.empty()) return result;
  std::sort(values.begin(), values.end());
  result.ci_low = quantile(values, (1.0 - options.confidence) / 2.0);
  result.ci_high = quantile(values, (1.0 + options.confidence) / 2.0);
  result.ci_method = "bootstrap_percentile_participants";
  return result;
}

std::vector<FrocPoint> curve_of(const Pool& pool) {
  double scans = 0.0;
  double truths = 0.0;
  for (const ParticipantSums& sums : pool.participants) {
    scans += sums.scans;
    truths += sums.truths;
  }
  std::vector<FrocPoint> curve;
  FrocPoint point;
  for (std::size_t i = 0; i < pool.events.size(); ++i) {
    ++(pool.events[i].is_hit ? point.hits : point.false_positives);
    if (i + 1 < pool.events.size() && pool.events[i + 1].weight == pool.events[i].weight) continue;
    point.threshold = pool.events[i].weight;
    const auto hits = static_cast<double>(point.hits);
    const auto false_positives = static_cast<double>(point.false_positives);
    point.sensitivity = ratio(hits, truths);
    point.precision = ratio(hits, hits + false_positives);
    point.fps_per_scan = ratio(false_positives, scans);
    curve.push_back(point);
  }
  return curve;
}

DetectionSummary summarise(const std::vector<DetectionScan>& scans, const Pool& pooled,
                           const DetectionOptions& options,
                           const std::vector<std::vector<std::size_t>>& resamples) {
  const std::size_t n = pooled.participants.size();
  const Replicate all = replicate(pooled, std::vector<double>(n, 1.0), options);
  std::vector<Replicate> replicates;
  for (const auto& resample : resamples) {
    std::vector<double> times(n, 0.0);
    for (const std::size_t participant : resample) {
      EPVS_ASSERT(participant < n);
      times[participant] += 1.0;
    }
    replicates.push_back(replicate(pooled, times, options));
  }
  const auto estimate = [&](auto&& value, const char* undefined) {
    std::vector<double> values;
    values.reserve(replicates.size());
    for (const Replicate& one : replicates) values.push_back(value(one));
    return with_interval(value(all), std::move(values), n, options, undefined);
  };
  DetectionSummary summary;
  summary.participants = n;
  summary.scans = scans.size();
  summary.truths = static_cast<std::size_t>(all.truths);
  summary.detections = static_cast<std::size_t>(all.detections);
  summary.hits = static_cast<std::size_t>(all.hits);
  const char* no_truth = "no truth points";
  summary.sensitivity = estimate([](const Replicate& r) { return r.sensitivity; }, no_truth);
  summary.precision = estimate([](const Replicate& r) { return r.precision; }, "no detections");
  summary.f1 = estimate([](const Replicate& r) { return r.f1; }, "no truth and no detections");
  summary.fps_per_scan = estimate([](const Replicate& r) { return r.fps_per_scan; }, "no scans");
  for (std::size_t rate = 0; rate < options.fp_rates.size(); ++rate) {
    summary.froc.push_back(estimate([&](const Replicate& r) { return r.froc[rate]; }, no_truth));
  }
  summary.froc_mean = estimate([](const Replicate& r) { return r.froc_mean; },
                               options.fp_rates.empty() ? "no rates were asked for" : no_truth);
  summary.curve = curve_of(pooled);
  return summary;
}

}  // namespace

void DetectionOptions::validate() const {
  const auto refuse = [](const std::string& option, double value, const char* expected) {
    throw core::UsageError(fmt::format("{} = {}, expected {}", option, value, expected));
  };
  if (!(radius_mm > 0.0) || !std::isfinite(radius_mm)) {
    refuse("radius_mm", radius_mm, "a number above 0");
  }
  if (std::isinf(threshold)) refuse("threshold", threshold, "a finite number");
  for (const double rate : fp_rates) {
    if (!(rate >= 0.0) || std::isinf(rate)) refuse("fp_rates", rate, "numbers of at least 0");
  }
  if (bootstrap < 0) refuse("bootstrap", bootstrap, "at least 0 resamples");
  if (!(confidence > 0.0 && confidence < 1.0)) refuse("confidence", confidence, "between 0 and 1");
}

DetectionSummary evaluate_detections(const std::vector<DetectionScan>& scans,
                                     const DetectionOptions& options) {
  options.validate();
  const Pool pooled = pool(scans, options.radius_mm);
  const std::size_t n = pooled.participants.size();
  std::vector<std::vector<std::size_t>> resamples;
  for (int i = 0; i < options.bootstrap && n >= 3; ++i) {
    core::Random random(core::mix_seed(options.seed, {"detection bootstrap", i}));
    std::vector<std::size_t> resample(n);
    for (std::size_t& participant : resample) {
      participant = static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(n) - 1));
    }
    resamples.push_back(std::move(resample));
  }
  return summarise(scans, pooled, options, resamples);
}

DetectionSummary evaluate_detections(const std::vector<DetectionScan>& scans,
                                     const DetectionOptions& options,
                                     const std::vector<std::vector<std::size_t>>& resamples) {
  options.validate();
  return summarise(scans, pool(scans, options.radius_mm), options, resamples);
}

}  // namespace epvs::eval
