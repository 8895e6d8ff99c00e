// Trilinear resampling on the CPU of volumes that are zero outside a region.
#pragma once

#include <Eigen/Core>

#include "models/torch.h"

namespace epvs::train {

/// volume: (1, C, Z, Y, X), float32, CPU -> the same shape. `source_of` (3, 4) maps a voxel (x, y, z, 1)
/// of the result to its place in the volume, in voxels; trilinear interpolation, zero outside. The
/// same as LibTorch's grid_sampler but for rounding. Only voxels that see the box around what is not zero
/// are computed, and no coordinate is looked up: it grows by a constant along a row.
torch::Tensor resample(const torch::Tensor& volume, const Eigen::Matrix<double, 3, 4>& source_of);

}  // namespace epvs::train
