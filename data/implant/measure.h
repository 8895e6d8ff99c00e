// What a scan says of itself before anything is added: brightness of white matter and CSF, and how
// sharp it is.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "data/formats/volume.h"
#include "data/prepare/stages/cut_region.h"

namespace epvs::data {

/// In the units of the scan.
struct ScanContrast {
  double white_matter = 0;  ///< median
  double csf = 0;           ///< 90th percentile of the lateral ventricles
  double ratio() const { return csf / white_matter; }
  double difference() const { return csf - white_matter; }
};

/// Below this ratio of CSF to white matter a scan is refused.
inline constexpr double kLeastRatio = 1.5;

/// From the label maps' white matter and lateral ventricles, each from the first map that has it.
/// The percentile withstands ventricles that an atlas draws too wide: as long as a tenth of their
/// voxels is CSF, CSF is what it finds. Throws InputError: a structure that no map has (naming its
/// label numbers), less than 50 of its voxels in the scan, a ratio below kLeastRatio (naming it).
ScanContrast measure_contrast(const Volume<float>& scan, const std::vector<LabelMap>& maps,
                              int threads);

/// World points of the lateral ventricles' voxels. Throws InputError where no map has them.
std::vector<Eigen::Vector3d> ventricle_points(const std::vector<LabelMap>& maps);

/// Standard deviation (mm) of the Gaussian that, beside the box of a voxel, blurs the scan, along
/// each stored axis. Edges have the power spectrum 1 / f^2 (Field, J Opt Soc Am A 4:2379, 1987), so the
/// square of the scan's transfer function is P(f) f^2 over its value at low frequencies: here the
/// mean spectrum of all lines in the middle half of the slices (Hann window) and its geometric mean
/// from 0.04 to 0.12 cycles per voxel. Where it falls below 1/4 (transfer 1/2), at f50, a Gaussian has
///   s = sqrt(ln 2 / 2) / (pi f50),
/// from which the voxel's box, h^2 / 12, is taken off. A scan that never falls so far counts as
/// f50 = 0.5: sharp, or so noisy that its own blur is not seen.
///
/// sharpness_per_mm() of quality control does not serve here: it compares scans of like content.
/// Throws InputError where the scan is constant there.
Eigen::Vector3d blur_mm(const Volume<float>& scan);

}  // namespace epvs::data
