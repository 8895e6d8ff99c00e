// Scan-rescan, heterogeneity between groups and calibration as rows and tables, from joined
// datasets.
#pragma once

#include <string>
#include <vector>

#include "core/scores.h"
#include "core/table.h"
#include "eval/calibration.h"
#include "eval/evaluation.h"
#include "eval/groups.h"
#include "eval/join.h"
#include "eval/reliability.h"

namespace epvs::eval {

/// Rows of metrics.tsv for every region and scorer of a dataset with sessions: the six ICC forms as
/// rescan_icc1 ..., within_subject_sd, repeatability_coefficient, rescan_bias. reference = scorer =
/// the scorer against itself; `parameter` names the sessions ("sessions=1,2" or "sessions=both");
/// the note says how many participants had no pair. Once for all participants, then for each value
/// of the columns of `group_by` ("scanner", "scanner:sex"), which are columns of `participants`: a
/// pair belongs to its participant's group. Throws as pair_sessions and unit_column; UsageError for
/// session_id, fold and repeat, which do not belong to a participant.
std::vector<MetricRow> rescan_rows(const Dataset& data, const RescanOptions& options,
                                   double confidence = 0.95,
                                   const core::Table* participants = nullptr,
                                   const std::vector<std::string>& group_by = {});

/// For each scorer against the reference in every region, by the values of one column (scanner):
///   heterogeneity_q (chi-squared with p), heterogeneity_i2, heterogeneity_tau2, pearson_fixed,
///   pearson_random     group "all", parameter "by=scanner"
///   pearson, icc2, mae of everyone but one value, and their differences from everyone
///                      group "scanner!=philips-3t", metrics "pearson_without" ... and
///                      "pearson_without_difference" ..., parameter "by=scanner"
/// Units without one of the two scores are left out. Throws UsageError for unknown columns and for
/// more than kMaximumGroups values.
std::vector<MetricRow> heterogeneity_rows(const Dataset& data, const core::Table* participants,
                                          const std::string& column, double confidence = 0.95);

/// Calibrates each scorer to the reference per region on `validation` and rewrites its values in
/// `test` as intercept + slope * score. Returns region scorer reference target n intercept slope
/// icc_before icc_after sign_flipped note. `scorers` empty takes all but the reference. A scorer
/// that has no solution keeps no test values: they become NaN and the note says why. Throws
/// InputError for participants that stand in both datasets and for regions without validation
/// participants.
core::Table calibrate_dataset(const Dataset& validation, Dataset& test,
                              const std::vector<std::string>& scorers,
                              const CalibrationOptions& options);

}  // namespace epvs::eval
