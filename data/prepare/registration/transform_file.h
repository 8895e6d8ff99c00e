// Linear transforms in files: ITK's text (ITK, ANTs, 3D Slicer, ITK-SNAP) and FLIRT's .mat.
#pragma once

#include <Eigen/Core>
#include <filesystem>

#include "data/formats/volume.h"

namespace epvs::data {

/// Writes a 4x4 transform of RAS+ points as an ITK text file (which holds LPS coordinates), atomic.
/// ITK, ANTs, 3D Slicer and `--transforms` read it. Direction: points of the fixed scan to points
/// of the moving.
void write_transform(const std::filesystem::path& path, const Eigen::Matrix4d& fixed_to_moving);

/// Reads ITK text as a matrix of RAS+ points: affine, rigid (Euler angles or a versor) or a
/// translation, and several of them in one file (the last is applied first, as in ITK). Throws
/// InputError naming the file: missing, not a transform, a transform of another kind, a singular
/// matrix.
Eigen::Matrix4d read_itk_transform(const std::filesystem::path& path);

/// FLIRT's 4x4 text takes "FSL millimetres" of the "-in" scan to those of the "-ref" scan: voxel
/// indices times voxel sizes, x running backwards in scans whose affine has a positive determinant.
/// So both geometries are needed. Returns `in` -> `ref` in world points. Throws InputError for
/// another text than 16 numbers and for a singular matrix.
Eigen::Matrix4d read_fsl_transform(const std::filesystem::path& path, const Geometry& in,
                                   const Geometry& ref);

}  // namespace epvs::data
