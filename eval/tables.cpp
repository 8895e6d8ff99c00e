#include "eval/tables.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <tuple>

#include "core/text.h"

namespace epvs::eval {

namespace {

using core::format_number;

std::string or_missing(const std::string& text) {
  return text.empty() ? core::kMissing : text;
}

std::string with_interval(const Estimate& value, int digits) {
  if (std::isnan(value.estimate)) return core::kMissing;
  if (std::isnan(value.ci_low)) return fmt::format("{:.{}f}", value.estimate, digits);
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", value.estimate, digits, value.ci_low, digits,
                     value.ci_high, digits);
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

std::string main_table(const Evaluation& evaluation, const std::string& reference) {
  using Key = std::tuple<std::string, std::string, std::string>;
  std::vector<Key> order;
  std::map<Key, std::map<std::string, const MetricRow*>> cells;
  for (const MetricRow& row : evaluation.metrics) {
    if (row.reference != reference || !row.parameter.empty()) continue;
    const Key key(row.region, row.group, row.scorer);
    if (cells.find(key) == cells.end()) order.push_back(key);
    cells[key].emplace(row.metric, &row);  // the first interval of a metric is the closed form
  }
  core::Table table({"region", "group", "scorer", "n", "pearson", "p", "spearman", "icc(1,1)",
                     "icc(2,1)", "mae", "bias"});
  for (const Key& key : order) {
    const auto& [region, group, scorer] = key;
    const auto& metrics = cells[key];
    const auto show = [&](const char* metric) {
      const auto found = metrics.find(metric);
      return found == metrics.end() ? std::string(core::kMissing)
                                    : with_interval(found->second->value, 2);
    };
    const MetricRow& first = *metrics.at("pearson");
    table.add_row({or_missing(region), group, scorer, std::to_string(first.n), show("pearson"),
                   format_p(first.value.p), show("spearman"), show("icc1"), show("icc2"),
                   show("mae"), show("bias")});
  }
  std::string text = fmt::format("Agreement with {} (95% intervals in brackets)\n\n{}", reference,
                                 table.to_aligned());
  core::Table tests(
      {"region", "group", "scorers", "n", "difference of r", "t", "df", "p", "p_adjusted"});
  for (const ComparisonRow& row : evaluation.comparisons) {
    if (row.test != "williams") continue;
    tests.add_row({or_missing(row.region), row.group, row.scorer_a + " - " + row.scorer_b,
                   std::to_string(row.n), with_interval(row.value, 2),
                   std::isnan(row.value.statistic) ? core::kMissing
                                                   : fmt::format("{:.2f}", row.value.statistic),
                   format_number(row.value.df1), format_p(row.value.p), format_p(row.p_adjusted)});
  }
  if (tests.rows() > 0) {
    text += fmt::format("\nWilliams' test of the correlations with {} ({} within {})\n\n{}",
                        reference, evaluation.comparisons.front().adjustment,
                        evaluation.comparisons.front().family, tests.to_aligned());
  }
  return text;
}

}  // namespace epvs::eval
