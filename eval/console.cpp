#include "eval/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "core/text.h"
#include "eval/tables.h"

namespace epvs::eval {

namespace {

std::string or_missing(const std::string& text) {
  return text.empty() ? core::kMissing : text;
}

std::string with_interval(const Estimate& value) {
  if (std::isnan(value.estimate)) return core::kMissing;
  if (std::isnan(value.ci_low)) return fmt::format("{:.2f}", value.estimate);
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", value.estimate, value.ci_low, value.ci_high);
}

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

/// Metrics of one scorer in one region and group, by name.
using Metrics = std::map<std::string, const MetricRow*>;

std::string pairs_text(const Evaluation& evaluation, const std::string& reference,
                       SmallGroups& small) {
  using Key = std::tuple<std::string, std::string, std::string>;
  std::vector<Key> order;
  std::map<Key, Metrics> cells;
  for (const MetricRow& row : evaluation.metrics) {
    if (row.reference != reference || !row.parameter.empty()) continue;
    const Key key(row.region, row.group, row.scorer);
    if (cells.find(key) == cells.end()) order.push_back(key);
    cells[key].emplace(row.metric, &row);  // the first interval of a metric is the closed form
  }
  core::Table table({"region", "group", "scorer", "n", "pearson", "icc(2,1)", "mae", "p(r)"});
  for (const Key& key : order) {
    const auto& [region, group, scorer] = key;
    const Metrics& metrics = cells[key];
    const auto show = [&](const char* metric) {
      const auto found = metrics.find(metric);
      return found == metrics.end() ? std::string(core::kMissing)
                                    : with_interval(found->second->value);
    };
    const MetricRow& first = *metrics.at("pearson");
    if (small.holds(region, group, first.n)) continue;
    const double mae = metrics.at("mae")->value.estimate;
    table.add_row({or_missing(region), group, scorer, std::to_string(first.n), show("pearson"),
                   show("icc2"), std::isnan(mae) ? core::kMissing : fmt::format("{:.2f}", mae),
                   format_p(first.value.p)});
  }
  return table.rows() == 0 ? std::string() : table.to_aligned();
}

std::string williams_text(const Evaluation& evaluation, const std::string& reference,
                          SmallGroups& small) {
  core::Table tests({"region", "group", "scorers", "n", "difference of r", "t", "p", "p_adjusted"});
  for (const ComparisonRow& row : evaluation.comparisons) {
    if (row.test != "williams" || small.holds(row.region, row.group, row.n)) continue;
    const double t = row.value.statistic;
    tests.add_row({or_missing(row.region), row.group, row.scorer_a + " - " + row.scorer_b,
                   std::to_string(row.n), with_interval(row.value),
                   std::isnan(t) ? core::kMissing : fmt::format("{:.2f}", t), format_p(row.value.p),
                   format_p(row.p_adjusted)});
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
  const std::string pairs = pairs_text(evaluation, reference, small);
  const std::string tests = williams_text(evaluation, reference, small);
  return fmt::format("Agreement with {} ({}% intervals in brackets)\n\n{}{}{}", reference,
                     core::format_number(std::round(1e6 * options.confidence) / 1e4), pairs, tests,
                     small.text());
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
    shown.add_row({row.region, row.group, row.scorer, std::to_string(row.n), row.metric,
                   row.parameter, core::format_number(v.estimate), core::format_number(v.ci_low),
                   core::format_number(v.ci_high), format_p(v.p)});
  }
  return "\nRepeat scans, groups, detections\n\n" + shown.to_aligned();
}

}  // namespace epvs::eval
