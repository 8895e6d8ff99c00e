// A smooth deformation of a world: a cubic B-spline of displacements on a regular grid of control
// points parallel to the world axes (Rueckert et al., IEEE TMI 18:712, 1999). RAS+ mm.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

/// Control points; a point has a displacement where 4 control points surround it along each axis.
struct ControlGrid {
  Shape count = {0, 0, 0};
  Eigen::Vector3d origin_mm = Eigen::Vector3d::Zero();  ///< of the first control point
  double spacing_mm = 1;

  std::size_t points() const { return static_cast<std::size_t>(count[0] * count[1] * count[2]); }
  /// The smallest grid whose points all have a displacement within the field of view of `geometry`.
  static ControlGrid over(const Geometry& geometry, double spacing_mm);
};

/// The 64 control points and weights of one point of the world, by axis.
struct ControlWeights {
  Shape first = {0, 0, 0};
  std::array<std::array<double, 4>, 3> weight = {};  ///< sum 1 along each axis
  bool inside = false;                               ///< else there is no displacement
};

class Deformation {
 public:
  Deformation() = default;
  /// No displacement anywhere.
  explicit Deformation(const ControlGrid& grid);

  const ControlGrid& grid() const { return grid_; }
  /// Millimetres: 3 per control point (x, y, z together), x of the grid fastest.
  std::vector<double>& coefficients() { return coefficients_; }
  const std::vector<double>& coefficients() const { return coefficients_; }

  ControlWeights weights(const Eigen::Vector3d& at) const;
  Eigen::Vector3d displacement(const ControlWeights& at) const;
  /// The image of a point: at + displacement.
  Eigen::Vector3d operator()(const Eigen::Vector3d& at) const;
  /// Determinant of the derivative of operator(): the factor by which volumes change; the map folds
  /// where it is not positive.
  double jacobian(const Eigen::Vector3d& at) const;
  /// The point whose image is `at`, by fixed-point iteration to 1e-6 mm: it converges where the
  /// derivative of the displacement is below 1. Throws InputError where it does not.
  Eigen::Vector3d inverse(const Eigen::Vector3d& at) const;

  /// The same function on a grid of half the spacing.
  Deformation refined() const;
  /// No displacement along any axis is longer than this, in mm.
  double largest_mm() const;

 private:
  ControlGrid grid_;
  std::vector<double> coefficients_;
};

/// The smallest Jacobian determinant on a lattice of `step_mm` over the field of view.
double smallest_jacobian(const Deformation& deformation, const Geometry& view, double step_mm);

/// A label map seen through the deformation: each voxel has the label with the largest trilinear
/// weight at its image (as linear interpolation of each label's mask), on a grid along the world
/// axes with voxels of `spacing_mm` that holds all labels.
Volume<std::int32_t> deformed_labels(const Volume<std::int32_t>& labels,
                                     const Deformation& deformation, double spacing_mm,
                                     int threads);

}  // namespace epvs::data
