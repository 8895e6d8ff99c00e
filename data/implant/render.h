// A tube as a scan shows it: through its voxels, its slice profile and its blur.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "data/formats/volume.h"
#include "data/phantom/scan.h"

namespace epvs::data {

/// How a scan spreads a point, along each stored axis: the box of the voxel or slice, times a
/// Gaussian.
struct PointSpread {
  Eigen::Vector3d box_mm = Eigen::Vector3d::Ones();
  Eigen::Vector3d sigma_mm = Eigen::Vector3d::Zero();

  /// Half the width along each axis beyond which nothing is seen: half the box and 4 sigma.
  Eigen::Vector3d reach_mm() const { return 0.5 * box_mm + 4.0 * sigma_mm; }
};

/// The voxel's box and blur_mm() along each axis. A slice that is more than 1.25 times as thick as a
/// voxel is wide has a smoothed top-hat instead: a box of `slice_thickness_mm` and a Gaussian of a
/// tenth of it.
PointSpread point_spread(const Geometry& geometry, double slice_thickness_mm,
                         const Eigen::Vector3d& blur_mm);

/// The part (0..1) of every voxel's view that a tube about `world_line` (mm, points evenly apart)
/// fills, sorted by offset. Its radius is `radius_mm` in the middle and falls as
///   r(t) = radius_mm sqrt(1 - 0.75 t^2), t = -1..1 along the line,
/// to a half at the ends, which are rounded. The tube is drawn on a lattice of a fifth of a
/// millimetre, or 0.4 radii where that is finer, whose half is the least Gaussian. The sum over the
/// voxels times their volume is tube_volume_mm3(), where slices have no gap. Axes of the grid are
/// taken as square to each other.
std::vector<FilledVoxel> render_tube(const Geometry& geometry, const PointSpread& spread,
                                     const std::vector<Eigen::Vector3d>& world_line,
                                     double radius_mm);

/// pi r^2 (3/4 L + r / 6): the tapered tube and the half balls at its ends.
double tube_volume_mm3(double length_mm, double radius_mm);

/// World points in mm along the grid's stored axes, from the first voxel's centre.
std::vector<Eigen::Vector3d> along_grid(const Geometry& geometry,
                                        const std::vector<Eigen::Vector3d>& world_line);

}  // namespace epvs::data
