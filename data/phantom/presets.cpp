#include "data/phantom/options.h"

namespace epvs::data {

namespace {

/// Basal ganglia on coarse voxels, with EPVS that a small network learns to count.
SimulationOptions demo() {
  SimulationOptions options;
  options.participants = 240;
  options.regions = {"bg"};
  options.field_of_view = FieldOfView::kBasalGanglia;
  options.mean_count = {8};
  options.voxel_scale = 2.2;
  options.max_slice_mm = 1.8;
  options.anatomy_grid_mm = 1.2;
  options.noise_scale = 0.7;
  options.brightness_range = {0.85, 1.0};
  options.cluster_fraction = 0;
  options.vessels = 0;
  options.texture = 0;
  options.diameter_mean_mm = 2.3;
  options.diameter_sd_mm = 0.4;
  options.diameter_range_mm = {1.6, 3.0};
  options.length_range_mm = {4.0, 9.0};
  options.minimum_gap_mm = 2.5;
  options.rater_sensitivity = 1.5;
  return options;
}

/// Raters and numbers of EPVS fitted to the agreement that the papers print: docs/phantom.md.
SimulationOptions p1() {
  SimulationOptions options;
  options.participants = 2040;  // 2017, and 23 scanned twice
  options.rescans = 23;
  options.scanners = {"research-pd-1.5t"};
  options.regions = {"bg"};
  options.field_of_view = FieldOfView::kBasalGanglia;
  options.age_mean_years = 72;
  options.age_sd_years = 8;
  options.age_min_years = 60;
  options.age_max_years = 96;
  options.mean_count = {9};
  options.burden_sd = 0.5;
  options.dispersion = {2.8};
  options.comorbidity = 0.8;
  options.lacunes = 0.25;
  options.zero_fraction = 0.05;
  options.minimum_gap_mm = 0.5;
  options.rating = Rating::kSlice;
  options.rater_sensitivity = 4.8;
  options.rater_noise = {0.8};
  options.slice_error_mm = 3.4;
  options.repeat_ratings = true;
  options.repeat_share = 0.5;
  options.marked_scans = 25;
  return options;
}

/// P2's 76 clinical scans.
SimulationOptions p2() {
  SimulationOptions options;
  options.participants = 76;
  options.scanners = {"clinical"};
  options.regions = {"cso", "bg", "hippocampi"};
  options.age_mean_years = 72.6;  // before it is cut to 35-89 years
  options.age_sd_years = 10.5;
  options.age_min_years = 35;
  options.age_max_years = 89;
  options.mean_count = {25, 15, 6.3};
  options.dispersion = {3, 6, 4};
  options.minimum_gap_mm = 0.5;
  options.lacunes = 2;
  options.white_matter_lesions = 10;
  options.rating = Rating::kSlice;
  options.rater_sensitivity = 6;
  options.rater_noise = {0.2, 1.2, 0.6};
  options.slice_error_mm = 2.8;
  return options;
}

/// The 1600 scans that P2's networks were trained on.
SimulationOptions p2_research() {
  SimulationOptions options = p2();
  options.participants = 1600;
  options.scanners = {"research-1.5t"};
  options.age_mean_years = p1().age_mean_years;
  options.age_sd_years = p1().age_sd_years;
  options.age_min_years = p1().age_min_years;
  options.age_max_years = p1().age_max_years;
  options.lacunes = SimulationOptions().lacunes;
  options.white_matter_lesions = SimulationOptions().white_matter_lesions;
  return options;
}

/// Domain randomisation, for weights that must meet scanners they have not seen.
SimulationOptions randomised_scans() {
  SimulationOptions options;
  options.participants = 500;
  options.scanners = {"research-1.5t"};  // every scan draws its own
  options.randomise = true;
  options.regions = {"bg"};
  options.field_of_view = FieldOfView::kBasalGanglia;
  options.mean_count = {12};
  options.dispersion = {1.2};
  options.age_min_years = 35;
  options.age_sd_years = 14;
  options.brightness_range = {0.15, 1.0};
  options.cluster_fraction = 0.3;
  options.minimum_gap_mm = 0.8;
  options.lacunes = 3;
  options.white_matter_lesions = 10;
  options.vessels = 25;
  options.texture = 0.08;
  options.rotation_degrees = 8;
  return options;
}

}  // namespace

SimulationOptions SimulationOptions::preset(PhantomPreset preset) {
  switch (preset) {
    case PhantomPreset::kDefault:
      return {};
    case PhantomPreset::kDemo:
      return demo();
    case PhantomPreset::kP1:
      return p1();
    case PhantomPreset::kP2:
      return p2();
    case PhantomPreset::kP2Research:
      return p2_research();
    case PhantomPreset::kRandomised:
      return randomised_scans();
  }
  return {};
}

}  // namespace epvs::data
