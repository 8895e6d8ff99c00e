// Augmentation on the device: each training volume is flipped, rotated and moved in one resampling
// pass. A second part makes research scans look like clinical ones: thick slices with gaps, other
// contrast, bias field, noise, blur. P2 names it as future work. All of it is linear algebra on the
// volume's own grid; voxels that are exactly zero (outside the region) stay zero. The parameters
// depend on (seed, epoch, participant) only, never on batches or timing.
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

/// What is done to one volume, in this order: contrast, gamma, bias field, blur, slices, noise. The
/// default does nothing.
struct ClinicalTransform {
  double contrast = 1.0;  ///< factor of the distance to the mean of the region
  double gamma = 1.0;     ///< v^gamma
  /// Logarithm of the field at x, y, z in -1..1: b . (x, y, z, xy, xz, yz, x^2, y^2, z^2).
  std::array<double, 9> bias = {0, 0, 0, 0, 0, 0, 0, 0, 0};
  double blur_mm = 0.0;             ///< sigma of a Gaussian along each axis
  double slice_thickness_mm = 0.0;  ///< 0: slices are left as they are
  double slice_gap_mm = 0.0;        ///< between two slices
  double slice_phase = 0.0;         ///< where the first slice lies, 0..1 of thickness + gap
  double noise = 0.0;               ///< Rician: SD of both channels, in units of the volume
  std::uint64_t noise_seed = 0;
};

/// Draws from (seed, epoch, participant) alone. Each part is used with
/// AugmentationOptions::clinical_probability.
ClinicalTransform draw_clinical(const AugmentationOptions& options, std::uint64_t seed,
                                std::int64_t epoch, const std::string& participant);

/// volumes: (N, 1, Z, Y, X), one transform per volume -> same shape, dtype, device.
torch::Tensor apply_clinical(const torch::Tensor& volumes,
                             const std::vector<ClinicalTransform>& transforms,
                             const std::array<double, 3>& spacing_mm);

/// (n, n): thick slices and back. Row z of the product with a column of voxels is the linear
/// interpolation at z between slice centres; a slice is the mean over its thickness (box profile,
/// parts of voxels count in part). Rows sum to 1.
torch::Tensor slice_matrix(std::int64_t n, double spacing_mm, double thickness_mm, double gap_mm,
                           double phase);
/// (n, n): Gaussian of sigma_mm, cut at 4 sigma, zero outside, as preprocessing does.
torch::Tensor blur_matrix(std::int64_t n, double spacing_mm, double sigma_mm);

}  // namespace epvs::train
