#include "eval/report_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "core/text.h"
#include "eval/multiplicity.h"

namespace epvs::eval {

namespace {

using Cell = ReportTable::Cell;
using RowKey = std::pair<std::string, std::string>;  // region, group

template <class T>
void add_once(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

/// Closed-form rows against the reference, by region, group, scorer, metric.
struct Index {
  std::vector<RowKey> rows;
  std::vector<std::string> scorers;
  std::map<std::tuple<std::string, std::string, std::string, std::string>, const MetricRow*> cells;

  const MetricRow* find(const RowKey& row, const std::string& scorer,
                        const std::string& metric) const {
    const auto found = cells.find({row.first, row.second, scorer, metric});
    return found == cells.end() ? nullptr : found->second;
  }
};

Index index_of(const Evaluation& evaluation, const std::string& reference) {
  Index index;
  for (const MetricRow& row : evaluation.metrics) {
    if (row.reference != reference || !row.parameter.empty()) continue;
    add_once(index.rows, RowKey(row.region, row.group));
    add_once(index.scorers, row.scorer);
    index.cells.emplace(std::tuple(row.region, row.group, row.scorer, row.metric), &row);
  }
  return index;
}

std::string shown(const MetricRow* row) {
  if (row == nullptr || std::isnan(row->value.estimate)) return core::kMissing;
  const Estimate& v = row->value;
  if (std::isnan(v.ci_low)) return fmt::format("{:.2f}", v.estimate);
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", v.estimate, v.ci_low, v.ci_high);
}

/// Scorers whose correlation is significant after correction, per row; a group is one family.
std::map<std::pair<RowKey, std::string>, bool> significant(const Index& index,
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

/// The confidence as "95%".
std::string percent(double share) {
  return core::format_number(std::round(1e6 * share) / 1e4) + "%";
}

ReportTable matrix_table(const Index& index, const std::string& metric,
                         const EvaluationOptions& options) {
  ReportTable table;
  table.header = {"region", "group", "n"};
  table.header.insert(table.header.end(), index.scorers.begin(), index.scorers.end());
  const auto bold = significant(index, options);
  for (const RowKey& row : index.rows) {
    std::size_t smallest = 0;
    std::size_t largest = 0;
    std::vector<Cell> cells = {{row.first.empty() ? core::kMissing : row.first}, {row.second}, {}};
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

ReportTable agreement_table(const Index& index, const std::string& reference,
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
      std::vector<Cell> cells = {
          {row.first.empty() ? core::kMissing : row.first}, {scorer}, {std::to_string(first->n)}};
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
  const Index index = index_of(evaluation, reference);
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

}  // namespace epvs::eval
