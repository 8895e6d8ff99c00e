// Baseline (d) of P1, section 3.4, after Gonzalez-Castro et al. 2016: SIFT descriptors (Lowe 2004) of
// single slices, a dictionary of visual words per slice, and a regression forest on the counts of
// words.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/json.h"

namespace epvs::experiments {

struct SiftForestOptions {
  int slices = 15;  ///< around the rated slice
  int words = 100;  ///< of each slice's dictionary (k-means)
  int trees = 3000;
  /// P1's trees have 50 levels; OpenCV's end at 25, which some 1300 scans do not fill.
  int depth = 25;
};

/// Slices of one scan, 8 bit, rows of `width` pixels; all scans have equally many.
struct SliceStack {
  int width = 0;
  int height = 0;
  std::vector<std::vector<std::uint8_t>> slices;
};

/// Is OpenCV in this build?
bool has_sift_forest();

/// A score for each scan 0..scans-1: the mean of the trees grown on the scans `training` with these
/// labels. `stack_of(scan)` may be called from several threads and twice per training scan. The
/// result depends on the seed, not on `threads`. Throws UsageError in a build without OpenCV,
/// InputError when no training scan has a keypoint.
std::vector<double> score_by_sift_forest(std::size_t scans,
                                         const std::function<SliceStack(std::size_t)>& stack_of,
                                         const std::vector<std::size_t>& training,
                                         const std::vector<double>& labels,
                                         const SiftForestOptions& options, std::uint64_t seed,
                                         int threads);

}  // namespace epvs::experiments
