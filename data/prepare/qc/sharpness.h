// How sharp a scan is in its own slices: one number to find blurred and moved scans of a cohort.
#pragma once

#include "data/formats/volume.h"

namespace epvs::data {

/// The smallest box that holds the mask, grown by `margin_mm` within the two axes of the slices
/// (not through them) and cut at the grid. Empty for an empty mask.
VoxelBox box_around(const Volume<std::uint8_t>& mask, double margin_mm);

/// The root of the gradient energy in the slices over the variance, in 1/mm:
///
///   S = sqrt( (mean (d_a v / h_a)^2 + mean (d_b v / h_b)^2) / var v )
///
/// with d the difference of neighbouring voxels along the two axes a, b of the slices (all stored
/// axes but slice_axis), h their spacing, all over the voxels of `box`. A wave of wavelength L
/// along one axis has S = 2 sin(pi h / L) / h, about 2 pi / L. It does not change with v -> s v + o
/// and falls when the scan is blurred; noise raises it, so it compares scans of like protocol only.
/// NaN when the box is empty, one voxel wide or constant.
double sharpness_per_mm(const Volume<float>& scan, const VoxelBox& box);

}  // namespace epvs::data
