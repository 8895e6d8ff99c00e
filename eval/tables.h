// An evaluation as tables: metrics.tsv, comparisons.tsv, metrics.json.
#pragma once

#include <string>

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

/// "<0.0001" or "0.0123"; "n/a" for NaN.
std::string format_p(double p);

}  // namespace epvs::eval
