#include "eval/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <span>

#include "core/error.h"
#include "core/text.h"
#include "eval/agreement.h"
#include "eval/correlation.h"
#include "eval/dependent_correlations.h"
#include "eval/icc.h"

namespace epvs::eval {

namespace {

using core::UsageError;

const std::vector<std::string> kFamilyColumns = {"region", "group",    "test",
                                                 "metric", "scorer_a", "scorer_b"};

struct NamedEstimate {
  std::string metric;
  std::string parameter;
  Estimate value;
};

/// Everything there is to say about one pair; x is the reference.
std::vector<NamedEstimate> pair_metrics(std::span<const double> x, std::span<const double> y,
                                        const EvaluationOptions& options) {
  const double confidence = options.confidence;
  std::vector<NamedEstimate> list;
  list.push_back({"pearson", "", pearson(x, y, confidence)});
  list.push_back({"spearman", "", spearman(x, y, confidence)});
  const auto forms = icc(x, y, confidence);
  for (std::size_t i = 0; i < forms.size(); ++i) list.push_back({kIccNames[i], "", forms[i]});
  list.push_back({"ccc", "", concordance(x, y, confidence)});
  const AgreementEstimates errors = agreement(x, y, confidence);
  list.push_back({"mse", "", errors.mse});
  list.push_back({"rmse", "", errors.rmse});
  list.push_back({"mae", "", errors.mae});
  list.push_back({"median_ae", "", errors.median_ae});
  list.push_back({"bias", "", errors.bias});
  list.push_back({"loa_low", "", errors.loa_low});
  list.push_back({"loa_high", "", errors.loa_high});
  return list;
}

void add_note(Estimate& value, const std::string& note) {
  if (note.empty()) return;
  value.note = value.note.empty() ? note : value.note + "; " + note;
}

/// The evaluation of one region and group.
class GroupEvaluator {
 public:
  GroupEvaluator(const Dataset& data, const std::string& region, const Group& group,
                 const EvaluationOptions& options, Evaluation& out)
      : data_(data), region_(region), group_(group), options_(options), out_(out) {}

  void run() {
    const std::size_t scorers = data_.scorers.size();
    for (std::size_t a = 0; a < scorers; ++a) {
      for (std::size_t b = a + 1; b < scorers; ++b) {
        if (a == 0 || options_.all_pairs) add_pair(a, b);
      }
    }
    if (!options_.together.empty()) add_together();
    for (std::size_t a = 1; a < scorers; ++a) {
      for (std::size_t b = a + 1; b < scorers; ++b) add_comparison(a, b);
    }
  }

 private:
  /// Too few units, or how many were lost.
  std::string small(std::size_t n) const {
    if (n >= options_.minimum_n) return {};
    return fmt::format("n = {}, below the minimum of {}", n, options_.minimum_n);
  }
  std::string loss(std::size_t n) const {
    if (n == group_.units.size()) return {};
    return fmt::format("{} of {} units lack a score", group_.units.size() - n, group_.units.size());
  }

  void add_pair(std::size_t a, std::size_t b) {
    const Complete pair = complete_units(data_, group_.units, {a, b});
    const std::size_t n = pair.units.size();
    const std::string reason = small(n);
    for (NamedEstimate& entry : pair_metrics(pair.columns[0], pair.columns[1], options_)) {
      if (!reason.empty()) entry.value = Estimate::unavailable(reason);
      add_note(entry.value, loss(n));
      out_.metrics.push_back({region_, group_.name, n, data_.scorers[a], data_.scorers[b],
                              entry.metric, entry.parameter, std::move(entry.value)});
    }
  }

  void add_together() {
    std::vector<std::size_t> scorers;
    for (const std::string& name : options_.together) scorers.push_back(data_.scorer(name));
    const Complete all = complete_units(data_, group_.units, scorers);
    const std::size_t n = all.units.size();
    std::vector<std::span<const double>> columns(all.columns.begin(), all.columns.end());
    const std::string reason = small(n);
    auto forms = icc(columns, options_.confidence);
    for (std::size_t i = 0; i < forms.size(); ++i) {
      if (!reason.empty()) forms[i] = Estimate::unavailable(reason);
      add_note(forms[i], loss(n));
      out_.metrics.push_back({region_, group_.name, n, core::kMissing,
                              core::join(options_.together, "+"), kIccNames[i], "",
                              std::move(forms[i])});
    }
  }

  void add_comparison(std::size_t a, std::size_t b) {
    const Complete triple = complete_units(data_, group_.units, {0, a, b});
    const std::size_t n = triple.units.size();
    const std::string reason = small(n);
    const auto& c = triple.columns;
    const double r12 = pearson(c[0], c[1]).estimate;
    const double r13 = pearson(c[0], c[2]).estimate;
    const double r23 = pearson(c[1], c[2]).estimate;
    const auto add = [&](const char* test, Estimate value) {
      if (!reason.empty()) value = Estimate::unavailable(reason);
      add_note(value, loss(n));
      out_.comparisons.push_back({region_, group_.name, n, data_.scorers[0], data_.scorers[a],
                                  data_.scorers[b], test, "pearson", std::move(value), kNaN, "",
                                  ""});
    };
    add("williams", williams(n, r12, r13, r23, options_.confidence));
    add("steiger", steiger(n, r12, r13, r23, options_.confidence));
  }

  const Dataset& data_;
  const std::string& region_;
  const Group& group_;
  const EvaluationOptions& options_;
  Evaluation& out_;
};

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
      row.adjustment = to_string(options.adjustment);
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
  Evaluation result;
  for (const std::string& region : data.regions()) {
    for (const Group& group : make_groups(data, region, participants, groups)) {
      GroupEvaluator(data, region, group, options, result).run();
    }
  }
  adjust_families(result.comparisons, options);
  return result;
}

}  // namespace epvs::eval
