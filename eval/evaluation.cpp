#include "eval/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/text.h"

namespace epvs::eval {

namespace {

using core::UsageError;

const std::vector<std::string> kFamilyColumns = {"region", "group",    "test",
                                                 "metric", "scorer_a", "scorer_b"};

std::string family_value(const ComparisonRow& row, const std::string& column) {
  if (column == "region") return row.region;
  if (column == "group") return row.group;
  if (column == "test") return row.test;
  if (column == "metric") return row.metric;
  if (column == "scorer_a") return row.scorer_a;
  return row.scorer_b;
}

}  // namespace

void EvaluationOptions::validate() const {
  if (!(confidence > 0 && confidence < 1)) {
    throw UsageError(
        fmt::format("--confidence = {}: violated constraint 0 < confidence < 1", confidence));
  }
  if (together.size() == 1) {
    throw UsageError("--together names one scorer, two or more are needed");
  }
  if (!std::is_sorted(cuts.category_bounds.begin(), cuts.category_bounds.end()) ||
      std::adjacent_find(cuts.category_bounds.begin(), cuts.category_bounds.end()) !=
          cuts.category_bounds.end()) {
    throw UsageError("--categories = " + categories_text(cuts.category_bounds) +
                     ": violated constraint: each bound is above the one before");
  }
  for (const std::string& column : family_by) {
    if (std::find(kFamilyColumns.begin(), kFamilyColumns.end(), column) == kFamilyColumns.end()) {
      throw UsageError(fmt::format("--family-by: unknown column '{}'{}", column,
                                   core::did_you_mean(column, kFamilyColumns)));
    }
  }
}

Complete complete_units(const Dataset& data, const std::vector<std::size_t>& units,
                        const std::vector<std::size_t>& scorers) {
  Complete result;
  result.columns.resize(scorers.size());
  for (const std::size_t unit : units) {
    const bool complete = std::none_of(scorers.begin(), scorers.end(), [&](std::size_t s) {
      return std::isnan(data.values[s][unit]);
    });
    if (!complete) continue;
    result.units.push_back(unit);
    for (std::size_t i = 0; i < scorers.size(); ++i) {
      result.columns[i].push_back(data.values[scorers[i]][unit]);
    }
  }
  return result;
}

void adjust_families(std::vector<ComparisonRow>& rows, const EvaluationOptions& options) {
  std::map<std::string, std::vector<std::size_t>> families;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<std::string> parts;
    for (const std::string& column : options.family_by) {
      parts.push_back(column + "=" + family_value(rows[i], column));
    }
    families[parts.empty() ? "all comparisons" : core::join(parts, ";")].push_back(i);
  }
  for (const auto& [name, members] : families) {
    std::vector<double> p;
    for (const std::size_t i : members) p.push_back(rows[i].value.p);
    const std::vector<double> adjusted = adjust(p, options.adjustment);
    const auto tests = std::count_if(p.begin(), p.end(), [](double v) { return !std::isnan(v); });
    for (std::size_t j = 0; j < members.size(); ++j) {
      ComparisonRow& row = rows[members[j]];
      row.p_adjusted = adjusted[j];
      row.adjustment = core::to_text(options.adjustment);
      row.family =
          fmt::format("{}{} ({} tests)",
                      options.family_name.empty() ? "" : options.family_name + ": ", name, tests);
    }
  }
}

Evaluation evaluate(const Dataset& data, const core::Table* participants,
                    const GroupOptions& groups, const EvaluationOptions& options) {
  options.validate();
  for (const std::string& name : options.together) {
    if (std::find(data.scorers.begin(), data.scorers.end(), name) == data.scorers.end()) {
      throw UsageError(fmt::format("--together: no table has the scorer '{}'{}", name,
                                   core::did_you_mean(name, data.scorers)));
    }
  }
  std::vector<std::pair<std::string, Group>> work;
  for (const std::string& region : data.regions()) {
    for (Group& group : make_groups(data, region, participants, groups)) {
      work.emplace_back(region, std::move(group));
    }
  }
  Evaluation result;
  for (std::size_t i = 0; i < work.size(); ++i) {
    evaluate_group(data, work[i].first, work[i].second, options, result);
    if (options.progress) options.progress(i + 1, work.size());
  }
  adjust_families(result.comparisons, options);
  return result;
}

}  // namespace epvs::eval
