#include "eval/tables.h"

#include <fmt/format.h>

#include <cmath>

#include "core/text.h"

namespace epvs::eval {

namespace {

using core::format_number;

std::string or_missing(const std::string& text) {
  return text.empty() ? core::kMissing : text;
}

}  // namespace

core::Table metrics_table(const Evaluation& evaluation) {
  core::Table table({"region", "group", "n", "reference", "scorer", "metric", "parameter",
                     "estimate", "ci_low", "ci_high", "ci_method", "statistic", "df1", "df2", "p",
                     "note"});
  for (const MetricRow& row : evaluation.metrics) {
    const Estimate& v = row.value;
    table.add_row({or_missing(row.region), row.group, std::to_string(row.n),
                   or_missing(row.reference), row.scorer, row.metric, or_missing(row.parameter),
                   format_number(v.estimate), format_number(v.ci_low), format_number(v.ci_high),
                   or_missing(v.ci_method), format_number(v.statistic), format_number(v.df1),
                   format_number(v.df2), format_number(v.p), or_missing(v.note)});
  }
  return table;
}

core::Table comparisons_table(const Evaluation& evaluation) {
  core::Table table({"region", "group", "n", "reference", "scorer_a", "scorer_b", "test", "metric",
                     "difference", "ci_low", "ci_high", "statistic", "df", "p", "p_adjusted",
                     "adjustment", "family", "note"});
  for (const ComparisonRow& row : evaluation.comparisons) {
    const Estimate& v = row.value;
    table.add_row({or_missing(row.region), row.group, std::to_string(row.n), row.reference,
                   row.scorer_a, row.scorer_b, row.test, row.metric, format_number(v.estimate),
                   format_number(v.ci_low), format_number(v.ci_high), format_number(v.statistic),
                   format_number(v.df1), format_number(v.p), format_number(row.p_adjusted),
                   or_missing(row.adjustment), or_missing(row.family), or_missing(v.note)});
  }
  return table;
}

core::Json table_to_json(const core::Table& table) {
  core::Json rows = core::Json::array();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    core::Json object = core::Json::object();
    for (std::size_t column = 0; column < table.columns().size(); ++column) {
      const std::string& text = table.cell(row, column);
      const auto number = core::parse_number(text);
      if (text == core::kMissing) {
        object[table.columns()[column]] = nullptr;
      } else if (const auto whole = core::parse_integer(text)) {
        object[table.columns()[column]] = *whole;
      } else if (number && std::isfinite(*number)) {
        object[table.columns()[column]] = *number;
      } else {
        object[table.columns()[column]] = text;
      }
    }
    rows.push_back(std::move(object));
  }
  return rows;
}

std::string format_p(double p) {
  if (std::isnan(p)) return core::kMissing;
  if (p < 0.0001) return "<0.0001";
  return fmt::format("{:.4f}", p);
}

}  // namespace epvs::eval
