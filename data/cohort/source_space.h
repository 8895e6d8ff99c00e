// From the grid of the crop back to the original scan: attention maps, detections.
#pragma once

#include <Eigen/Core>

#include "data/cohort/cohort.h"
#include "data/formats/nifti.h"
#include "data/formats/volume.h"

namespace epvs::data {

/// Copies geometry, sform, qform, their codes and the header's raw fields into the row, so that
/// maps can be written later exactly like the scan.
void set_source(CohortRow& row, const ScanHeader& header);

/// What write_nifti(..., like) needs to give a map the very header of the original scan.
ScanHeader source_header(const CohortRow& row);

/// A volume on the row's crop (shape row.roi.shape) at the voxels of the original scan: linear
/// interpolation (as resample), 0 outside the crop. Throws InputError when the shapes differ.
Volume<float> to_source(const CohortRow& row, const Volume<float>& on_crop, int threads = 1);

/// Voxel of the crop (x, y, z; fractional) -> world mm of the original scan, RAS+.
Eigen::Vector3d crop_voxel_to_source_world(const CohortRow& row, const Eigen::Vector3d& voxel);
/// The same point as fractional voxel of the original scan, stored order.
Eigen::Vector3d crop_voxel_to_source_voxel(const CohortRow& row, const Eigen::Vector3d& voxel);
/// And back: world mm of the original scan -> fractional voxel of the crop.
Eigen::Vector3d source_world_to_crop_voxel(const CohortRow& row, const Eigen::Vector3d& world);

}  // namespace epvs::data
