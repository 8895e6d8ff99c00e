// Everything that can be chosen about a phantom cohort.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/enum_names.h"
#include "core/parameters.h"
#include "data/phantom/scanner.h"

namespace epvs::data {

/// head, or a box of 104 x 88 x 62 mm around the basal ganglia.
enum class FieldOfView { kHead, kBasalGanglia };
constexpr auto names_of(FieldOfView) {
  return std::to_array<core::EnumName<FieldOfView>>(
      {{FieldOfView::kHead, "head"}, {FieldOfView::kBasalGanglia, "basal-ganglia"}});
}

/// What raters count: EPVS in the whole region, or, as Adams 2013 and both papers, in one slice for
/// bg (that of the anterior commissure) and cso (1 cm above the lateral ventricles).
enum class Rating { kVolume, kSlice };
constexpr auto names_of(Rating) {
  return std::to_array<core::EnumName<Rating>>(
      {{Rating::kVolume, "volume"}, {Rating::kSlice, "slice"}});
}

enum class PhantomPreset { kDefault, kDemo, kP1, kP2, kP2Research, kRandomised };
constexpr auto names_of(PhantomPreset) {
  return std::to_array<core::EnumName<PhantomPreset>>({{PhantomPreset::kDefault, "default"},
                                                       {PhantomPreset::kDemo, "demo"},
                                                       {PhantomPreset::kP1, "p1"},
                                                       {PhantomPreset::kP2, "p2"},
                                                       {PhantomPreset::kP2Research, "p2-research"},
                                                       {PhantomPreset::kRandomised, "randomised"}});
}

struct SimulationOptions {
  // cohort
  int participants = 100;
  int rescans = 0;
  std::vector<std::string> scanners = {"research-1.5t", "philips-3t", "siemens-1.5t"};
  std::vector<std::string> regions = {"bg", "hippocampi", "cso", "midbrain"};
  double age_mean_years = 71.4;
  double age_sd_years = 9.3;
  double age_min_years = 35;
  double age_max_years = 90;

  // EPVS
  std::vector<double> mean_count;  ///< empty: bg 10, hippocampi 4, cso 12, midbrain 2
  std::vector<double> dispersion = {2.5};
  double zero_fraction = 0.0;
  double burden_sd = 0.3;
  double ratio_per_decade = 1.3;
  double comorbidity = 0.0;
  double diameter_mean_mm = 1.6;
  double diameter_sd_mm = 0.5;
  std::vector<double> diameter_range_mm = {0.5, 3.0};
  std::vector<double> length_range_mm = {3.0, 15.0};
  std::vector<double> brightness_range = {0.21, 0.5};
  double cluster_fraction = 0.2;
  double minimum_gap_mm = 1.0;

  // lesions that are not EPVS
  double lacunes = 1.0;
  double white_matter_lesions = 4.0;
  double vessels = 12.0;

  // scans
  std::filesystem::path anatomy;  ///< folder of label maps; empty: the schematic head
  FieldOfView field_of_view = FieldOfView::kHead;
  double voxel_scale = 1.0;
  double max_slice_mm = 100.0;
  std::vector<double> spacing_mm;
  bool randomise = false;
  double texture = 0.05;
  double noise_scale = 1.0;
  double bias_scale = 1.0;
  double rotation_degrees = 4.0;
  double translation_mm = 4.0;
  double anatomy_grid_mm = 1.0;

  // raters
  Rating rating = Rating::kVolume;
  double rater_sensitivity = 3.0;
  std::vector<double> rater_noise = {0.35};
  double slice_error_mm = 0.0;
  bool repeat_ratings = false;
  double repeat_share = 0.4;
  int marked_scans = 0;
  double lacune_confusion = 0.3;

  /// Declares every field once: options of the command, recipe keys, documentation.
  void declare(core::ParameterTable& table);
  static SimulationOptions preset(PhantomPreset preset);
  /// Throws UsageError naming option, value and violated constraint.
  void validate() const;

  /// A profile and how many of sum(shares) participants it scans.
  struct ScannerShare {
    std::string name;
    int share;
  };
  /// `scanners` read: NAME, NAME=SHARE, and the mixture `clinical`. Throws UsageError.
  std::vector<ScannerShare> scanner_shares() const;
  std::vector<Region> region_list() const;
  double mean_count_of(Region region) const;
  double dispersion_of(Region region) const { return of_region(dispersion, region); }
  double rater_noise_of(Region region) const { return of_region(rater_noise, region); }
  bool basal_ganglia_only() const { return field_of_view == FieldOfView::kBasalGanglia; }

 private:
  /// From a list with one value per region of `regions`, or one for all.
  double of_region(const std::vector<double>& values, Region region) const;
};

}  // namespace epvs::data
