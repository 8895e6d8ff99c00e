#include "eval/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "core/text.h"

namespace epvs::eval {

core::Table metrics_table(const Evaluation& evaluation) {
  core::Table table({"region", "group", "n", "reference", "scorer", "metric", "parameter",
                     "estimate", "ci_low", "ci_high", "ci_method", "statistic", "df1", "df2", "p",
                     "note"});
  for (const MetricRow& row : evaluation.metrics) {
    const Estimate& v = row.value;
    table.add(row.region, row.group, row.n, row.reference, row.scorer, row.metric, row.parameter,
              v.estimate, v.ci_low, v.ci_high, v.ci_method, v.statistic, v.df1, v.df2, v.p, v.note);
  }
  return table;
}

core::Table comparisons_table(const Evaluation& evaluation) {
  core::Table table({"region", "group", "n", "reference", "scorer_a", "scorer_b", "test", "metric",
                     "difference", "ci_low", "ci_high", "statistic", "df", "p", "p_adjusted",
                     "adjustment", "family", "note"});
  for (const ComparisonRow& row : evaluation.comparisons) {
    const Estimate& v = row.value;
    table.add(row.region, row.group, row.n, row.reference, row.scorer_a, row.scorer_b, row.test,
              row.metric, v.estimate, v.ci_low, v.ci_high, v.statistic, v.df1, v.p, row.p_adjusted,
              row.adjustment, row.family, v.note);
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

ReferenceIndex::ReferenceIndex(const Evaluation& evaluation, const std::string& reference) {
  const auto add_once = [](auto& list, const auto& value) {
    if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
  };
  for (const MetricRow& row : evaluation.metrics) {
    if (row.reference != reference || !row.parameter.empty()) continue;
    add_once(rows, Row(row.region, row.group));
    add_once(scorers, row.scorer);
    // The first interval of a metric is the closed form.
    cells.emplace(std::tuple(Row(row.region, row.group), row.scorer, row.metric), &row);
  }
}

const MetricRow* ReferenceIndex::find(const Row& row, const std::string& scorer,
                                      const std::string& metric) const {
  const auto found = cells.find({row, scorer, metric});
  return found == cells.end() ? nullptr : found->second;
}

std::string with_interval(const Estimate& value) {
  if (std::isnan(value.estimate)) return core::kMissing;
  if (std::isnan(value.ci_low)) return fmt::format("{:.2f}", value.estimate);
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", value.estimate, value.ci_low, value.ci_high);
}

std::string percent(double share) {
  return core::format_number(std::round(1e6 * share) / 1e4) + "%";
}

std::string format_p(double p) {
  if (std::isnan(p)) return core::kMissing;
  if (p < 0.0001) return "<0.0001";
  return fmt::format("{:.4f}", p);
}

namespace {

/// Groups that are too small to evaluate, each once.
class SmallGroups {
 public:
  explicit SmallGroups(std::size_t minimum) : minimum_(minimum) {}

  /// True, and remembered, when the group has too few units.
  bool holds(const std::string& region, const std::string& group, std::size_t n) {
    if (n >= minimum_) return false;
    const bool has_region = !region.empty() && region != core::kMissing;
    const std::string name = fmt::format("{}{} (n = {})", has_region ? region + " " : "", group, n);
    if (std::find(names_.begin(), names_.end(), name) == names_.end()) names_.push_back(name);
    return true;
  }
  std::string text() const {
    if (names_.empty()) return {};
    return "\n" +
           core::wrap(fmt::format("Fewer than {} units, not evaluated: {}", minimum_,
                                  core::join(names_, ", ")),
                      core::Table::kConsoleWidth, 0) +
           "\n";
  }

 private:
  std::size_t minimum_;
  std::vector<std::string> names_;
};

std::string pairs_text(const ReferenceIndex& index, SmallGroups& small) {
  core::Table table({"region", "group", "scorer", "n", "pearson", "icc(2,1)", "mae", "p(r)"});
  for (const ReferenceIndex::Row& row : index.rows) {
    const auto& [region, group] = row;
    for (const std::string& scorer : index.scorers) {
      const MetricRow* first = index.find(row, scorer, "pearson");
      if (first == nullptr || small.holds(region, group, first->n)) continue;
      const double mae = index.find(row, scorer, "mae")->value.estimate;
      table.add(region, group, scorer, first->n, with_interval(first->value),
                with_interval(index.find(row, scorer, "icc2")->value),
                std::isnan(mae) ? "" : fmt::format("{:.2f}", mae), format_p(first->value.p));
    }
  }
  return table.rows() == 0 ? std::string() : table.to_aligned();
}

std::string williams_text(const Evaluation& evaluation, const std::string& reference,
                          SmallGroups& small) {
  core::Table tests({"region", "group", "scorers", "n", "difference of r", "t", "p", "p_adjusted"});
  for (const ComparisonRow& row : evaluation.comparisons) {
    if (row.test != "williams" || small.holds(row.region, row.group, row.n)) continue;
    const double t = row.value.statistic;
    tests.add(row.region, row.group, row.scorer_a + " - " + row.scorer_b, row.n,
              with_interval(row.value), std::isnan(t) ? "" : fmt::format("{:.2f}", t),
              format_p(row.value.p), format_p(row.p_adjusted));
  }
  if (tests.rows() == 0) return {};
  return "\n" +
         core::wrap(fmt::format("Williams' test of the correlations with {} ({} within {})",
                                reference, evaluation.comparisons.front().adjustment,
                                evaluation.comparisons.front().family),
                    core::Table::kConsoleWidth, 0) +
         "\n\n" + tests.to_aligned();
}

}  // namespace

std::string main_table(const Evaluation& evaluation, const std::string& reference,
                       const EvaluationOptions& options) {
  SmallGroups small(options.minimum_n);
  const std::string pairs = pairs_text(ReferenceIndex(evaluation, reference), small);
  const std::string tests = williams_text(evaluation, reference, small);
  return fmt::format("Agreement with {} ({} intervals in brackets)\n\n{}{}{}", reference,
                     percent(options.confidence), pairs, tests, small.text());
}

std::string associations_text(const core::Table& associations, std::size_t minimum_n) {
  SmallGroups small(minimum_n);
  core::Table shown({"region", "group", "scorer", "n", "model", "part", "term", "per", "ratio",
                     "low", "high", "p"});
  std::vector<std::string> notes;
  for (std::size_t row = 0; row < associations.rows(); ++row) {
    const auto cell = [&](const char* column) { return associations.cell(row, column); };
    const auto n = static_cast<std::size_t>(associations.integer(row, "n"));
    if (small.holds(cell("region"), cell("group"), n)) continue;
    const std::string part = cell("part");
    if (cell("term") == "intercept") continue;
    if (part != "count" && part != "zero" && part != "overall") continue;
    if (cell("note") != core::kMissing && part != "overall") {
      const std::string note =
          fmt::format("{} {} {}: {}", cell("group"), cell("scorer"), cell("term"), cell("note"));
      if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
    }
    shown.add_row({cell("region"), cell("group"), cell("scorer"), cell("n"), cell("model"), part,
                   cell("term"), cell("per"), cell("ratio"), cell("ratio_low"), cell("ratio_high"),
                   format_p(associations.number(row, "p"))});
  }
  std::string text =
      "\nAssociations: rate ratios (count), odds ratios of a structural zero (zero), ratios\n"
      "of the mean score (overall)\n\n" +
      shown.to_aligned();
  for (const std::string& note : notes) {
    text += core::wrap(note, core::Table::kConsoleWidth, 0) + "\n";
  }
  return text + small.text();
}

std::string further_metrics_text(const std::vector<MetricRow>& rows) {
  core::Table shown(
      {"region", "group", "scorer", "n", "metric", "parameter", "estimate", "low", "high", "p"});
  for (const MetricRow& row : rows) {
    if (row.metric.ends_with("_difference") || row.metric.ends_with("k")) continue;
    const Estimate& v = row.value;
    shown.add(row.region, row.group, row.scorer, row.n, row.metric, row.parameter, v.estimate,
              v.ci_low, v.ci_high, format_p(v.p));
  }
  return "\nRepeat scans, implants, groups, detections\n\n" + shown.to_aligned();
}

}  // namespace epvs::eval
