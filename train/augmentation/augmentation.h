// Augmentation on the device: each training volume is flipped, rotated and moved in one resampling
// pass. The parameters depend on (seed, epoch, participant) only, never on batches or timing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "models/torch.h"
#include "train/options.h"

namespace epvs::train {

/// What is done to one volume; arrays are per axis in the order x (left-right), y (back-front),
/// z (bottom-top): flipped, then rotated by R = Rz Ry Rx about its centre (right-handed
/// angles, in millimetre space: anisotropic voxels do not shear), then moved.
struct SpatialTransform {
  std::array<bool, 3> flip = {false, false, false};
  std::array<double, 3> rotation_rad = {0, 0, 0};
  std::array<double, 3> translation_voxels = {0, 0, 0};
  bool needs_resampling() const;
};

/// Draws from (seed, epoch, participant) alone.
SpatialTransform draw_spatial(const AugmentationOptions& options, std::uint64_t seed,
                              std::int64_t epoch, const std::string& participant);

/// volumes: (N, C, Z, Y, X), one transform per volume -> same shape, dtype and device. Trilinear
/// interpolation, zero outside. A volume whose transform only flips is copied exactly, so zero
/// strength is the identity to the last bit.
torch::Tensor apply_spatial(const torch::Tensor& volumes,
                            const std::vector<SpatialTransform>& transforms,
                            const std::array<double, 3>& spacing_mm);

}  // namespace epvs::train
