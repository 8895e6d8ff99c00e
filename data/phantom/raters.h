// Raters who count with error.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/phantom/scan.h"

namespace epvs::data {

inline constexpr std::size_t kRaters = 2;

/// Counts of one region in one scan.
struct RegionScore {
  Region region = Region::kBasalGanglia;
  int true_count = 0;        ///< EPVS in the region
  int true_count_slice = 0;  ///< of these, in the slice of the anterior commissure
  std::array<int, kRaters> raters = {0, 0};
};

/// Probability that a rater sees an EPVS: logistic in the logarithm of
///   visibility = contrast / sqrt(noise^2 + 0.25^2) * sqrt(volume / 10 mm^3),
/// 0.5 where visibility times `sensitivity` is 5; 0.25 stands for the variety of the tissue.
double detection_probability(double contrast, double noise, double volume_mm3, double sensitivity);

/// Every rater sees each EPVS with the probability above, takes each lacune in the region for one
/// with `lacune_confusion`, imagines 0.3 EPVS on average, and is stricter or milder from scan to
/// scan. Rater 2 is a little milder than rater 1. `rating = slice` counts in one slice only.
std::vector<RegionScore> rate_scan(const SimulationOptions& options, const ScanPlan& plan,
                                   const Participant& participant,
                                   const std::vector<EpvsInScan>& epvs);

}  // namespace epvs::data
