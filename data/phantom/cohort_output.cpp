#include "data/phantom/cohort_output.h"

#include <cmath>

#include "core/error.h"
#include "core/hash.h"
#include "data/cohort/way_back.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/phantom/dataset.h"
#include "data/prepare/regions.h"
#include "data/prepare/smooth_roi.h"

namespace epvs::data {

namespace {

Volume<float> as_float(const Volume<std::int16_t>& source) {
  Volume<float> result(source.geometry);
  for (std::size_t i = 0; i < source.voxels.size(); ++i) {
    result.voxels[i] = static_cast<float>(source.voxels[i]);
  }
  return result;
}

Volume<std::int32_t> as_labels(const Volume<std::int16_t>& source) {
  Volume<std::int32_t> result(source.geometry);
  for (std::size_t i = 0; i < source.voxels.size(); ++i) result.voxels[i] = source.voxels[i];
  return result;
}

std::string hash_of(const Volume<std::int16_t>& volume) {
  core::Sha256 hash;
  hash.update(volume.voxels.data(), volume.voxels.size() * sizeof(std::int16_t));
  return hash.finish();
}

/// Geometry and origin of the scan: of its file, or of the plan when it has none.
CohortRow source_of(const ScanPlan& plan, const SimulatedScan& scan,
                    const std::filesystem::path& file) {
  CohortRow row;
  row.participant_id = plan.participant_id;
  row.session_id = plan.session_id;
  if (file.empty()) {
    row.source = plan.geometry;
    row.source_sform_code = 1;
    row.source_sform = plan.geometry.affine;
    row.source_path = "simulated:" + scan_path("", plan).string();
    row.source_sha256 = hash_of(scan.t2w);
    return row;
  }
  set_source(row, read_header(file));
  row.source_path = file.string();
  row.source_sha256 = core::sha256_file(file);
  return row;
}

CohortEntry make_entry(const PreprocessingOptions& options, const ScanPlan& plan,
                       const CohortRow& source, const Volume<std::int32_t>& labels,
                       const Volume<float>& on_grid) {
  const Volume<std::uint8_t> hard = resample_region(labels, options.labels, on_grid.geometry);
  const Volume<std::uint8_t> seen = field_of_view(plan.geometry, on_grid.geometry);
  SmoothRoi roi = smooth_roi(on_grid, hard, options, 1, &seen);

  CohortEntry entry;
  entry.region = options.region;
  CohortRow& row = entry.row;
  row = source;
  row.roi = roi.roi.geometry;
  row.crop_origin = roi.crop_origin;
  row.intensity_offset = roi.intensity_offset;
  row.intensity_scale = roi.intensity_scale;
  const double slice = row.roi.to_voxel(plan.anterior_commissure()).z();
  const auto nearest = static_cast<std::int64_t>(std::llround(slice));
  row.ac_slice = nearest >= 0 && nearest < row.roi.shape[2] ? nearest : -1;
  row.label_source = options.label_source;
  row.region_volume_mm3 = roi.region_volume_mm3;
  row.region_cut_fraction = roi.cut_fraction;
  row.region_outside_crop_fraction = roi.outside_crop_fraction;
  entry.volumes.roi = std::move(roi.roi.voxels);
  entry.volumes.hard = std::move(roi.hard.voxels);
  entry.volumes.soft = std::move(roi.soft.voxels);
  return entry;
}

}  // namespace

PreprocessingOptions cohort_options(const std::string& preset, const std::string& region,
                                    const std::vector<double>& spacing_mm,
                                    const std::vector<std::int64_t>& crop_voxels,
                                    int dilation_voxels, double sigma_voxels) {
  if (region == "cso") {
    throw core::UsageError(
        "--cohort cannot hold the region cso: its mask is cut out of the white matter by prepare",
        "write the scans and run epvs prepare, or leave cso out of --regions");
  }
  PreprocessingOptions options;
  options.preset = preset;
  options.region = region;
  options.labels = RegionTable::preset("freesurfer").labels(region);
  options.label_source = "freesurfer";
  options.dilation_voxels = dilation_voxels;
  options.sigma_voxels = sigma_voxels;
  const bool p1 = preset == "p1";
  options.spacing_mm =
      p1 ? std::array<double, 3>{0.5, 0.5, 0.5} : std::array<double, 3>{0.5, 0.5, 0.8};
  options.normalisation = p1 ? "max" : "minmax";
  // The papers' crops belong to 0.5 mm isotropic voxels, the midbrain's to 0.5 x 0.5 x 0.8 mm.
  const Shape size = default_crop_voxels(region);
  const std::array<double, 3> own = {0.5, 0.5, region == "midbrain" ? 0.8 : 0.5};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (!spacing_mm.empty()) options.spacing_mm[axis] = spacing_mm[axis];
    const double voxels = static_cast<double>(size[axis]) * own[axis] / options.spacing_mm[axis];
    options.crop_voxels[axis] = crop_voxels.empty()
                                    ? 4 * static_cast<std::int64_t>(std::ceil(voxels / 4.0 - 1e-9))
                                    : crop_voxels[axis];
  }
  if (!spacing_mm.empty() || !crop_voxels.empty() || dilation_voxels != 4 || sigma_voxels != 2.0) {
    options.preset = "custom";
  }
  validate(options);
  return options;
}

CohortOutput::CohortOutput(const CohortRequest& request, const core::Provenance& provenance)
    : regions_(request.regions),
      writer_(std::make_unique<CohortWriter>(request.path, request.regions, provenance.to_json(),
                                             request.float16)) {}

std::vector<CohortEntry> CohortOutput::prepare(const ScanPlan& plan, const SimulatedScan& scan,
                                               const std::filesystem::path& file) const {
  const Volume<float> image = as_float(scan.t2w);
  const Volume<std::int32_t> labels = as_labels(scan.labels);
  const CohortRow source = source_of(plan, scan, file);
  std::vector<CohortEntry> entries;
  try {
    for (const PreprocessingOptions& options : regions_) {
      const Volume<float> on_grid =
          resample(image, network_grid(plan.geometry, options.spacing_mm));
      entries.push_back(make_entry(options, plan, source, labels, on_grid));
    }
  } catch (const core::InputError& error) {
    throw core::InputError(plan.participant_id + " " + plan.session_id + ": " + error.what(),
                           error.hint());
  }
  return entries;
}

void CohortOutput::append(const CohortEntry& entry) {
  writer_->append(entry.region, entry.row, entry.volumes);
}

void CohortOutput::finish() {
  writer_->finish();
}

}  // namespace epvs::data
