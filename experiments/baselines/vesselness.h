// Frangi's vesselness, the classical way to make bright tubes stand out (Frangi et al. 1998; used for
// EPVS by Ballerini et al. 2016 and 2018): a peer that P1 did not have.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace epvs::experiments {

/// Is ITK in this build?
bool has_vesselness();

/// The largest response over the scales, 0 where nothing is tube-like and bright; (Z, Y, X) as
/// `values`; `shape` and `spacing_mm` along x, y, z. Scales: Gaussians of 0.4 to 1.2 mm, tubes some 1 to 3 mm wide, but
/// none below half a voxel. Throws UsageError in a build without ITK.
std::vector<float> vesselness(const std::vector<float>& values,
                              const std::array<std::int64_t, 3>& shape,
                              const std::array<double, 3>& spacing_mm);

}  // namespace epvs::experiments
