// What was done to a scan before the network sees it. Stored in the cohort file and in the metadata
// of weights, so that weights refuse a cohort that was prepared differently.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/enum_names.h"
#include "core/json.h"

namespace epvs::data {

enum class Preset { kP1, kP2, kCustom };
enum class Normalisation {
  kMax,     ///< divide by the maximum of the product (P1)
  kMinMax,  ///< (v - min)/(max - min) over the dilated mask, clipped, times the soft mask (P2)
};
enum class GridRegistration { kNone, kRigid };  ///< rigid: to the template (P1)
enum class BiasCorrection { kNone, kN4 };       ///< n4: the scan is divided by its bias field first

constexpr auto names_of(Preset) {
  return std::to_array<core::EnumName<Preset>>(
      {{Preset::kP1, "p1"}, {Preset::kP2, "p2"}, {Preset::kCustom, "custom"}});
}
constexpr auto names_of(Normalisation) {
  return std::to_array<core::EnumName<Normalisation>>(
      {{Normalisation::kMax, "max"}, {Normalisation::kMinMax, "minmax"}});
}
constexpr auto names_of(GridRegistration) {
  return std::to_array<core::EnumName<GridRegistration>>(
      {{GridRegistration::kNone, "none"}, {GridRegistration::kRigid, "rigid"}});
}
constexpr auto names_of(BiasCorrection) {
  return std::to_array<core::EnumName<BiasCorrection>>(
      {{BiasCorrection::kNone, "none"}, {BiasCorrection::kN4, "n4"}});
}

struct PreprocessingOptions {
  Preset preset = Preset::kP2;  ///< where the values below come from
  std::string region = "bg";    ///< bg, hippocampi, cso, midbrain or a custom region
  std::array<double, 3> spacing_mm = {0.5, 0.5, 0.8};        ///< network grid, x y z
  std::array<std::int64_t, 3> crop_voxels = {168, 128, 84};  ///< x y z
  int dilation_voxels = 4;    ///< iterations of binary dilation, 6-neighbourhood (P1)
  double sigma_voxels = 2.0;  ///< of the Gaussian that smooths the mask (P1)
  Normalisation normalisation = Normalisation::kMinMax;
  GridRegistration registration = GridRegistration::kNone;
  BiasCorrection bias_correction = BiasCorrection::kNone;  ///< files without it say none
  std::vector<std::int64_t> labels;                        ///< label numbers that form the region
  std::string label_source = "n/a";  ///< freesurfer, synthseg, atlas, ... : differs -> warning

  /// A paper's way of preparing a region (PAPERS 2): p1 0.5 mm isotropic, divided by the maximum,
  /// registered rigidly; p2 0.5x0.5x0.8 mm, minimum to maximum. The crop is crop_for().
  static PreprocessingOptions of(Preset preset, const std::string& region);
  /// Voxels that the soft mask reaches beyond the hard one: dilation and Gaussian.
  std::int64_t reach_voxels() const;
  /// Throws UsageError naming region, field and bounds.
  void validate() const;
  core::Json to_json() const;
  static PreprocessingOptions from_json(const core::Json& document);
  /// Names of fields that a network cannot bridge, with both values: "spacing_mm: 0.5,0.5,0.8 and
  /// 0.5,0.5,0.5". Empty when the two fit. Looks at region, spacing, crop, dilation, sigma,
  /// normalisation, registration, bias correction; not at preset, labels and label_source.
  std::vector<std::string> differences(const PreprocessingOptions& other) const;
};

/// Crop of a region at a spacing, voxels (x, y, z). bg, hippocampi and other regions 168x128x84 at
/// 0.5 mm isotropic (P1); midbrain 88x88x11 and cso 250x290x14 at 0.5x0.5x0.8 mm. At another
/// spacing the same extent in mm, rounded up by up_to_four().
std::array<std::int64_t, 3> crop_for(const std::string& region,
                                     const std::array<double, 3>& spacing_mm);

/// The next multiple of 4 voxels, so that two poolings divide it.
std::int64_t up_to_four(double voxels);

/// Half width of the sampled Gaussian: int(4 sigma + 0.5).
std::int64_t gaussian_radius(double sigma_voxels);

}  // namespace epvs::data
