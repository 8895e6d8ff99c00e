// Detections against a truth of marked points: one-to-one assignment within a radius, sensitivity,
// precision, false positives per scan, free-response ROC (FROC) with intervals.
//
// A detection can hit a truth point nearer than `radius_mm` (strictly). Among all one-to-one
// assignments of one scan the one with the most hits counts, and among those the one with the least
// sum of distances (Hungarian method). For the FROC curve only detections of weight >= threshold
// take part, and the assignment is the best one for exactly these at every threshold. EPVS of one
// brain are not independent, so intervals resample participants, not points: percentile bootstrap,
// quantiles as R's type 7.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "eval/statistics.h"

namespace epvs::eval {

using PointMm = std::array<double, 3>;

/// One scan: both lists may be empty, but the scan must be listed to count in FPs per scan.
struct DetectionScan {
  std::string participant_id;
  std::string session_id;
  std::vector<PointMm> detections;
  std::vector<double> weights;  ///< one per detection, larger = surer
  std::vector<PointMm> truths;
};

struct PointMatch {
  std::size_t detection = 0;
  std::size_t truth = 0;
  double distance_mm = 0.0;
};

/// The hits of all detections of one scan, in order of detections. Throws UsageError for a radius
/// that is not positive, InputError for coordinates or weights that are not finite.
std::vector<PointMatch> match_points(const DetectionScan& scan, double radius_mm);

/// One operating point: detections with weight >= threshold.
struct FrocPoint {
  double threshold = 0.0;
  std::size_t hits = 0;
  std::size_t false_positives = 0;
  double sensitivity = 0.0;  ///< hits / truth points of all scans; NaN without any
  double precision = 0.0;    ///< hits / detections
  double fps_per_scan = 0.0;
};

struct DetectionOptions {
  double radius_mm = 0.0;  ///< no default: it depends on the resolution and has to be chosen
  /// Detections below this weight do not count for the operating point; NaN counts all.
  double threshold = kNaN;
  std::vector<double> fp_rates = {0.125, 0.25, 0.5, 1, 2, 4, 8};
  int bootstrap = 2000;  ///< resamples of the participants; 0 for no intervals
  std::uint64_t seed = 1;
  double confidence = 0.95;

  /// Throws UsageError naming option, value and constraint.
  void validate() const;
};

struct DetectionSummary {
  std::size_t participants = 0;
  std::size_t scans = 0;
  std::size_t truths = 0;
  std::size_t detections = 0;  ///< at the operating point
  std::size_t hits = 0;
  Estimate sensitivity;
  Estimate precision;
  Estimate f1;
  Estimate fps_per_scan;
  std::vector<Estimate> froc;    ///< sensitivity at each of fp_rates
  Estimate froc_mean;            ///< their mean (the LUNA16 score for the default rates)
  std::vector<FrocPoint> curve;  ///< a point per distinct weight, from the highest threshold down
};

/// Intervals are NaN with a note for fewer than three participants. Bit-equal for a seed.
DetectionSummary evaluate_detections(const std::vector<DetectionScan>& scans,
                                     const DetectionOptions& options);

/// The same with given resamples: each is a list of participants, numbered in order of first
/// appearance in `scans`, as many as there are participants.
DetectionSummary evaluate_detections(const std::vector<DetectionScan>& scans,
                                     const DetectionOptions& options,
                                     const std::vector<std::vector<std::size_t>>& resamples);

}  // namespace epvs::eval
