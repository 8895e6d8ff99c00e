#include "data/prepare/prepare_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/error.h"

namespace epvs::data {

namespace {

void declare_grid(PrepareOptions& options, core::ParameterTable& table) {
  table
      .add("prepare.spacing_mm", &options.spacing_mm,
           "voxel size of the network's grid, x,y,z; preset p1: 0.5 mm isotropic")
      .range(0.1, 10)
      .length(3)
      .unit("mm");
  table
      .add("prepare.crop_voxels", &options.crop_voxels,
           "size of the crop, x,y,z, for all regions; without it 84x64x42 mm for bg and hippocampi "
           "(at 0.5x0.5x0.8 mm 168x128x56), 44x44x8.8 mm for midbrain, 125x145x11.2 mm for cso")
      .range(4, 1024)
      .length(3)
      .unit("voxels");
  table.add("prepare.crop_from_masks", &options.crop_from_masks,
            "choose the crop of each region from the extent of all participants' masks, with the "
            "reach of the dilation on both sides; finds all regions twice");
  table
      .add("prepare.dilation_voxels", &options.dilation_voxels,
           "binary dilations of the region, 6-neighbourhood")
      .range(0, 50);
  table.add("prepare.sigma_voxels", &options.sigma_voxels, "Gaussian that smooths the mask")
      .range(0, 50);
}

core::Json values_of(const PreprocessingOptions& options) {
  return {{"spacing_mm", options.spacing_mm},
          {"normalisation", core::to_text(options.normalisation)},
          {"registration", core::to_text(options.registration)}};
}

}  // namespace

void PrepareOptions::declare_sources(core::CommandLine& line) {
  line.heading("Where the regions come from");
  line.option("--labels", &labels,
              "label maps, one per scan: a path with {participant_id}, {participant_label}, "
              "{session_id}, {session_label} or {scan_folder}")
      .unit("PATTERN");
  line.option("--lut", &lut,
              "the numbers of the labels: freesurfer, synthseg, first, fast, fast_pve, "
              "harvardoxford, atlas, or a TOML file with [regions] name = [numbers]")
      .unit("LUT");
  line.option("--white-matter", &white_matter,
              "second label maps, of which cso is cut out, as --labels; for example FAST's "
              "*_pve_2.nii.gz beside FIRST's labels")
      .unit("PATTERN");
  line.option("--white-matter-lut", &white_matter_lut, "the numbers of --white-matter, as --lut")
      .unit("LUT");
  line.option("--labels-space", &labels_space,
              "t2w: label maps lie in the world of the scan; t1w: in that of the T1w scan, which "
              "is registered rigidly");
  line.option("--template", &template_scan,
              "template scan of a head, best T2-like as the scans; registered to each scan")
      .unit("FILE");
  line.option("--atlas", &atlases,
              "label map in the template's world space, any grid; may be repeated")
      .unit("FILE");
  line.option("--transforms", &transforms,
              "folder of transforms of an earlier run (OUT_qc/transforms) to use instead of "
              "registering")
      .unit("DIR");
}

void PrepareOptions::declare_regions(core::ParameterTable& table) {
  table.add("prepare.regions", &regions,
            "regions: bg, hippocampi, cso, midbrain, or names of the --lut table");
  table.add("prepare.atlas_registration", &atlas_registration,
            "affine; deformable: then a B-spline deformation of the template by the program "
            "elastix");
  table.add("prepare.label_interpolation", &label_interpolation,
            "linear: the region's mask, cut at one half; nearest: label numbers");
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
}

void PrepareOptions::declare(core::ParameterTable& table) {
  table
      .add("prepare.preset", &preset,
           "p1: 0.5 mm isotropic, divided by the maximum, rigid registration to the template; "
           "p2: 0.5x0.5x0.8 mm, minimum to maximum")
      .choices({"p1", "p2"});
  declare_regions(table);
  declare_grid(*this, table);
  table.add("prepare.normalisation", &normalisation,
            "max: divide by the maximum (p1); minmax: minimum to maximum (p2)");
  table.add("prepare.registration", &registration,
            "none: the grid follows the scan (p2); rigid: the scan is moved to the template (p1)");
  table.add("prepare.bias_correction", &bias_correction,
            "n4: the scan is divided by its bias field (N4) before anything else");
  table.add("prepare.float16", &float16, "store volumes as 16-bit floating point: half the size");
}

void PrepareOptions::settle(core::ParameterTable& table,
                            const std::optional<PreprocessingOptions>& weights) {
  const core::Json implied = {
      {"prepare", values_of(PreprocessingOptions::of(preset, regions.front()))}};
  const std::string source = "--preset " + core::to_text(preset);
  table.apply_preset(implied, source);
  if (!weights) return;
  // A stated preset states what it implies.
  if (table.find("prepare.preset").stated()) {
    table.from_json(implied, source, table.find("prepare.preset").origin());
  }
  core::Json expected = values_of(*weights);
  expected["regions"] = {weights->region};
  expected["crop_voxels"] = weights->crop_voxels;
  expected["dilation_voxels"] = weights->dilation_voxels;
  expected["sigma_voxels"] = weights->sigma_voxels;
  expected["bias_correction"] = core::to_text(weights->bias_correction);
  table.require_equal({{"prepare", expected}}, "--like");
}

RegionTable PrepareOptions::region_table() const {
  return RegionTable::open(lut);
}

RegionTable PrepareOptions::white_matter_table() const {
  return white_matter.empty() ? region_table() : RegionTable::open(white_matter_lut);
}

RegionRules PrepareOptions::region_rules() const {
  return {label_interpolation == LabelInterpolation::kNearest, cso_above_mm, cso_slab_mm};
}

bool PrepareOptions::registers() const {
  return uses_atlas() || labels_space == LabelsSpace::kT1w ||
         registration == GridRegistration::kRigid;
}

void PrepareOptions::check_sources() const {
  if (uses_atlas() && !labels.empty()) {
    throw core::UsageError("--labels and --atlas are both given",
                           "labels come either from label maps or from an atlas");
  }
  if (uses_atlas() && template_scan.empty()) {
    throw core::UsageError("--atlas needs --template",
                           "the template is the scan in whose space the atlas was drawn");
  }
  if (!uses_atlas() && atlas_registration == AtlasRegistration::kDeformable) {
    throw core::UsageError("--atlas-registration deformable needs --template and --atlas",
                           "label maps of the same person are not deformed");
  }
  if (uses_atlas() && !white_matter.empty()) {
    throw core::UsageError("--white-matter and --atlas are both given",
                           "--white-matter stands beside --labels; an atlas of the white matter is "
                           "another --atlas");
  }
  if (crop_from_masks && !crop_voxels.empty()) {
    throw core::UsageError("--crop-from-masks cannot be combined with --crop-voxels or --like");
  }
  if (registration == GridRegistration::kRigid && template_scan.empty()) {
    throw core::UsageError(
        "the scans are to be registered rigidly to a template (--registration rigid, implied by "
        "--preset p1 and by weights that were trained so), but there is no --template",
        "give the template scan, for example an MNI152 T2 template, with --template; or say "
        "--registration none to prepare without it, which is not P1's way");
  }
  orientation();  // throws for what is none
}

PreprocessingOptions PrepareOptions::region_options(const std::string& region) const {
  PreprocessingOptions options = PreprocessingOptions::of(preset, region);
  const RegionTable numbers = region == "cso" ? white_matter_table() : region_table();
  options.labels = numbers.labels(region);
  options.label_source = numbers.source();
  if (uses_atlas()) {
    options.label_source =
        atlas_registration == AtlasRegistration::kDeformable ? "atlas_deformable" : "atlas";
  }
  std::copy_n(spacing_mm.begin(), 3, options.spacing_mm.begin());
  options.crop_voxels = crop_for(region, options.spacing_mm);
  if (!crop_voxels.empty()) std::copy_n(crop_voxels.begin(), 3, options.crop_voxels.begin());
  options.dilation_voxels = dilation_voxels;
  options.sigma_voxels = sigma_voxels;
  options.normalisation = normalisation;
  options.registration = registration;
  options.bias_correction = bias_correction;
  options.validate();
  return options;
}

std::vector<PreprocessingOptions> PrepareOptions::resolve(
    const std::optional<PreprocessingOptions>& weights) const {
  check_sources();
  std::set<std::string> seen;
  std::vector<PreprocessingOptions> all;
  for (const std::string& region : regions) {
    if (!seen.insert(region).second) {
      throw core::UsageError(fmt::format("region '{}' is given twice", region));
    }
    all.push_back(region_options(region));
    if (weights) all.back().preset = weights->preset;
  }
  return all;
}

}  // namespace epvs::data
