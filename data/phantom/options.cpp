#include "data/phantom/options.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "core/error.h"
#include "core/text.h"

namespace epvs::data {

namespace {

/// At age 70.
double usual_mean_count(Region region) {
  switch (region) {
    case Region::kBasalGanglia:
      return 10;
    case Region::kHippocampi:
      return 4;
    case Region::kCentrumSemiovale:
      return 12;
    case Region::kMidbrain:
      return 2;
  }
  return 0;
}

void declare_cohort(SimulationOptions& options, core::ParameterTable& table) {
  table.add("sample.participants", &options.participants, "number of participants").range(1, 99999);
  table
      .add("sample.rescans", &options.rescans,
           "participants that are scanned twice (ses-1, ses-2): same head and EPVS, new position, "
           "noise and ratings; above 0, every participant gets a session name")
      .range(0, 99999);
  table.add(
      "sample.scanners", &options.scanners,
      "scanner profiles, in equal shares or with whole-number shares (philips-3t=3,philips-1t): "
      "research-1.5t, research-pd-1.5t, philips-3t, philips-1.5t, philips-1.5t-b, "
      "philips-1.5t-c, philips-1t, philips-1t-b, siemens-3t, siemens-3t-b, siemens-1.5t; "
      "clinical stands for the last nine in the shares of P2's 76 scans");
  table.add("sample.regions", &options.regions,
            "regions with EPVS and scores: bg, hippocampi, cso, midbrain (with the field of view "
            "basal-ganglia only bg)");
  table.add("sample.age_mean_years", &options.age_mean_years, "mean age")
      .range(20, 100)
      .unit("YEARS");
  table.add("sample.age_sd_years", &options.age_sd_years, "standard deviation of age")
      .range(0, 40)
      .unit("YEARS");
  table.add("sample.age_min_years", &options.age_min_years, "youngest age")
      .range(18, 110)
      .unit("YEARS");
  table.add("sample.age_max_years", &options.age_max_years, "oldest age")
      .range(18, 110)
      .unit("YEARS");
}

void declare_epvs(SimulationOptions& options, core::ParameterTable& table) {
  table
      .add("epvs.mean_count", &options.mean_count,
           "mean number of EPVS at age 70, one per region of --regions or one for all; without it "
           "bg 10, hippocampi 4, cso 12, midbrain 2")
      .range(0, 200);
  table
      .add("epvs.dispersion", &options.dispersion,
           "size of the negative binomial: variance = mean + mean^2 / size; one per region or one "
           "for all")
      .range(0.1, 1000);
  table
      .add("epvs.zero_fraction", &options.zero_fraction,
           "probability that a region has no EPVS at any age (zero inflation)")
      .range(0, 1);
  table
      .add("epvs.burden_sd", &options.burden_sd,
           "standard deviation of a participant's log burden, shared by the regions")
      .range(0, 2);
  table
      .add("epvs.ratio_per_decade", &options.ratio_per_decade,
           "ratio of the mean count per decade of age (P1 reports 1.30 to 1.34)")
      .range(0.2, 5);
  table
      .add(
          "epvs.comorbidity", &options.comorbidity,
          "how far atrophy (ventricles, sulci), lacunes and white matter hyperintensities go with a "
          "participant's burden beyond age: 0 not at all, 1 closely")
      .range(0, 1);
  table.add("epvs.diameter_mean_mm", &options.diameter_mean_mm, "mean diameter before truncation")
      .range(0.3, 6)
      .unit("MM");
  table.add("epvs.diameter_sd_mm", &options.diameter_sd_mm, "standard deviation of the diameter")
      .range(0, 3)
      .unit("MM");
  table.add("epvs.diameter_range_mm", &options.diameter_range_mm, "smallest and largest diameter")
      .range(0.3, 8)
      .length(2)
      .unit("MM,MM");
  table.add("epvs.length_range_mm", &options.length_range_mm, "shortest and longest EPVS")
      .range(1, 30)
      .length(2)
      .unit("MM,MM");
  table
      .add("epvs.brightness_range", &options.brightness_range,
           "lowest and highest brightness of EPVS, as part of the way from the tissue around them "
           "to CSF, drawn for each; 0.21 and 0.36 are the low and usual contrast of PVSDRO")
      .range(0.02, 1)
      .length(2);
  table
      .add("epvs.cluster_fraction", &options.cluster_fraction,
           "part of the EPVS that lie within some 5 mm of another")
      .range(0, 1);
  table.add("epvs.minimum_gap_mm", &options.minimum_gap_mm, "smallest distance between two EPVS")
      .range(0, 10)
      .unit("MM");
}

void declare_scans(SimulationOptions& options, core::ParameterTable& table) {
  table.add("lesions.lacunes", &options.lacunes, "mean number of lacunes at age 70").range(0, 20);
  table
      .add("lesions.white_matter_lesions", &options.white_matter_lesions,
           "mean number of white matter hyperintensities at age 70")
      .range(0, 60);
  table
      .add("lesions.vessels", &options.vessels,
           "mean number of small vessels in the basal ganglia: most dark (flow voids), some bright")
      .range(0, 100);

  table.add("scan.randomise", &options.randomise,
            "draws field, TR, TE, voxels, slice profile, noise and bias anew for every scan, wide; "
            "then voxels and noise are scaled as below");
  table
      .add(
          "scan.texture", &options.texture,
          "standard deviation of the brightness of deep grey matter from place to place (iron), as "
          "part of the contrast of CSF to white matter")
      .range(0, 0.5);
  table
      .add(
          "scan.anatomy", &options.anatomy,
          "folder of real label maps in FreeSurfer's numbers (.nii, .nii.gz, .mgz), which serve the "
          "participants in turn, each warped anew; empty: the schematic head")
      .unit("DIR");
  table.add("scan.field_of_view", &options.field_of_view,
            "head, or a box of 104 x 88 x 62 mm around the basal ganglia");
  table.add("scan.voxel_scale", &options.voxel_scale, "factor on the voxel size of every profile")
      .range(0.5, 8);
  table
      .add("scan.max_slice_mm", &options.max_slice_mm,
           "thicker slices and larger slice distances are cut to this")
      .range(0.3, 100)
      .unit("MM");
  table
      .add("scan.spacing_mm", &options.spacing_mm,
           "voxel size x,y,z for all scanners, without gaps; empty: the profile's")
      .range(0.2, 10)
      .length(3)
      .unit("MM,MM,MM");
  table.add("scan.noise_scale", &options.noise_scale, "factor on the noise of every profile")
      .range(0, 20);
  table.add("scan.bias_scale", &options.bias_scale, "factor on the bias field of every profile")
      .range(0, 5);
  table
      .add("scan.rotation_degrees", &options.rotation_degrees,
           "standard deviation of the head's rotation about each axis")
      .range(0, 20)
      .unit("DEGREES");
  table
      .add("scan.translation_mm", &options.translation_mm,
           "standard deviation of the head's position along each axis")
      .range(0, 20)
      .unit("MM");
  table
      .add("scan.anatomy_grid_mm", &options.anatomy_grid_mm,
           "grid on which tissue borders are drawn; EPVS are drawn exactly")
      .range(0.3, 3)
      .unit("MM");
}

void declare_raters(SimulationOptions& options, core::ParameterTable& table) {
  table.add("raters.rating", &options.rating,
            "raters count in the whole region (volume), or (slice) bg in the slice of the anterior "
            "commissure and cso in the slice 1 cm above the lateral ventricles, as both papers");
  table
      .add("raters.rater_sensitivity", &options.rater_sensitivity,
           "factor on the visibility of EPVS for the raters")
      .range(0.05, 20);
  table
      .add("raters.rater_noise", &options.rater_noise,
           "standard deviation of a rater's strictness from scan to scan (log visibility); one per "
           "region or one for all")
      .range(0, 3);
  table
      .add("raters.slice_error_mm", &options.slice_error_mm,
           "standard deviation of the distance between the slice that a rater reads and the right "
           "one, with --rating slice")
      .range(0, 20)
      .unit("MM");
  table.add("raters.repeat_ratings", &options.repeat_ratings,
            "rater 2 rates every scan a second time: a column rater2_repeat");
  table
      .add("raters.repeat_share", &options.repeat_share,
           "part of a rater's error that comes back when the same scan is rated again")
      .range(0, 1);
  table
      .add("raters.marked_scans", &options.marked_scans,
           "rater 1 marks what he counts with dots in the scans of so many participants, the first "
           "that are scanned once (all when there are fewer): phenotype/dot_marks.tsv")
      .range(0, 99999);
  table
      .add("raters.lacune_confusion", &options.lacune_confusion,
           "probability that a rater counts a lacune in the region as an EPVS")
      .range(0, 1);
}

}  // namespace

void SimulationOptions::declare(core::ParameterTable& table) {
  declare_cohort(*this, table);
  declare_epvs(*this, table);
  declare_scans(*this, table);
  declare_raters(*this, table);
}

void SimulationOptions::validate() const {
  const auto ordered = [](double low, double high, const char* what) {
    if (low > high) {
      throw core::UsageError(fmt::format("{}: the lower bound {} is above the upper bound {}", what,
                                         core::format_number(low), core::format_number(high)));
    }
  };
  ordered(diameter_range_mm.at(0), diameter_range_mm.at(1), "diameter-range-mm");
  ordered(brightness_range.at(0), brightness_range.at(1), "brightness-range");
  ordered(length_range_mm.at(0), length_range_mm.at(1), "length-range-mm");
  ordered(age_min_years, age_max_years, "age-min-years and age-max-years");
  if (rescans > participants) {
    throw core::UsageError(
        fmt::format("rescans = {} exceeds participants = {}", rescans, participants));
  }
  scanner_shares();
  const std::vector<Region> list = region_list();
  if (list.empty()) throw core::UsageError("regions: at least one region is needed");
  if (std::set<Region>(list.begin(), list.end()).size() != list.size()) {
    throw core::UsageError("regions: a region is named twice");
  }
  if (basal_ganglia_only() && (list.size() != 1 || list.front() != Region::kBasalGanglia)) {
    throw core::UsageError(
        fmt::format("regions = {}: the field of view basal-ganglia holds bg only",
                    core::join(regions, ",")),
        "give --regions bg, or --field-of-view head");
  }
  for (const auto& [name, values, least] : {std::tuple{"mean-count", &mean_count, 0U},
                                            {"dispersion", &dispersion, 1U},
                                            {"rater-noise", &rater_noise, 1U}}) {
    if (values->size() == least || values->size() == 1 || values->size() == list.size()) continue;
    throw core::UsageError(fmt::format("{} has {} values for {} regions ({})", name, values->size(),
                                       list.size(), core::join(regions, ",")),
                           "give one value per region, or one for all");
  }
}

std::vector<SimulationOptions::ScannerShare> SimulationOptions::scanner_shares() const {
  std::vector<ScannerShare> shares;
  std::set<std::string> seen;
  const auto add = [&](const std::string& name, int share) {
    scanner_profile(name);
    if (!seen.insert(name).second) {
      throw core::UsageError(fmt::format("scanners: profile {} is named twice", name));
    }
    shares.push_back({name, share});
  };
  for (const std::string& text : scanners) {
    const std::size_t equal = text.find('=');
    const std::string name = text.substr(0, equal);
    int share = 1;
    if (equal != std::string::npos) {
      const auto number = core::parse_number(text.substr(equal + 1));
      if (!number || *number < 1 || *number > 100000 || *number != std::floor(*number)) {
        throw core::UsageError(fmt::format("scanners: the share in '{}' is no whole number from 1 "
                                           "to 100000",
                                           text),
                               "write a profile and its share, for example philips-3t=36");
      }
      share = static_cast<int>(*number);
    }
    if (name != "clinical") {
      add(name, share);
      continue;
    }
    for (const ScannerProfile& profile : scanner_profiles()) {
      if (profile.clinical_share > 0) add(profile.name, share * profile.clinical_share);
    }
  }
  if (shares.empty()) throw core::UsageError("scanners: at least one profile is needed");
  return shares;
}

std::vector<Region> SimulationOptions::region_list() const {
  std::vector<Region> list;
  for (const std::string& name : regions) list.push_back(region_of(name));
  return list;
}

double SimulationOptions::of_region(const std::vector<double>& values, Region region) const {
  if (values.size() == 1) return values.front();
  const std::vector<Region> list = region_list();
  const auto found = std::find(list.begin(), list.end(), region);
  return values.at(static_cast<std::size_t>(found - list.begin()));
}

double SimulationOptions::mean_count_of(Region region) const {
  return mean_count.empty() ? usual_mean_count(region) : of_region(mean_count, region);
}

}  // namespace epvs::data
