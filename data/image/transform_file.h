// Transforms in files: written and read as ITK text, also read from other programs.
#pragma once

#include <Eigen/Core>
#include <filesystem>

#include "data/volume/volume.h"

namespace epvs::data {

/// Writes a 4x4 transform of RAS+ points as an ITK text file (which holds LPS coordinates), atomic.
/// ITK, ANTs, 3D Slicer and `--transforms` read it. Direction: points of the fixed scan to points
/// of the moving.
void write_transform(const std::filesystem::path& path, const Eigen::Matrix4d& fixed_to_moving);

/// Reads any linear transform that ITK reads (.txt, .tfm, .mat of ANTs) as a matrix of RAS+ points.
/// Throws InputError naming the file: missing, not a transform, a deformation, a singular matrix.
Eigen::Matrix4d read_itk_transform(const std::filesystem::path& path);

/// FSL's FLIRT writes moving -> fixed in scaled voxels ("-in" moving, "-ref" fixed); both
/// geometries are needed to make world points of it. Returns fixed -> moving in RAS+ mm.
Eigen::Matrix4d read_fsl_transform(const std::filesystem::path& path, const Geometry& fixed,
                                   const Geometry& moving);

}  // namespace epvs::data
