// How well two scans fit: mutual information of their intensities (Viola & Wells, IJCV 24:137,
// 1997), whatever their contrasts. No ITK.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

struct Similarity {
  double information = 0;  ///< nats; 0 where less than a quarter of the points overlap
  double overlap = 0;      ///< share of the points that fall into the moving scan
};

/// The similarity under each of the transforms, which take points of the fixed scan to points of
/// the moving one (RAS+ mm). The points are voxel centres of the fixed scan, about 2 mm apart; the
/// moving scan is interpolated linearly. Both scans are clipped to their 0.5th and 99.5th
/// percentile and counted into a histogram of 32 x 32 bins. Throws InputError when one of the scans
/// has the same intensity nearly everywhere.
std::vector<Similarity> similarity(const Volume<float>& fixed, const Volume<float>& moving,
                                   const std::vector<Eigen::Matrix4d>& fixed_to_moving);

/// The information of one transform, as similarity().
double mutual_information(const Volume<float>& fixed, const Volume<float>& moving,
                          const Eigen::Matrix4d& fixed_to_moving);

}  // namespace epvs::data
