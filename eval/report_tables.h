// Tables to paste into a paper (Markdown and LaTeX), the plot data, and a methods paragraph.
#pragma once

#include <string>
#include <vector>

#include "core/table.h"
#include "eval/evaluation.h"

namespace epvs::eval {

/// A table for reading: bold cells are significant after correction.
struct ReportTable {
  struct Cell {
    std::string text;
    bool bold = false;
  };
  std::string name;  ///< file name without ending
  std::string caption;
  std::vector<std::string> header;
  std::vector<std::vector<Cell>> rows;

  std::string to_markdown() const;
  /// A booktabs table environment.
  std::string to_latex() const;
};

/// - correlation: Pearson's r with the reference, a row per region and group, a column per scorer;
/// bold
///   where p is significant after `options.adjustment` over all cells of the group "all" (the other
///   groups: each group its own family), as Table 2 of Dubost et al. 2019 (MLCN);
/// - mae: mean absolute errors in the same form (its Table 3);
/// - agreement: a row per region and scorer of the group "all", with Pearson, Spearman, ICC(1,1),
///   ICC(2,1), concordance, MSE, MAE and bias (Table 1 of Dubost et al. 2019, Media).
std::vector<ReportTable> report_tables(const Evaluation& evaluation, const std::string& reference,
                                       const EvaluationOptions& options);

/// The joined table: keys, `columns` (name and one text per unit), one column per scorer.
core::Table points_table(
    const Dataset& data,
    const std::vector<std::pair<std::string, std::vector<std::string>>>& columns);

/// What was done, in sentences with citations, ready for a methods section.
std::string methods_paragraph(const Evaluation& evaluation, const Dataset& data,
                              const GroupOptions& groups, const EvaluationOptions& options);

}  // namespace epvs::eval
