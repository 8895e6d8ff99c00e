// Resampling of volumes onto another grid, in world millimetres.
//
// A voxel fills the box of +-0.5 voxel around its centre; the field of view of a grid is the union
// of its boxes. Inside the field of view but beyond the outermost voxel centres the nearest
// centre's value is used (as ITK does); outside the field of view everything is 0.
// `target_to_source` takes a world point of the target's space to the same point in the source's
// space; identity when both share one. Results do not depend on the number of threads.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

enum class Interpolation { kNearest, kLinear };

/// Values of `source` at the voxel centres of `target`. Linear interpolation is trilinear in voxel
/// space, in double, of the source's stored voxels. A NaN in the source spreads to its neighbours.
Volume<float> resample(const Volume<float>& source, const Geometry& target,
                       Interpolation interpolation = Interpolation::kLinear,
                       const Eigen::Matrix4d& target_to_source = Eigen::Matrix4d::Identity(),
                       int threads = 1);

/// Label numbers at the voxel centres of `target`: nearest voxel (halves go up), 0 outside.
Volume<std::int32_t> resample_labels(
    const Volume<std::int32_t>& source, const Geometry& target,
    const Eigen::Matrix4d& target_to_source = Eigen::Matrix4d::Identity(), int threads = 1);

/// 1 where the label is one of `labels`.
Volume<std::uint8_t> region_mask(const Volume<std::int32_t>& label_map,
                                 const std::vector<std::int64_t>& labels);

/// A 0/1 mask on `target`: interpolated linearly, 1 where it reaches 0.5. Smoother than nearest
/// labels where the label map is coarser.
Volume<std::uint8_t> resample_mask(
    const Volume<std::uint8_t>& source, const Geometry& target,
    const Eigen::Matrix4d& target_to_source = Eigen::Matrix4d::Identity(), int threads = 1);

/// 1 where the voxel centre of `target` lies in the field of view of `source`, else 0.
Volume<std::uint8_t> field_of_view(
    const Geometry& source, const Geometry& target,
    const Eigen::Matrix4d& target_to_source = Eigen::Matrix4d::Identity());

/// Part (0..1) of the voxels of a region, on the label map's own grid, whose centres lie outside
/// the field of view of `scan`. Throws InputError when no voxel has any of the labels.
double fraction_outside_scan(const Volume<std::int32_t>& label_map,
                             const std::vector<std::int64_t>& labels, const Geometry& scan,
                             const Eigen::Matrix4d& labels_to_scan = Eigen::Matrix4d::Identity());

/// The network's grid of a scan: the scan's own axes, re-ordered and flipped to lie nearest to R,
/// A, S (an oblique scan stays oblique: nothing is rotated), with voxels of `spacing_mm` (x, y, z).
/// Along each axis it has the smallest whole number of voxels that covers the scan's field of view,
/// and the centres of both fields of view coincide. Throws UsageError for a spacing that is not
/// positive and InputError for more than 2^31 voxels.
Geometry network_grid(const Geometry& scan, const std::array<double, 3>& spacing_mm);

}  // namespace epvs::data
