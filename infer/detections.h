// Single lesions from an attention map: local maxima. Matching with true centres is in eval.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::infer {

struct Detection {
  std::array<std::int64_t, 3> voxel = {0, 0, 0};  ///< x, y, z on the map
  double weight = 0;                              ///< value of the map there
};

/// The `count` highest local maxima (no neighbour of the 26 is higher) with value > 0 at voxels
/// where `inside` is not 0 (an empty mask allows all), highest first; a maximum nearer than
/// `radius_mm` to a higher one is dropped (non-maximum suppression). Ties go to the lower index.
/// Distances use the spacing of the map.
std::vector<Detection> find_detections(const data::Volume<float>& map,
                                       const std::vector<float>& inside, std::size_t count,
                                       double radius_mm);

/// Number of lesions that a score stands for: the nearest whole number, at least 0.
std::size_t detection_count(double score);

}  // namespace epvs::infer
