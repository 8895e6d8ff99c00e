// Stage 4 of prepare: the smooth region of interest that the networks see (P1 section 2.2, P2
// section 2.1).
//
// On the network's grid, with n = dilation_voxels and s = sigma_voxels:
//   dilated = n binary dilations of the hard mask with the 6-neighbourhood
//   soft    = Gaussian of the dilated mask: a sampled kernel exp(-k^2 / 2 s^2), |k| up to
//             gaussian_radius(s), normalised to sum 1, along z, y, x; zeros beyond the grid.
//             This is scipy.ndimage.gaussian_filter(mode="constant"), equal to 1e-5
//   crop    starts at round(c) - size / 2 along each axis, where c is the centre of mass of the
//           hard mask in voxels; in whole numbers floor((2 S + N) / 2 N) - floor(size / 2) with N
//           voxels and coordinate sum S. Beyond the grid it is padded with zeros
//   roi     "max" (P1):    scan * soft / max(scan * soft over the crop)
//           "minmax" (P2): soft * clip((scan - a) / (b - a), 0, 1), a and b the minimum and
//                          maximum of the scan over the dilated mask (inside the field of view)
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/cohort/preprocessing.h"
#include "data/formats/volume.h"

namespace epvs::data {

struct SmoothRoi {
  Volume<float> roi;          ///< what the network sees; shape = crop_voxels, affine of the crop
  Volume<std::uint8_t> hard;  ///< region before dilation, same grid
  Volume<float> soft;         ///< smooth mask, 0..1, same grid
  Shape crop_origin = {0, 0, 0};  ///< of the crop in the network's grid; may be negative
  double intensity_offset = 0;    ///< a (minmax) or 0 (max)
  double intensity_scale = 1;     ///< 1 / (b - a) (minmax) or 1 / maximum (max)
  double region_volume_mm3 = 0;   ///< of the hard mask
  /// Part of the hard mask that lies outside the field of view (0 without a field-of-view mask, for
  /// then the region was drawn inside it). See also fraction_outside_scan in resample.h.
  double cut_fraction = 0;
  /// Part of the hard mask whose voxels are 6-neighbours of the outside of the field of view: above
  /// 0, the region reaches the edge of the scan and was probably cut there.
  double edge_fraction = 0;
  /// Part of the hard mask outside the crop: the crop is too small, the scan is not to blame.
  double outside_crop_fraction = 0;
};

/// `scan` and `hard` share the network's grid; `field_of_view`, when given, is 1 where the grid is
/// covered by the original scan. Throws InputError: other grids, no voxel in the region, no voxel
/// of it in the field of view, NaN or infinity where the soft mask is above 0, a scan that is
/// constant (or not positive, for "max") in the region. Throws UsageError for options out of range.
SmoothRoi smooth_roi(const Volume<float>& scan, const Volume<std::uint8_t>& hard,
                     const PreprocessingOptions& options, int threads = 1,
                     const Volume<std::uint8_t>* field_of_view = nullptr);

/// `iterations` binary dilations with the 6-neighbourhood; nothing enters from beyond the grid.
Volume<std::uint8_t> dilate(const Volume<std::uint8_t>& mask, int iterations, int threads = 1);

/// Separable Gaussian as above. sigma_voxels = 0 returns the input.
Volume<float> gaussian_smooth(const Volume<float>& volume, double sigma_voxels, int threads = 1);

/// The sampled, normalised half kernel: weights of k = 0, 1, ..., int(4 sigma + 0.5).
std::vector<double> gaussian_half_kernel(double sigma_voxels);

/// round(centre of mass) of the voxels above 0, halves up. Throws InputError for an empty mask.
Shape centre_of_mass_voxel(const Volume<std::uint8_t>& mask);

}  // namespace epvs::data
