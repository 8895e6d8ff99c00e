// Baselines (a), (b) and (c) of P1, section 3.4: how bright the smooth ROI is, how many bright voxels
// it has, and how many connected groups they form. Volumes are (Z, Y, X), x fastest.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/cohort/cohort.h"

namespace epvs::experiments {

/// The smooth ROI in the scan's own intensities, without the cohort's normalisation, as P1 thresholds
/// it: soft mask times intensity. `roi` and `soft` are one row's volumes of the cohort.
std::vector<float> unnormalised_roi(const data::CohortRow& row, const std::vector<float>& roi,
                                    const std::vector<float>& soft);

/// Mean of `roi` over the voxels whose soft mask is above 0; 0 where there is none.
double mean_intensity(const std::vector<float>& roi, const std::vector<float>& soft);

/// Number of voxels above each threshold. `thresholds` ascend.
std::vector<double> voxels_above(const std::vector<float>& values,
                                 std::span<const float> thresholds);

/// Number of 26-connected components of the voxels above each threshold. `thresholds` ascend. One
/// pass: voxels join from bright to dark (union-find), so any number of thresholds costs the same.
std::vector<double> components_above(const std::vector<float>& values, const data::Shape& shape,
                                     std::span<const float> thresholds);

/// Thresholds to choose from: quantiles of `sample`, from its median up to the brightest 1 in
/// 10,000, closer together towards the bright end; ascending, without repetitions. Throws InputError
/// for a sample of equal values.
std::vector<float> candidate_thresholds(std::vector<float> sample);

struct TunedThreshold {
  std::size_t index = 0;  ///< of the thresholds
  double pearson = 0;     ///< with the labels of the training scans
};

/// The threshold whose measures go best with the labels: the largest Pearson correlation, since a
/// linear rescaling follows. `measures[scan][threshold]`. P1 does not name its criterion. Throws
/// InputError when the measure is constant at every threshold.
TunedThreshold tune_threshold(const std::vector<std::vector<double>>& measures,
                              const std::vector<double>& labels);

}  // namespace epvs::experiments
