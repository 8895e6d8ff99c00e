#include "eval/reliability_tables.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "core/error.h"
#include "core/text.h"
#include "eval/agreement.h"
#include "eval/correlation.h"
#include "eval/reliability.h"

namespace epvs::eval {
namespace {

/// A dataset as the scores table that pair_sessions reads.
core::ScoresTable as_scores(const Dataset& data) {
  core::ScoresTable table;
  table.source = "the joined scores";
  table.scorers = data.scorers;
  table.keys = data.units;
  for (std::size_t unit = 0; unit < data.units.size(); ++unit) {
    std::vector<double> row;
    for (const auto& values : data.values) row.push_back(values[unit]);
    table.values.push_back(std::move(row));
    table.has_session |= !data.units[unit].session_id.empty();
    table.has_region |= !data.units[unit].region.empty();
  }
  return table;
}

Estimate of(double value, const std::string& note) {
  Estimate estimate;
  estimate.estimate = value;
  estimate.note = note;
  return estimate;
}

Estimate of(const PooledCorrelation& pooled, const std::string& note) {
  Estimate estimate = of(pooled.r, note);
  estimate.ci_low = pooled.ci_low;
  estimate.ci_high = pooled.ci_high;
  if (!std::isnan(pooled.r)) estimate.ci_method = "fisher";
  return estimate;
}

/// The rows of one region and scorer.
class HeterogeneityWriter {
 public:
  /// `labels`: the value of `column` of every unit.
  HeterogeneityWriter(const Dataset& data, const std::string& region, std::size_t scorer,
                      const std::string& column, const std::vector<std::string>& labels,
                      std::vector<MetricRow>& rows)
      : data_(data), region_(region), scorer_(scorer), column_(column), rows_(rows) {
    pairs_ = complete_units(data, data.units_of(region), {0, scorer});
    for (const std::size_t unit : pairs_.units) labels_.push_back(labels[unit]);
  }

  void pooled(double confidence) {
    std::map<std::string, std::vector<std::size_t>> members;
    for (std::size_t i = 0; i < labels_.size(); ++i) members[labels_[i]].push_back(i);
    std::vector<GroupCorrelation> groups;
    for (const auto& [label, rows] : members) {
      const Complete part = pick(rows);
      groups.push_back({label, rows.size(), pearson(part.columns[0], part.columns[1]).estimate});
    }
    const CorrelationHeterogeneity h = correlation_heterogeneity(groups, confidence);
    std::string note = h.note;
    if (!h.left_out.empty()) {
      note += (note.empty() ? "" : "; ") + ("left out " + core::join(h.left_out, ", "));
    }
    Estimate q = of(h.q, note);
    q.statistic = h.q;
    q.df1 = h.df;
    q.p = h.p;
    add("all", h.n, "heterogeneity_q", q);
    Estimate i2 = of(h.i2, note);
    i2.ci_low = h.i2_low;
    i2.ci_high = h.i2_high;
    if (!std::isnan(h.i2_low)) i2.ci_method = "higgins_thompson";
    add("all", h.n, "heterogeneity_i2", i2);
    add("all", h.n, "heterogeneity_tau2", of(h.tau2, note));
    add("all", h.n, "pearson_fixed", of(h.fixed, note));
    add("all", h.n, "pearson_random", of(h.random, note));
  }

  void without_each() {
    using Scores = std::span<const double>;
    using Metric = double (*)(Scores, Scores);
    const std::vector<std::pair<std::string, Metric>> metrics = {
        {"pearson", [](Scores x, Scores y) { return pearson(x, y).estimate; }},
        {"icc2", [](Scores x, Scores y) { return icc(x, y)[1].estimate; }},
        {"mae", [](Scores x, Scores y) { return agreement(x, y).mae.estimate; }}};
    for (const auto& [name, metric] : metrics) {
      const auto table =
          leave_one_group_out(labels_, [&, m = metric](const std::vector<std::size_t>& rows) {
            const Complete part = pick(rows);
            return m(part.columns[0], part.columns[1]);
          });
      for (const LeaveOneOut& row : table) {
        const std::string group = column_ + "!=" + row.left_out_group;
        const std::string note = std::isnan(row.estimate) ? "not defined without this group" : "";
        add(group, row.n, name + "_without", of(row.estimate, note));
        add(group, row.n, name + "_without_difference", of(row.difference, note));
      }
    }
  }

 private:
  Complete pick(const std::vector<std::size_t>& rows) const {
    std::vector<std::size_t> units;
    for (const std::size_t row : rows) units.push_back(pairs_.units[row]);
    return complete_units(data_, units, {0, scorer_});
  }

  void add(const std::string& group, std::size_t n, const std::string& metric, Estimate value) {
    rows_.push_back({region_, group, n, data_.scorers[0], data_.scorers[scorer_], metric,
                     "by=" + column_, std::move(value)});
  }

  const Dataset& data_;
  const std::string& region_;
  std::size_t scorer_;
  const std::string& column_;
  std::vector<MetricRow>& rows_;
  Complete pairs_;
  std::vector<std::string> labels_;  ///< of pairs_.units
};

/// Participants with equal values of columns that belong to participants.
struct ParticipantGroup {
  std::string name;
  std::optional<std::set<std::string>> members;  ///< nothing: everyone

  RescanPairs pick(const RescanPairs& from) const {
    if (!members) return from;
    RescanPairs part{from.scorer, from.region, {}, {}};
    for (const RescanPair& pair : from.pairs) {
      if (members->contains(pair.participant_id)) part.pairs.push_back(pair);
    }
    for (const std::string& participant : from.left_out) {
      if (members->contains(participant)) part.left_out.push_back(participant);
    }
    return part;
  }
};

/// Everyone, then the groups in order of column and value.
std::vector<ParticipantGroup> participant_groups(const Dataset& data,
                                                 const core::Table* participants,
                                                 const std::vector<std::string>& group_by) {
  std::vector<ParticipantGroup> groups = {{"all", std::nullopt}};
  for (const std::string& entry : group_by) {
    for (const std::string& column : core::split(entry, ':')) {
      if (column == "session_id" || column == "fold" || column == "repeat") {
        throw core::UsageError(
            fmt::format("repeat scans cannot be grouped by {}: a pair of scans has two", column),
            "group them by columns of participants.tsv");
      }
    }
    const std::vector<std::string> names = group_names(data, participants, entry);
    std::map<std::string, std::set<std::string>> members;
    for (std::size_t i = 0; i < names.size(); ++i) {
      members[names[i]].insert(data.units[i].participant_id);
    }
    for (auto& [name, people] : members) groups.push_back({name, std::move(people)});
  }
  return groups;
}

void require_disjoint(const Dataset& validation, const Dataset& test) {
  std::set<std::string> people;
  for (const core::ScoreKey& key : validation.units) people.insert(key.participant_id);
  for (const core::ScoreKey& key : test.units) {
    if (!people.contains(key.participant_id)) continue;
    throw core::InputError(
        fmt::format("{} is among the calibration and the test participants", key.participant_id),
        "calibrate on participants that are not evaluated");
  }
}

}  // namespace

std::vector<MetricRow> rescan_rows(const Dataset& data, const RescanOptions& options,
                                   double confidence, const core::Table* participants,
                                   const std::vector<std::string>& group_by) {
  const core::ScoresTable table = as_scores(data);
  const std::string parameter =
      "sessions=" + (options.first_session.empty()
                         ? std::string("both")
                         : options.first_session + "," + options.second_session);
  const std::vector<ParticipantGroup> groups = participant_groups(data, participants, group_by);
  std::vector<MetricRow> rows;
  for (const std::string& region : data.regions()) {
    for (const ParticipantGroup& group : groups) {
      for (const std::string& scorer : data.scorers) {
        const RescanPairs pairs = group.pick(pair_sessions(table, scorer, region, options));
        if (pairs.pairs.empty() && pairs.left_out.empty()) continue;  // not in this region
        std::vector<double> first;
        std::vector<double> second;
        for (const RescanPair& pair : pairs.pairs) {
          first.push_back(pair.first);
          second.push_back(pair.second);
        }
        const RescanAgreement result = rescan_agreement(first, second, confidence);
        const auto add = [&](const std::string& metric, Estimate value) {
          if (!pairs.left_out.empty()) {
            value.note += fmt::format("{}{} participants without a pair",
                                      value.note.empty() ? "" : "; ", pairs.left_out.size());
          }
          rows.push_back(
              {region, group.name, result.n, scorer, scorer, metric, parameter, std::move(value)});
        };
        for (std::size_t i = 0; i < result.icc.size(); ++i) {
          add(std::string("rescan_") + kIccNames[i], result.icc[i]);
        }
        add("within_subject_sd", result.within_subject_sd);
        add("repeatability_coefficient", result.repeatability_coefficient);
        add("rescan_bias", result.bias);
      }
    }
  }
  return rows;
}

std::vector<MetricRow> heterogeneity_rows(const Dataset& data, const core::Table* participants,
                                          const std::string& column, double confidence) {
  const std::vector<std::string> labels = unit_column(data, participants, column);
  if (std::set<std::string>(labels.begin(), labels.end()).size() > kMaximumGroups) {
    throw core::UsageError(
        fmt::format("heterogeneity by '{}': more than {} different values", column, kMaximumGroups),
        "choose a column of categories, such as scanner");
  }
  std::vector<MetricRow> rows;
  for (const std::string& region : data.regions()) {
    for (std::size_t scorer = 1; scorer < data.scorers.size(); ++scorer) {
      HeterogeneityWriter writer(data, region, scorer, column, labels, rows);
      writer.pooled(confidence);
      writer.without_each();
    }
  }
  return rows;
}

core::Table calibrate_dataset(const Dataset& validation, Dataset& test,
                              const std::vector<std::string>& scorers,
                              const CalibrationOptions& options) {
  require_disjoint(validation, test);
  core::Table table({"region", "scorer", "reference", "target", "n", "intercept", "slope",
                     "icc_before", "icc_after", "sign_flipped", "note"});
  std::vector<std::string> names = scorers;
  if (names.empty()) names.assign(test.scorers.begin() + 1, test.scorers.end());
  for (const std::string& region : test.regions()) {
    for (const std::string& name : names) {
      const Complete pairs =
          complete_units(validation, validation.units_of(region), {0, validation.scorer(name)});
      if (pairs.units.empty()) {
        throw core::InputError(
            fmt::format("no calibration participant has both {} and {}{}", validation.scorers[0],
                        name, region.empty() ? "" : " in region " + region),
            "score the validation participants too");
      }
      const Calibration c = calibrate(pairs.columns[0], pairs.columns[1], options);
      std::vector<double>& values = test.values[test.scorer(name)];
      for (const std::size_t unit : test.units_of(region)) {
        values[unit] = c.intercept + c.slope * values[unit];
      }
      table.add(region, name, validation.scorers[0], core::to_text(options.target), c.n,
                c.intercept, c.slope, c.icc_before, c.icc_after, c.sign_flipped ? "yes" : "no",
                c.note);
    }
  }
  return table;
}

}  // namespace epvs::eval
