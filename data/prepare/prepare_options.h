// What `epvs prepare` can be told, and how it becomes the preprocessing of each region.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/parameters.h"
#include "data/cohort/preprocessing.h"
#include "data/formats/orientation.h"
#include "data/prepare/region.h"
#include "data/prepare/registration/registration.h"

namespace epvs::data {

struct PrepareOptions {
  std::string preset = "p2";
  std::vector<std::string> regions = {"bg"};
  std::filesystem::path like;  ///< weights whose preprocessing is wanted

  std::string labels;  ///< pattern of label files, or empty
  /// auto: freesurfer, or the table that belongs to an atlas given by name.
  std::string lut = "auto";
  std::string white_matter;  ///< pattern of label maps of which cso is cut out, or empty
  std::string white_matter_lut = "fast_pve";
  std::string labels_space = "t2w";  ///< or t1w: labels travel through T1w -> T2w registration
  std::string label_interpolation = "linear";
  std::filesystem::path template_scan;
  std::vector<std::string> atlases;
  std::filesystem::path transforms;  ///< folder of transforms to reuse instead of registering

  std::vector<double> spacing_mm;         ///< empty: of the preset
  std::vector<std::int64_t> crop_voxels;  ///< empty: by region and spacing
  bool crop_from_masks = false;
  int dilation_voxels = 4;
  double sigma_voxels = 2.0;
  std::string normalisation = "preset";
  std::string registration = "preset";
  std::string bias_correction = "none";
  std::string registration_program = "epvs";
  std::string atlas_registration = "affine";  ///< or deformable, after the affine
  double cso_above_mm = 10.0;
  double cso_slab_mm = 5.0;
  /// Anterior commissure in the template's world; the default is that of MNI152.
  std::vector<double> ac_mm = {0.0, 3.0, -4.0};
  bool float16 = false;
  /// What headers that leave left and right open mean; see OrientationRule.
  std::vector<std::string> assume_orientation;

  /// Parameters under the table [prepare] of a recipe and as command-line options.
  void declare(core::ParameterTable& table);

  /// Preprocessing per region. `stated` holds the names of the options that the user gave
  /// ("spacing_mm"): with --like, those that contradict the weights are refused. `weights` are the
  /// path and preprocessing of --like.
  /// Throws UsageError: no source of labels or two of them, a region that the labels do not have,
  /// rigid registration without a template, values out of range, contradictions with the weights.
  std::vector<PreprocessingOptions> resolve(
      const std::set<std::string>& stated,
      const std::optional<PreprocessingOptions>& weights = std::nullopt) const;

  bool uses_atlas() const { return !atlases.empty(); }
  /// What stands as label source of a region from an atlas.
  std::string atlas_source() const;
  /// Label numbers of the regions; FreeSurfer's numbers unless --lut or a named atlas say
  /// otherwise.
  RegionTable region_table() const;
  /// Label numbers of the white matter: of --white-matter-lut where --white-matter is given.
  RegionTable white_matter_table() const;
  /// Puts paths in the place of names such as fsl:MNI152_T1_2mm (data/prepare/named_atlases.h), and
  /// the label table of a named atlas in the place of lut = auto.
  void find_named_atlases();
  RegionRules region_rules() const;
  OrientationRule orientation() const { return OrientationRule(assume_orientation); }
  RegistrationOptions affine_registration() const;
  RegistrationOptions rigid_registration() const;
};

/// Crop of a region at a spacing. The sizes of PAPERS at their own spacing (P1: 0.5 mm isotropic
/// for bg and hippocampi; 0.5x0.5x0.8 mm for midbrain and cso), at another spacing the same extent
/// in mm, rounded up to a multiple of 4 voxels so that two poolings divide it.
Shape crop_for(const std::string& region, const std::array<double, 3>& spacing_mm);

}  // namespace epvs::data
