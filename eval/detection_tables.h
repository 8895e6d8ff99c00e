// Detections and truth points from tables, their agreement as rows of metrics.tsv and as froc.tsv.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/scores.h"
#include "core/table.h"
#include "eval/detection.h"
#include "eval/evaluation.h"
#include "eval/join.h"

namespace epvs::eval {

/// The scans of one region.
struct DetectionRegion {
  std::string region;  ///< empty when the tables have none
  std::vector<DetectionScan> scans;
};

/// One table, or all tables *_desc-detections_epvs.tsv of a folder (what `epvs infer --detections`
/// writes) one after the other, by name. Throws InputError for a folder without any, and when two
/// have different columns.
core::Table read_detections(const std::filesystem::path& path);

/// Tables with participant_id, x, y, z (mm, world of the scan), optional session_id and region; the
/// detections have `weight` too. `scans` are those of the evaluation: scans without detections and
/// without truth count in FPs per scan, rows of other scans are left out. Regions in order of first
/// appearance. Throws InputError when the tables and the scores do not have the same of session_id
/// and region, for missing keys and for coordinates that are not numbers.
std::vector<DetectionRegion> detection_regions(const core::Table& detections,
                                               const core::Table& truth,
                                               const std::vector<core::ScoreKey>& scans);

/// The scans of `region` whose participant and session stand among `units` of `data`.
std::vector<DetectionScan> scans_of_group(const DetectionRegion& region, const Dataset& data,
                                          const std::vector<std::size_t>& units);

/// detection_sensitivity, detection_precision, detection_f1, fps_per_scan, froc_sensitivity (one
/// per rate) and froc_mean with reference "truth", n = participants; `parameter` holds radius,
/// threshold and rate, as "radius_mm=3;weight>=0.5".
std::vector<MetricRow> detection_rows(const std::string& region, const std::string& group,
                                      const std::string& scorer, const DetectionSummary& summary,
                                      const DetectionOptions& options);

/// region group scorer threshold hits false_positives truths scans sensitivity precision
/// fps_per_scan
core::Table froc_table();
void add_froc(core::Table& table, const std::string& region, const std::string& group,
              const std::string& scorer, const DetectionSummary& summary);

/// participant_id session_id region kind x y z weight distance_mm: every point as hit (a detection
/// with a truth point in reach), unmatched (a detection without) or missed (a truth point that no
/// detection hits): the circles of P1 Figure 4.
core::Table matched_points_table(const std::vector<DetectionRegion>& regions, double radius_mm);

}  // namespace epvs::eval
