#include "eval/report_tables.h"

#include <fmt/format.h>
#include <boost/version.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "core/text.h"
#include "core/version.h"
#include "eval/statistics.h"
#include "eval/tables.h"

namespace epvs::eval {

namespace {

using Cell = ReportTable::Cell;
using RowKey = ReferenceIndex::Row;

std::string or_missing(const std::string& text) {
  return text.empty() ? core::kMissing : text;
}

std::string shown(const MetricRow* row) {
  return row == nullptr ? core::kMissing : with_interval(row->value);
}

/// Scorers whose correlation is significant after correction, per row; a group is one family.
std::map<std::pair<RowKey, std::string>, bool> significant(const ReferenceIndex& index,
                                                           const EvaluationOptions& options) {
  std::map<std::string, std::vector<std::pair<RowKey, std::string>>> families;
  for (const RowKey& row : index.rows) {
    for (const std::string& scorer : index.scorers) {
      if (index.find(row, scorer, "pearson") != nullptr) {
        families[row.second].emplace_back(row, scorer);
      }
    }
  }
  std::map<std::pair<RowKey, std::string>, bool> result;
  for (const auto& [group, members] : families) {
    std::vector<double> p;
    for (const auto& [row, scorer] : members) {
      p.push_back(index.find(row, scorer, "pearson")->value.p);
    }
    const std::vector<double> adjusted = adjust(p, options.adjustment);
    for (std::size_t i = 0; i < members.size(); ++i) {
      result[members[i]] = adjusted[i] < 1 - options.confidence;
    }
  }
  return result;
}

ReportTable matrix_table(const ReferenceIndex& index, const std::string& metric,
                         const EvaluationOptions& options) {
  ReportTable table;
  table.header = {"region", "group", "n"};
  table.header.insert(table.header.end(), index.scorers.begin(), index.scorers.end());
  const auto bold = significant(index, options);
  for (const RowKey& row : index.rows) {
    std::size_t smallest = 0;
    std::size_t largest = 0;
    std::vector<Cell> cells = {{or_missing(row.first)}, {row.second}, {}};
    for (const std::string& scorer : index.scorers) {
      const MetricRow* found = index.find(row, scorer, metric);
      const bool is_bold = metric == "pearson" && found != nullptr && bold.at({row, scorer});
      cells.push_back({shown(found), is_bold});
      if (found == nullptr) continue;
      smallest = largest == 0 ? found->n : std::min(smallest, found->n);
      largest = std::max(largest, found->n);
    }
    cells[2].text =
        smallest == largest ? std::to_string(largest) : fmt::format("{}-{}", smallest, largest);
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable agreement_table(const ReferenceIndex& index, const std::string& reference,
                            const EvaluationOptions& options) {
  const std::vector<std::pair<const char*, const char*>> columns = {
      {"Pearson", "pearson"}, {"Spearman", "spearman"}, {"ICC(1,1)", "icc1"}, {"ICC(2,1)", "icc2"},
      {"CCC", "ccc"},         {"MSE", "mse"},           {"MAE", "mae"},       {"bias", "bias"}};
  ReportTable table;
  table.name = "agreement";
  table.caption = fmt::format("Agreement with {} ({} intervals in brackets).", reference,
                              percent(options.confidence));
  table.header = {"region", "scorer", "n"};
  for (const auto& [title, metric] : columns) table.header.emplace_back(title);
  for (const RowKey& row : index.rows) {
    if (row.second != "all") continue;
    for (const std::string& scorer : index.scorers) {
      const MetricRow* first = index.find(row, scorer, "pearson");
      if (first == nullptr) continue;
      std::vector<Cell> cells = {{or_missing(row.first)}, {scorer}, {std::to_string(first->n)}};
      for (const auto& [title, metric] : columns) {
        cells.push_back({shown(index.find(row, scorer, metric))});
      }
      table.rows.push_back(std::move(cells));
    }
  }
  return table;
}

std::string latex_escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '_' || c == '%' || c == '&' || c == '#' || c == '$' || c == '{' || c == '}') {
      result += '\\';
    }
    if (c == '<' || c == '>') {
      result += fmt::format("$\\{}$", c == '<' ? "lt" : "gt");
    } else if (c == '\\' || c == '~' || c == '^') {
      result += ' ';
    } else {
      result += c;
    }
  }
  return result;
}

std::string markdown_escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

}  // namespace

std::string ReportTable::to_markdown() const {
  std::string text = "|";
  std::string line = "|";
  for (const std::string& title : header) {
    text += " " + markdown_escaped(title) + " |";
    line += " --- |";
  }
  text += "\n" + line + "\n";
  for (const auto& row : rows) {
    text += "|";
    for (const Cell& cell : row) {
      const std::string shown_text = markdown_escaped(cell.text);
      text += " " + (cell.bold ? "**" + shown_text + "**" : shown_text) + " |";
    }
    text += "\n";
  }
  return text + "\n" + caption + "\n";
}

std::string ReportTable::to_latex() const {
  std::string text = "\\begin{table}\n\\centering\n\\caption{" + latex_escaped(caption) +
                     "}\n\\begin{tabular}{" + std::string(header.size(), 'l') + "}\n\\toprule\n";
  const auto add = [&](const std::vector<std::string>& cells) {
    text += core::join(cells, " & ") + " \\\\\n";
  };
  std::vector<std::string> titles;
  for (const std::string& title : header) titles.push_back(latex_escaped(title));
  add(titles);
  text += "\\midrule\n";
  for (const auto& row : rows) {
    std::vector<std::string> cells;
    for (const Cell& cell : row) {
      const std::string escaped = latex_escaped(cell.text);
      cells.push_back(cell.bold ? "\\textbf{" + escaped + "}" : escaped);
    }
    add(cells);
  }
  return text + "\\bottomrule\n\\end{tabular}\n\\end{table}\n";
}

std::vector<ReportTable> report_tables(const Evaluation& evaluation, const std::string& reference,
                                       const EvaluationOptions& options) {
  const ReferenceIndex index(evaluation, reference);
  ReportTable correlation = matrix_table(index, "pearson", options);
  correlation.name = "correlation";
  correlation.caption = fmt::format(
      "Pearson correlation with {} ({} intervals in brackets). Bold: p below {} after correction "
      "({}) over the regions and scorers of a group.",
      reference, percent(options.confidence),
      core::format_number(std::round(1e6 * (1 - options.confidence)) / 1e6),
      core::to_text(options.adjustment));
  ReportTable mae = matrix_table(index, "mae", options);
  mae.name = "mae";
  mae.caption = fmt::format("Mean absolute error against {} ({} intervals in brackets).", reference,
                            percent(options.confidence));
  return {correlation, mae, agreement_table(index, reference, options)};
}

core::Table points_table(
    const Dataset& data,
    const std::vector<std::pair<std::string, std::vector<std::string>>>& columns) {
  std::vector<std::string> names = core::kKeyColumns;
  for (const auto& [name, values] : columns) names.push_back(name);
  names.insert(names.end(), data.scorers.begin(), data.scorers.end());
  core::Table table(names);
  for (std::size_t i = 0; i < data.units.size(); ++i) {
    const core::ScoreKey& key = data.units[i];
    std::vector<std::string> cells = {key.participant_id, key.session_id, key.region, key.fold,
                                      key.repeat};
    for (const auto& [name, values] : columns) cells.push_back(values[i]);
    for (const auto& scores : data.values) cells.push_back(core::format_number(scores[i]));
    table.add_row(std::move(cells));
  }
  return table;
}

namespace {

std::string adjustment_sentence(const EvaluationOptions& options) {
  std::vector<std::string> columns = options.family_by;
  const std::string families = columns.empty()
                                   ? "all comparisons together"
                                   : "families of tests that share " + core::join(columns, ", ");
  switch (options.adjustment) {
    case Adjustment::kNone:
      return "P-values of comparisons were not corrected for the number of tests.";
    case Adjustment::kBonferroni:
      return "P-values of comparisons were corrected by Bonferroni's method within " + families +
             ".";
    case Adjustment::kHolm:
      return "P-values of comparisons were corrected by Holm's method (Holm 1979) within " +
             families + ".";
    case Adjustment::kBenjaminiHochberg:
      return "The false discovery rate of comparisons was controlled by the method of Benjamini "
             "and Hochberg (1995) within " +
             families + ".";
  }
  return {};
}

std::string resampling_sentences(const EvaluationOptions& options) {
  std::string text;
  const ResamplingOptions& r = options.resampling;
  if (r.bootstrap > 0) {
    text += fmt::format(
        " Bootstrap intervals (percentile, and bias-corrected and accelerated, Efron 1987) of "
        "every metric and of its differences between scorers come from {} resamples of "
        "participants{}; a participant's sessions stayed together{}.",
        r.bootstrap, r.strata.empty() ? "" : " within strata",
        r.given.empty() ? fmt::format(" (seed {})", r.seed) : " (resamples given in a table)");
  }
  if (r.permutations > 0) {
    text += fmt::format(
        " Permutation p-values come from {} permutations: of participants for association, of the "
        "two scorers within participants for differences (seed {}).",
        r.permutations, r.seed);
  }
  return text;
}

}  // namespace

std::string methods_paragraph(const Evaluation& evaluation, const Dataset& data,
                              const GroupOptions& groups, const EvaluationOptions& options) {
  std::set<std::string> participants;
  for (const core::ScoreKey& unit : data.units) participants.insert(unit.participant_id);
  const std::vector<std::string> others(data.scorers.begin() + 1, data.scorers.end());
  std::vector<std::string> regions = data.regions();
  const bool has_regions = !regions.empty() && !regions.front().empty();
  std::string text = fmt::format(
      "Scores of {} participants{} by {} were compared with the reference {}{}. Linear association "
      "was measured by Pearson's correlation with Fisher's interval and t test, monotone "
      "association by Spearman's correlation (interval of Bonett and Wright 2000). Agreement was "
      "measured by intraclass correlations: ICC(1,1), ICC(2,1) (absolute agreement) and ICC(3,1) "
      "(consistency) with their mean-rating forms (Shrout and Fleiss 1979; intervals from the F "
      "distribution, by Satterthwaite's approximation for the second form), by Lin's concordance "
      "correlation (Lin 1989, 2000), mean squared and absolute errors, bias, and limits of "
      "agreement with their intervals (Bland and Altman 1999). All intervals are {} intervals.",
      participants.size(), has_regions ? " in " + core::join(regions, ", ") : "",
      core::join(others, ", "), data.scorers.front(),
      options.pairs == Pairs::kAll ? " and with each other" : "", percent(options.confidence));
  if (!options.cuts.thresholds.empty()) {
    std::vector<std::string> parts;
    for (const double t : options.cuts.thresholds) parts.push_back(core::format_number(t));
    text += fmt::format(
        " Scores above {} were detected with the accuracy, sensitivity and specificity (Wilson's "
        "interval) and the area under the curve (DeLong et al. 1988) reported.",
        core::join(parts, ", "));
  }
  if (!options.cuts.category_bounds.empty()) {
    text += fmt::format(
        " Categories with upper bounds {} were compared by Cohen's kappa without, with linear and "
        "with quadratic weights (Fleiss, Cohen and Everitt 1969).",
        categories_text(options.cuts.category_bounds));
  }
  if (!evaluation.comparisons.empty()) {
    text +=
        " The correlations of two scorers with the reference were compared by Williams' t test "
        "(Williams 1959; Steiger 1980; interval of the difference by Zou 2007) and by Steiger's "
        "Z. " +
        adjustment_sentence(options);
  }
  text += resampling_sentences(options);
  if (!groups.group_by.empty()) {
    text += fmt::format(
        " Results are given overall and by {}; groups of fewer than {} are not evaluated.",
        core::join(groups.group_by, ", "), options.minimum_n);
  }
  text += fmt::format(" Computed with epvs {} ({}), Boost.Math {}.{}.{}.\n", core::kVersion,
                      core::kGitCommit, BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000,
                      BOOST_VERSION % 100);
  return core::wrap(text, 100, 0);
}

}  // namespace epvs::eval
