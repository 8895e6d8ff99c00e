// What `epvs prepare` can be told, and how it becomes the preprocessing of each region.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/command.h"
#include "core/enum_names.h"
#include "core/parameters.h"
#include "data/cohort/preprocessing.h"
#include "data/formats/orientation.h"
#include "data/prepare/stages/cut_region.h"

namespace epvs::data {

/// In whose world the label maps lie; from T1w they travel through its registration to the scan.
enum class LabelsSpace { kT2w, kT1w };
constexpr auto names_of(LabelsSpace) {
  return std::to_array<core::EnumName<LabelsSpace>>(
      {{LabelsSpace::kT2w, "t2w"}, {LabelsSpace::kT1w, "t1w"}});
}

/// How a template is registered to a scan; deformable: after the affine.
enum class AtlasRegistration { kAffine, kDeformable };
constexpr auto names_of(AtlasRegistration) {
  return std::to_array<core::EnumName<AtlasRegistration>>(
      {{AtlasRegistration::kAffine, "affine"}, {AtlasRegistration::kDeformable, "deformable"}});
}

enum class LabelInterpolation { kLinear, kNearest };
constexpr auto names_of(LabelInterpolation) {
  return std::to_array<core::EnumName<LabelInterpolation>>(
      {{LabelInterpolation::kLinear, "linear"}, {LabelInterpolation::kNearest, "nearest"}});
}

struct PrepareOptions {
  Preset preset = Preset::kP2;
  std::vector<std::string> regions = {"bg"};

  std::string labels;  ///< pattern of label files, or empty
  std::string lut = "freesurfer";
  std::string white_matter;  ///< pattern of label maps of which cso is cut out, or empty
  std::string white_matter_lut = "fast_pve";
  LabelsSpace labels_space = LabelsSpace::kT2w;
  LabelInterpolation label_interpolation = LabelInterpolation::kLinear;
  std::filesystem::path template_scan;
  std::vector<std::string> atlases;
  std::filesystem::path transforms;  ///< folder of transforms to reuse instead of registering

  std::vector<double> spacing_mm = {0.5, 0.5, 0.8};
  std::vector<std::int64_t> crop_voxels;  ///< empty: by region and spacing
  bool crop_from_masks = false;
  int dilation_voxels = 4;
  double sigma_voxels = 2.0;
  Normalisation normalisation = Normalisation::kMinMax;
  GridRegistration registration = GridRegistration::kNone;
  BiasCorrection bias_correction = BiasCorrection::kNone;
  AtlasRegistration atlas_registration = AtlasRegistration::kAffine;
  double cso_above_mm = 10.0;
  double cso_slab_mm = 5.0;
  /// Anterior commissure in the template's world; the default is that of MNI152.
  std::vector<double> ac_mm = {0.0, 3.0, -4.0};
  bool float16 = false;
  /// What headers that leave left and right open mean; see OrientationRule.
  std::vector<std::string> assume_orientation;

  /// Where the labels come from, as command-line options under a heading of their own.
  void declare_sources(core::CommandLine& line);
  /// Which regions, and how labels reach the scan.
  void declare_regions(core::ParameterTable& table);
  /// declare_regions() and the rest: parameters under the table [prepare] of a recipe and as
  /// command-line options.
  void declare(core::ParameterTable& table);
  /// Fills in what the preset implies and, with --like, what the weights were trained on, below
  /// what the user stated; `table` is that of declare(). Throws UsageError naming every stated
  /// value that the weights contradict.
  void settle(core::ParameterTable& table, const std::optional<PreprocessingOptions>& weights);
  /// Preprocessing per region, after settle(). Throws UsageError: two sources of labels, a region
  /// that the labels do not have or that is named twice, rigid registration without a template,
  /// values out of range.
  std::vector<PreprocessingOptions> resolve(
      const std::optional<PreprocessingOptions>& weights = std::nullopt) const;

  bool uses_atlas() const { return !atlases.empty(); }
  /// Label numbers of the regions.
  RegionTable region_table() const;
  /// Label numbers of the white matter: of --white-matter-lut where --white-matter is given.
  RegionTable white_matter_table() const;
  RegionRules region_rules() const;
  OrientationRule orientation() const { return OrientationRule(assume_orientation); }
  /// Does a scan have to be registered to a template or to its T1w scan?
  bool registers() const;

 private:
  void check_sources() const;
  PreprocessingOptions region_options(const std::string& region) const;
};

}  // namespace epvs::data
