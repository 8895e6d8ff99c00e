// An evaluation as tables (metrics.tsv, comparisons.tsv, metrics.json) and as what `epvs eval` prints:
// the figures to look at first, at most 100 columns wide. Everything is in the files.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/json.h"
#include "core/table.h"
#include "eval/evaluation.h"

namespace epvs::eval {

/// region group n reference scorer metric parameter estimate ci_low ci_high ci_method statistic df1
/// df2 p note
core::Table metrics_table(const Evaluation& evaluation);

/// region group n reference scorer_a scorer_b test metric difference ci_low ci_high statistic df p
/// p_adjusted adjustment family note
core::Table comparisons_table(const Evaluation& evaluation);

/// The rows of a table as an array of objects; n/a becomes null, numbers stay numbers.
core::Json table_to_json(const core::Table& table);

/// Closed-form rows against a reference, by region, group, scorer and metric.
struct ReferenceIndex {
  using Row = std::pair<std::string, std::string>;  ///< region, group
  ReferenceIndex(const Evaluation& evaluation, const std::string& reference);
  /// Null when there is none.
  const MetricRow* find(const Row& row, const std::string& scorer, const std::string& metric) const;

  std::vector<Row> rows;
  std::vector<std::string> scorers;
  std::map<std::tuple<Row, std::string, std::string>, const MetricRow*> cells;
};

/// "0.93 [0.90, 0.95]", "0.93" without an interval, "n/a".
std::string with_interval(const Estimate& value);
/// 0.95 as "95%".
std::string percent(double share);
/// "<0.0001" or "0.0123"; "n/a" for NaN.
std::string format_p(double p);

/// Pearson, ICC(2,1) and MAE of every scorer against the reference, and Williams' tests. Groups
/// with fewer than options.minimum_n units stand in one line below, by name.
std::string main_table(const Evaluation& evaluation, const std::string& reference,
                       const EvaluationOptions& options);

/// Ratios of the covariates from associations.tsv; small groups as in main_table.
std::string associations_text(const core::Table& associations, std::size_t minimum_n);

/// Repeat scans, implants, heterogeneity, detections: rows of metrics.tsv beyond the pairs.
std::string further_metrics_text(const std::vector<MetricRow>& rows);

}  // namespace epvs::eval
