// What `epvs eval` prints: the figures to look at first, at most 100 columns wide. Everything is in
// the files.
#pragma once

#include <string>
#include <vector>

#include "core/table.h"
#include "eval/evaluation.h"

namespace epvs::eval {

/// Pearson, ICC(2,1) and MAE of every scorer against the reference, and Williams' tests. Groups
/// with fewer than options.minimum_n units stand in one line below, by name.
std::string main_table(const Evaluation& evaluation, const std::string& reference,
                       const EvaluationOptions& options);

/// Ratios of the covariates from associations.tsv; small groups as in main_table.
std::string associations_text(const core::Table& associations, std::size_t minimum_n);

/// Repeat scans, heterogeneity, detections: rows of metrics.tsv beyond the pairs.
std::string further_metrics_text(const std::vector<MetricRow>& rows);

}  // namespace epvs::eval
