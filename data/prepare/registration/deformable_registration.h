// The deformable stage of the atlas route: after the affine transform of a scan to a template, a
// smooth deformation of the template's world that fits the two better.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "data/formats/volume.h"
#include "data/prepare/registration/deformation.h"

namespace epvs::data {

struct DeformableOptions {
  /// Coarse to fine; each half of the one before.
  std::vector<double> control_spacing_mm = {40.0, 20.0};
  std::vector<double> level_spacing_mm = {4.0, 2.0};  ///< working grids, as many
  std::int64_t samples = 80000;                       ///< per level
  int bins = 32;
  int iterations = 40;     ///< of the limited-memory BFGS, per level
  double bending = 0.2;    ///< see DeformableObjective: more is stiffer
  std::uint64_t seed = 1;  ///< of the jitter of the points
  /// Throws UsageError naming option, value and constraint.
  void validate() const;
};

/// The step of the lattice on which folding is looked for.
inline constexpr double kFoldStep_mm = 4.0;

struct DeformableResult {
  /// Of the template's world: a point of the scan goes to deformation(affine * point).
  Deformation deformation;
  double information_before = 0;  ///< nats, with the affine alone, finest level
  double information_after = 0;
  double jacobian_min = 1;  ///< over the template's field of view; not positive: it folds
  int evaluations = 0;
};

/// Deterministic, on one thread. Throws InputError when the scans do not overlap or one is
/// constant.
DeformableResult register_deformable(const Volume<float>& scan, const Volume<float>& template_scan,
                                     const Eigen::Matrix4d& scan_to_template,
                                     const DeformableOptions& options = {});

}  // namespace epvs::data
