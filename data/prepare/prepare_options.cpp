#include "data/prepare/prepare_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text.h"
#include "data/prepare/named_atlases.h"
#include "data/prepare/smooth_roi.h"

namespace epvs::data {

void PrepareOptions::declare(core::ParameterTable& table) {
  table
      .add("prepare.preset", &preset,
           "p1: 0.5 mm isotropic, divided by the maximum, rigid registration to the template when "
           "there is one; "
           "p2: 0.5x0.5x0.8 mm, minimum-maximum normalisation")
      .choices({"p1", "p2"});
  table.add("prepare.regions", &regions,
            "regions: bg, hippocampi, cso, midbrain, or names of the --lut table");
  table
      .add("prepare.spacing_mm", &spacing_mm,
           "voxel size of the network's grid, x,y,z; default: that of the preset")
      .range(0.1, 10)
      .length(3)
      .unit("mm");
  table
      .add("prepare.crop_voxels", &crop_voxels,
           "size of the crop, x,y,z, for all regions; default: 84x64x42 mm for bg and hippocampi "
           "(at 0.5x0.5x0.8 mm 168x128x56), 44x44x8.8 mm for midbrain, 125x145x11.2 mm for cso")
      .range(4, 1024)
      .length(3)
      .unit("voxels");
  table.add(
      "prepare.crop_from_masks", &crop_from_masks,
      "choose the crop of each region from the extent of all participants' masks, with the reach "
      "of the dilation on both sides; finds all regions twice");
  table
      .add("prepare.dilation_voxels", &dilation_voxels,
           "binary dilations of the region, 6-neighbourhood")
      .range(0, 50);
  table.add("prepare.sigma_voxels", &sigma_voxels, "Gaussian that smooths the mask").range(0, 50);
  table
      .add("prepare.normalisation", &normalisation,
           "max (P1), minmax (P2), or preset: that of the preset")
      .choices({"preset", "max", "minmax"});
  table
      .add("prepare.registration", &registration,
           "none: the grid follows the scan; rigid: the scan is moved to the template; preset: "
           "that of the preset")
      .choices({"preset", "none", "rigid"});
  table
      .add("prepare.registration_program", &registration_program,
           "what finds rigid and affine transforms: epvs, or the program elastix with its default "
           "settings (P1), which must be installed")
      .choices({"epvs", "elastix"});
  table
      .add("prepare.atlas_registration", &atlas_registration,
           "affine; deformable: then a smooth B-spline deformation of the template (20 mm between "
           "control points)")
      .choices({"affine", "deformable"});
  table
      .add("prepare.bias_correction", &bias_correction,
           "n4: the scan is divided by its bias field (N4) before anything else; none: it is not")
      .choices({"none", "n4"});
  table
      .add("prepare.label_interpolation", &label_interpolation,
           "linear: the region's mask, cut at one half; nearest: label numbers")
      .choices({"linear", "nearest"});
  table
      .add("prepare.cso_above_mm", &cso_above_mm,
           "centrum semiovale: middle of the slab above the top of the lateral ventricles, or of "
           "the caudate where there is no ventricle")
      .range(0, 50)
      .unit("mm");
  table.add("prepare.cso_slab_mm", &cso_slab_mm, "centrum semiovale: thickness of the slab")
      .range(0.1, 60)
      .unit("mm");
  table
      .add("prepare.ac_mm", &ac_mm,
           "anterior commissure in the template's world, x,y,z; the default is that of MNI152")
      .length(3)
      .unit("mm");
  table.add("prepare.assume_orientation", &assume_orientation,
            "for headers that leave left and right open, which are refused otherwise: sform or "
            "qform where the two contradict each other; RAS, LPI, ... (where the stored axes run "
            "to) where there is no orientation");
  table.add("prepare.float16", &float16, "store volumes as 16-bit floating point: half the size");
}

RegionTable PrepareOptions::region_table() const {
  return RegionTable::open(lut == "auto" ? "freesurfer" : lut);
}

RegionTable PrepareOptions::white_matter_table() const {
  return white_matter.empty() ? region_table() : RegionTable::open(white_matter_lut);
}

void PrepareOptions::find_named_atlases() {
  template_scan = find_named_template(template_scan.string());
  std::set<std::string> luts;
  for (std::string& atlas : atlases) {
    const NamedAtlas found = find_named_atlas(atlas);
    atlas = found.path.string();
    luts.insert(found.lut.empty() ? "freesurfer" : found.lut);
  }
  if (lut != "auto" || luts.empty()) return;
  if (luts.size() > 1) {
    throw core::UsageError(
        fmt::format("the atlases have different label numbers: {} and {}", *luts.begin(),
                    *luts.rbegin()),
        "give atlases with the same numbers, or say with --lut which numbers all of them have");
  }
  lut = *luts.begin();
}

std::string PrepareOptions::atlas_source() const {
  return atlas_registration == "deformable" ? "atlas_deformable" : "atlas";
}

RegionRules PrepareOptions::region_rules() const {
  RegionRules rules;
  rules.nearest = label_interpolation == "nearest";
  rules.cso_above_mm = cso_above_mm;
  rules.cso_slab_mm = cso_slab_mm;
  return rules;
}

RegistrationOptions PrepareOptions::affine_registration() const {
  return {};
}

RegistrationOptions PrepareOptions::rigid_registration() const {
  RegistrationOptions options;
  options.motion = Motion::kRigid;
  options.level_spacing_mm = {8.0, 4.0, 2.0, 0.0};
  return options;
}

Shape crop_for(const std::string& region, const std::array<double, 3>& spacing_mm) {
  const Shape base = default_crop_voxels(region);
  const bool thin = region == "cso" || region == "midbrain";
  const std::array<double, 3> own = {0.5, 0.5, thin ? 0.8 : 0.5};
  Shape size = base;
  for (std::size_t i = 0; i < 3; ++i) {
    if (std::abs(spacing_mm[i] - own[i]) < 1e-9) continue;
    const double voxels = static_cast<double>(base[i]) * own[i] / spacing_mm[i];
    size[i] = 4 * static_cast<std::int64_t>(std::ceil(voxels / 4.0 - 1e-9));
  }
  return size;
}

namespace {

/// Throws UsageError when the user stated something that the weights contradict.
void refuse_contradictions(const std::set<std::string>& stated, const PreprocessingOptions& asked,
                           const PreprocessingOptions& weights) {
  for (const std::string& difference : asked.differences(weights)) {
    const std::string field = difference.substr(0, difference.find(':'));
    const std::string option = field == "region" ? "regions" : field;
    if (!stated.contains(option) && !(stated.contains("preset") && option != "regions")) continue;
    throw core::UsageError(
        fmt::format("--like contradicts other options: {} (the weights)", difference),
        "leave the option out: --like takes everything from the weights");
  }
}

}  // namespace

std::vector<PreprocessingOptions> PrepareOptions::resolve(
    const std::set<std::string>& stated, const std::optional<PreprocessingOptions>& weights) const {
  if (uses_atlas() && !labels.empty()) {
    throw core::UsageError("--labels and --atlas are both given",
                           "labels come either from label maps or from an atlas");
  }
  if (uses_atlas() && template_scan.empty()) {
    throw core::UsageError("--atlas needs --template",
                           "the template is the scan in whose space the atlas was drawn");
  }
  if (!uses_atlas() && atlas_registration == "deformable") {
    throw core::UsageError("--atlas-registration deformable needs --template and --atlas",
                           "label maps of the same person are not deformed");
  }
  if (uses_atlas() && !white_matter.empty()) {
    throw core::UsageError("--white-matter and --atlas are both given",
                           "--white-matter stands beside --labels; an atlas of the white matter is "
                           "another --atlas");
  }
  if (crop_from_masks && (!crop_voxels.empty() || weights)) {
    throw core::UsageError("--crop-from-masks cannot be combined with --crop-voxels or --like");
  }
  orientation();  // throws for what is none
  const RegionTable table = region_table();
  const RegionTable white = white_matter_table();
  std::vector<std::string> names = regions;
  if (weights && !stated.contains("regions")) names = {weights->region};
  std::set<std::string> seen;
  std::vector<PreprocessingOptions> all;
  for (const std::string& region : names) {
    if (!seen.insert(region).second) {
      throw core::UsageError(fmt::format("region '{}' is given twice", region));
    }
    PreprocessingOptions options;
    options.preset = preset;
    options.region = region;
    const RegionTable& numbers = region == "cso" ? white : table;
    options.labels = region_labels(numbers, region);
    options.label_source = uses_atlas() ? atlas_source() : numbers.source();
    const bool p1 = preset == "p1";
    options.spacing_mm =
        p1 ? std::array<double, 3>{0.5, 0.5, 0.5} : std::array<double, 3>{0.5, 0.5, 0.8};
    if (!spacing_mm.empty()) std::copy_n(spacing_mm.begin(), 3, options.spacing_mm.begin());
    options.crop_voxels = crop_for(region, options.spacing_mm);
    if (!crop_voxels.empty()) std::copy_n(crop_voxels.begin(), 3, options.crop_voxels.begin());
    options.dilation_voxels = dilation_voxels;
    options.sigma_voxels = sigma_voxels;
    options.normalisation =
        normalisation == "preset" ? std::string(p1 ? "max" : "minmax") : normalisation;
    options.registration = registration == "preset"
                               ? std::string(p1 && !template_scan.empty() ? "rigid" : "none")
                               : registration;
    options.bias_correction = bias_correction;
    if (weights) {
      refuse_contradictions(stated, options, *weights);
      PreprocessingOptions wanted = *weights;
      wanted.labels = options.labels;
      wanted.label_source = options.label_source;
      options = wanted;
    }
    if (options.registration == "rigid" && template_scan.empty()) {
      throw core::UsageError(
          weights
              ? "the weights expect scans that are registered to a template (registration: rigid)"
              : "--registration rigid needs --template",
          "give the template scan, for example an MNI152 T2 template, with --template");
    }
    validate(options);
    all.push_back(options);
  }
  return all;
}

}  // namespace epvs::data
