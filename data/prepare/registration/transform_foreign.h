// Linear transforms of FSL and FreeSurfer as matrices of world points (RAS+ mm).
#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <optional>

#include "data/formats/volume.h"

namespace epvs::data {

/// Throws InputError naming the file when the matrix has no inverse or is not finite.
void require_invertible(const Eigen::Matrix4d& matrix, const std::filesystem::path& path);

/// FLIRT's 4x4 text takes "FSL millimetres" of the "-in" scan to those of the "-ref" scan: voxel
/// indices times voxel sizes, x running backwards in scans whose affine has a positive determinant.
/// So both geometries are needed. Returns `in` -> `ref` in world points. Throws InputError for
/// another text than 16 numbers and for a singular matrix.
Eigen::Matrix4d read_fsl_transform(const std::filesystem::path& path, const Geometry& in,
                                   const Geometry& ref);

/// What a FreeSurfer LTA file holds.
struct LtaTransform {
  Eigen::Matrix4d source_to_target = Eigen::Matrix4d::Identity();  ///< world points, RAS+ mm
  std::optional<Geometry> source;  ///< nothing where the file says "valid = 0"
  std::optional<Geometry> target;
};

/// Type 1 (RAS to RAS) and type 0 (voxel to voxel, through the volumes that the file describes).
/// Throws InputError: another type, several transforms, voxel to voxel without both volumes, a
/// missing or broken entry, a singular matrix.
LtaTransform read_lta_transform(const std::filesystem::path& path);

}  // namespace epvs::data
