// Linear transforms in the files of ITK and ANTs. Those of FSL and FreeSurfer: transform_foreign.h.
#pragma once

#include <Eigen/Core>
#include <filesystem>

#include "data/prepare/registration/deformation.h"

namespace epvs::data {

/// Writes a 4x4 transform of RAS+ points as an ITK text file (which holds LPS coordinates), atomic.
/// ITK, ANTs, 3D Slicer and `--transforms` read it. Direction: points of the fixed scan to points
/// of the moving.
void write_transform(const std::filesystem::path& path, const Eigen::Matrix4d& fixed_to_moving);

/// Reads any linear transform that ITK reads (.txt, .tfm, .mat of ANTs) as a matrix of RAS+ points.
/// Throws InputError naming the file: missing, not a transform, a deformation, a singular matrix.
Eigen::Matrix4d read_itk_transform(const std::filesystem::path& path);

/// A point goes through the affine, then through the deformation.
struct DeformableTransform {
  Eigen::Matrix4d affine = Eigen::Matrix4d::Identity();
  Deformation deformation;
};

/// ITK text: a CompositeTransform of a BSplineTransform and an AffineTransform (which ITK applies
/// last to first), LPS, atomic. ITK, ANTs and 3D Slicer read it.
void write_deformable_transform(const std::filesystem::path& path,
                                const DeformableTransform& transform);

/// Reads what write_deformable_transform() writes. Throws InputError naming the file: missing, not
/// a transform, another kind of transform, a control grid that is not parallel to the world axes.
DeformableTransform read_deformable_transform(const std::filesystem::path& path);

}  // namespace epvs::data
