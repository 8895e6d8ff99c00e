// The deformable stage of the atlas route: after the affine transform of a scan to a template, a
// cubic B-spline of the template's world that fits the two better (Rueckert et al., IEEE TMI
// 18:712, 1999), found and applied by elastix and transformix.
#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <string>

#include "data/formats/volume.h"

namespace epvs::data {

/// A point of the scan goes through `affine`, then through the B-spline, to its place in the
/// template.
struct Deformation {
  Eigen::Matrix4d affine = Eigen::Matrix4d::Identity();
  std::string bspline;  ///< elastix's text of the transform, without an initial transform
};

struct DeformableResult {
  Deformation deformation;
  /// Nats, of the scan and the template on its grid, without and with the B-spline.
  double information_before = 0;
  double information_after = 0;
};

/// Finds the B-spline for a scan whose affine transform to the template is known. Equal scans give
/// equal results. Throws as register_volumes().
DeformableResult register_deformable(const Volume<float>& scan, const Volume<float>& template_scan,
                                     const Eigen::Matrix4d& scan_to_template);

/// A label map of the template as it lies in the world that `affine` leads to: the label at the
/// place where the B-spline sends a voxel (nearest), on a grid of 1 mm along the world axes around
/// all labels.
Volume<std::int32_t> deformed_labels(const Volume<std::int32_t>& labels,
                                     const Deformation& deformation);

/// The smallest Jacobian determinant of the B-spline on a lattice of 4 mm over the field of view:
/// the factor by which volumes change; the map folds where it is not positive.
double smallest_jacobian(const Deformation& deformation, const Geometry& view);

/// The point that the B-spline sends to `target`, within 0.01 mm. Throws InputError where the map
/// folds so much that there is none to be found.
Eigen::Vector3d undeformed(const Deformation& deformation, const Eigen::Vector3d& target);

/// elastix's text of the B-spline, with the affine transform in an entry of its own; atomic.
void write_deformation(const std::filesystem::path& path, const Deformation& deformation);

/// Throws InputError naming the file: missing, or not what write_deformation() writes.
Deformation read_deformation(const std::filesystem::path& path);

}  // namespace epvs::data
