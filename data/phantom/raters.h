// Raters who count with error.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/phantom/scan.h"

namespace epvs::data {

/// Rater 1, rater 2, and the second rating of rater 2.
inline constexpr std::size_t kRatings = 3;

/// Counts of one region in one scan.
struct RegionScore {
  Region region = Region::kBasalGanglia;
  int true_count = 0;        ///< EPVS in the region
  int true_count_slice = 0;  ///< of these, in the rated slice; all where the region has none
  std::array<int, kRatings> raters = {0, 0, 0};
  std::vector<std::size_t> marked;  ///< of Participant::epvs, those that rater 1 counted
};

/// Probability that a rater sees an EPVS: logistic in the logarithm of
///   visibility = contrast / sqrt(noise^2 + (clutter)^2) * sqrt(volume / 10 mm^3),
/// 0.5 where visibility times `sensitivity` is 5. The clutter, 0.17 of the contrast of CSF to white
/// matter (`csf` - 1), stands for the variety of the tissue.
double detection_probability(double contrast, double noise, double csf, double volume_mm3,
                             double sensitivity);

/// Every rater sees each EPVS with the probability above, takes each lacune in the region for one
/// with `lacune_confusion`, imagines 0.3 EPVS on average (0.1 in a slice), is stricter or milder
/// from scan to scan and, with `rating = slice`, reads a slice near the right one. Rater 2 is a
/// little milder than rater 1. `repeat_share` of all this is the same when he rates again.
std::vector<RegionScore> rate_scan(const SimulationOptions& options, const ScanPlan& plan,
                                   const Participant& participant,
                                   const std::vector<EpvsInScan>& epvs);

}  // namespace epvs::data
