#include "eval/implants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/bootstrap.h"

namespace epvs::eval {

namespace {

constexpr const char* kHowToName = "evaluate the sessions that epvs implant wrote";

/// "ses-2k05" is number 5 of the series "ses-2".
struct SessionName {
  std::string series;
  int number = 0;
};
SessionName read_session(const core::ScoreKey& key) {
  const std::string& name = key.session_id;
  const std::size_t digits = name.find_last_not_of("0123456789");
  if (digits == std::string::npos || name[digits] != 'k' || digits + 1 == name.size() ||
      name.size() - digits > 7) {
    throw core::InputError(
        fmt::format("{}: the session does not end in k and a number, as ses-k05", key.text()),
        kHowToName);
  }
  return {name.substr(0, digits), std::stoi(name.substr(digits + 1))};
}

/// The series of one scorer among `units`, each in ascending order of its sessions' numbers.
std::vector<ImplantSeries> collect_series(const Dataset& data,
                                          const std::vector<std::size_t>& units,
                                          std::size_t scorer) {
  std::map<std::pair<std::string, std::string>, std::map<int, std::size_t>> scans;
  for (const std::size_t unit : complete_units(data, units, {0, scorer}).units) {
    const SessionName session = read_session(data.units[unit]);
    scans[{data.units[unit].participant_id, session.series}].emplace(session.number, unit);
  }
  std::vector<ImplantSeries> list;
  for (const auto& [name, sessions] : scans) {
    const auto& [first, unit] = *sessions.begin();
    const std::string where = data.units[unit].text();
    if (first != 0) {
      throw core::InputError(fmt::format("{}: no session k00 of the same scan", where), kHowToName);
    }
    if (data.values[0][unit] != 0) {
      throw core::InputError(
          fmt::format("{}: the reference {} is {} where nothing was added, expected 0", where,
                      data.scorers[0], core::format_number(data.values[0][unit])),
          "give truth/truth_counts.tsv of epvs implant and --reference true_count");
    }
    ImplantSeries& one = list.emplace_back();
    one.participant_id = name.first;
    for (const auto& [number, at] : sessions) {
      one.added.push_back(data.values[0][at]);
      one.score.push_back(data.values[scorer][at]);
    }
  }
  return list;
}

/// Replicates and jackknife influence of the three metrics.
struct Resampled {
  std::array<std::vector<double>, 3> values;
  std::array<std::vector<double>, 3> influence;
};
/// Nothing where none are asked for, one participant has no others to be exchanged with, or
/// `obstacle` says why.
std::optional<Resampled> resample(const ImplantStatistics& statistics, const Dataset& data,
                                  const Group& group, const ResamplingOptions& options,
                                  std::string& obstacle) {
  const std::vector<std::string>& people = statistics.participants();
  if (options.bootstrap == 0 || people.size() < 2) return std::nullopt;
  std::map<std::string, std::string> stratum;
  for (const std::size_t unit : group.units) {
    if (!options.strata.empty()) {
      stratum[data.units[unit].participant_id] = options.strata[unit];
    }
  }
  std::vector<std::string> strata;
  if (!stratum.empty()) {
    for (const std::string& person : people) strata.push_back(stratum.at(person));
  }
  const std::string& region = data.units[group.units.front()].region;
  const std::optional<Resampler> resampler =
      make_resampler(people, strata, options,
                     core::mix_seed(options.seed, {"implants", region, group.name}), obstacle);
  if (!resampler) return std::nullopt;
  Resampled result;
  std::vector<double> counts;
  for (std::size_t b = 0; b < resampler->replicates(); ++b) {
    resampler->counts(b, counts);
    const auto values = statistics.evaluate(counts);
    for (std::size_t m = 0; m < 3; ++m) result.values[m].push_back(values[m]);
  }
  const std::size_t n = people.size();
  counts.assign(n, 1.0);
  const auto observed = statistics.evaluate(counts);
  for (std::size_t left_out = 0; left_out < n; ++left_out) {
    counts[left_out] = 0;
    const auto values = statistics.evaluate(counts);
    counts[left_out] = 1;
    for (std::size_t m = 0; m < 3; ++m) {
      result.influence[m].push_back(static_cast<double>(n - 1) * (observed[m] - values[m]));
    }
  }
  return result;
}

}  // namespace

ImplantStatistics::ImplantStatistics(const std::vector<ImplantSeries>& series) {
  for (const ImplantSeries& one : series) {
    EPVS_ASSERT(!one.added.empty() && one.added.size() == one.score.size());
    std::vector<double> difference;
    for (const double score : one.score) difference.push_back(score - one.score.front());
    const auto above = std::span(one.added).subspan(1);
    const PairMoments line = pair_moments(above, std::span(difference).subspan(1));
    if (line.n < 2 || line.constant_x) {
      ++left_out_;
      continue;
    }
    const auto found = std::find(participants_.begin(), participants_.end(), one.participant_id);
    const auto index = static_cast<std::size_t>(found - participants_.begin());
    if (found == participants_.end()) {
      participants_.push_back(one.participant_id);
      sums_.emplace_back();
    }
    Sums& sums = sums_[index];
    const double slope = line.sxy / line.sxx;
    sums.series += 1;
    sums.slope += slope;
    sums.intercept += line.mean_y - slope * line.mean_x;
    const PairMoments all = pair_moments(one.added, difference);
    sums.degrees += static_cast<double>(all.n) - 1;
    sums.kk += all.sxx;
    sums.ks += all.sxy;
    sums.ss += all.syy;
  }
  for (Sums& sums : sums_) {
    sums.slope /= sums.series;
    sums.intercept /= sums.series;
  }
}

std::array<double, 3> ImplantStatistics::evaluate(std::span<const double> weights) const {
  EPVS_ASSERT(weights.size() == sums_.size());
  double n = 0;
  Sums all;
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    n += weights[i];
    all.slope += weights[i] * sums_[i].slope;
    all.intercept += weights[i] * sums_[i].intercept;
    all.kk += weights[i] * sums_[i].kk;
    all.ks += weights[i] * sums_[i].ks;
    all.ss += weights[i] * sums_[i].ss;
  }
  if (n == 0) return {kNaN, kNaN, kNaN};
  const double pearson = all.ss > 0 ? all.ks / std::sqrt(all.kk * all.ss) : kNaN;
  return {all.slope / n, all.intercept / n, pearson};
}

std::array<Estimate, 3> ImplantStatistics::estimates(double confidence) const {
  const auto values = evaluate(std::vector<double>(sums_.size(), 1.0));
  std::array<Estimate, 3> results;
  const double tail = (1 + confidence) / 2;
  for (std::size_t m = 0; m < 3; ++m) results[m].estimate = values[m];
  if (sums_.empty()) {
    for (Estimate& one : results) {
      one.note = "no scan has two different numbers of implants beside k00";
    }
    return results;
  }
  for (const std::size_t m : {0UL, 1UL}) {
    std::vector<double> own;
    for (const Sums& sums : sums_) own.push_back(m == 0 ? sums.slope : sums.intercept);
    const Moments spread = moments(own);
    if (spread.n < 2) {
      results[m].note = "no interval: one participant";
      continue;
    }
    const double n = static_cast<double>(spread.n);
    const double half = t_quantile(tail, n - 1) * std::sqrt(spread.ss / (n - 1) / n);
    results[m].ci_low = values[m] - half;
    results[m].ci_high = values[m] + half;
    results[m].ci_method = "t";
  }
  double degrees = -1;
  for (const Sums& sums : sums_) degrees += sums.degrees;
  Estimate& pearson = results[2];
  if (std::isnan(pearson.estimate)) {
    pearson.note = "the scores do not vary within scans";
  } else if (degrees > 1) {
    const double z = std::atanh(pearson.estimate);
    const double half = normal_quantile(tail) / std::sqrt(degrees - 1);
    pearson.ci_low = std::tanh(z - half);
    pearson.ci_high = std::tanh(z + half);
    pearson.ci_method = "fisher";
  }
  return results;
}

std::vector<MetricRow> implant_rows(const Dataset& data, const core::Table* participants,
                                    const GroupOptions& groups, const EvaluationOptions& options) {
  std::vector<MetricRow> rows;
  for (const std::string& region : data.regions()) {
    for (const Group& group : make_groups(data, region, participants, groups)) {
      for (std::size_t scorer = 1; scorer < data.scorers.size(); ++scorer) {
        const ImplantStatistics statistics(collect_series(data, group.units, scorer));
        const auto closed = statistics.estimates(options.confidence);
        std::string obstacle;
        const std::optional<Resampled> draws =
            resample(statistics, data, group, options.resampling, obstacle);
        const auto add = [&](std::size_t metric, Estimate value) {
          if (statistics.left_out() > 0 && !statistics.participants().empty()) {
            value.add_note(fmt::format("left out {} scans with fewer than two numbers of implants",
                                       statistics.left_out()));
          }
          rows.push_back({region, group.name, statistics.participants().size(), data.scorers[0],
                          data.scorers[scorer], kImplantMetrics[metric], "", std::move(value)});
        };
        for (std::size_t m = 0; m < 3; ++m) {
          const double observed = closed[m].estimate;
          add(m, closed[m]);
          if (!obstacle.empty()) add(m, Estimate::unavailable(obstacle));
          if (!draws) continue;
          add(m, bca_interval(observed, draws->values[m], draws->influence[m], options.confidence));
          add(m, percentile_interval(observed, draws->values[m], options.confidence));
        }
      }
    }
  }
  return rows;
}

}  // namespace epvs::eval
