#include "data/prepare/prepare_scan.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/text.h"
#include "data/cohort/way_back.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/inputs/scan_source.h"
#include "data/prepare/inputs/sidecar.h"
#include "data/prepare/label_numbers.h"
#include "data/prepare/qc/qc_picture.h"
#include "data/prepare/qc/sharpness.h"
#include "data/prepare/registration/bias.h"
#include "data/prepare/registration/elastix_program.h"
#include "data/prepare/scan_labels.h"
#include "data/prepare/smooth_roi.h"

namespace epvs::data {

namespace {

/// The crops of the papers leave out the thin end of the caudate's tail in most people.
constexpr double kSmallOutsideCrop = 0.01;

/// Around the region, for the sharpness of the scan there.
constexpr double kSharpnessMarginMm = 10;

Scan read_checked(const ScanInput& input, const SharedInputs& shared,
                  const std::vector<PreprocessingOptions>& regions) {
  Scan scan = read_image(counted_scan(input), shared.options().orientation());
  const std::string name = input.scan.string();
  const NonFinite bad = count_non_finite(scan.image);
  if (bad.count > 0) {
    throw core::InputError(
        fmt::format("{} has {} voxels that are not finite (NaN or infinite), the first at {},{},{}",
                    name, bad.count, bad.first[0], bad.first[1], bad.first[2]),
        "replace them, for example by 0 outside the head");
  }
  const auto [low, high] = std::minmax_element(scan.image.voxels.begin(), scan.image.voxels.end());
  if (*low == *high) {
    throw core::InputError(fmt::format("{} is constant: every voxel is {}", name,
                                       core::format_number(static_cast<double>(*low))),
                           "the scan is empty or was not converted properly");
  }
  if (corrects_bias(regions)) scan.image = correct_bias(scan.image);
  return scan;
}

NetworkSpace network_space(const Scan& scan, const ScanLabels& found, const SharedInputs& shared,
                           const PreprocessingOptions& options) {
  NetworkSpace space;
  if (options.registration == "rigid") {
    space.grid = network_grid(shared.template_scan()->geometry, options.spacing_mm);
    space.network_to_scan = found.scan_to_template_rigid().inverse();
  } else {
    space.grid = network_grid(scan.header.geometry, options.spacing_mm);
  }
  return space;
}

std::vector<std::string> reasons_of(const QcRow& row, const ScanHeader& header,
                                    const ScanLabels& found) {
  std::vector<std::string> reasons = header.concerns;
  const auto percent = [](double share) { return fmt::format("{:.1f}%", 100 * share); };
  if (row.cut_fraction > 0) {
    reasons.push_back(percent(row.cut_fraction) + " of the region is outside the scan");
  }
  if (row.edge_fraction > 0) {
    reasons.push_back("the region touches the edge of the scan");
  }
  if (row.outside_crop_fraction > kSmallOutsideCrop) {
    reasons.push_back(percent(row.outside_crop_fraction) + " of the region is outside the crop");
  }
  for (const std::string& reason : found.reasons()) reasons.push_back(reason);
  return reasons;
}

/// z in the crop of the anterior commissure, or -1.
std::int64_t ac_slice(const ScanLabels& found, const SharedInputs& shared,
                      const NetworkSpace& space, const Geometry& roi) {
  const std::vector<double>& ac = shared.options().ac_mm;
  const auto in_scan = found.template_to_scan({ac[0], ac[1], ac[2]});
  if (!in_scan) return -1;
  const Eigen::Vector3d world =
      (space.network_to_scan.inverse() * in_scan->homogeneous()).head<3>();
  const auto z = static_cast<std::int64_t>(std::llround(roi.to_voxel(world)[2]));
  return z >= 0 && z < roi.shape[2] ? z : -1;
}

}  // namespace

SharedInputs::SharedInputs(const PrepareOptions& options)
    : options_(options),
      table_(options.region_table()),
      white_matter_table_(options.white_matter_table()) {
  sources_ = core::Json::object();
  if (!options.transforms.empty()) {
    core::require_exists(options.transforms, "the folder of transforms");
  }
  if (!options.template_scan.empty()) {
    core::require_exists(options.template_scan, "the template");
    Scan scan = read_image({options.template_scan, {}}, options.orientation());
    for (const std::string& concern : scan.header.concerns) {
      concerns_.push_back(options.template_scan.filename().string() + ": " + concern);
    }
    template_ = std::move(scan.image);
    sources_["template"] = core::sha256_file(options.template_scan);
  }
  if (options.registration_program == "elastix") require_elastix();
  sources_["atlases"] = core::Json::array();
  for (const std::string& path : options.atlases) {
    core::require_exists(path, "the atlas");
    Volume<std::int32_t> atlas = read_label_image(path, options.orientation(), &concerns_);
    const std::string foreign = foreign_numbers_text(atlas, table_.source());
    if (!foreign.empty()) concerns_.push_back(path + " has " + foreign);
    std::set<std::int64_t> numbers(atlas.voxels.begin(), atlas.voxels.end());
    numbers.erase(0);
    const std::vector<std::int64_t> labels(numbers.begin(), numbers.end());
    if (labels.empty()) throw core::InputError(fmt::format("the atlas {} has no labels", path));
    const double outside = fraction_outside_scan(atlas, labels, template_->geometry);
    if (outside > 0.01) {
      throw core::InputError(fmt::format("{:.0f}% of the atlas {} lies outside the template {}",
                                         100 * outside, path, options.template_scan.string()),
                             "an atlas must be drawn in the world space of its template");
    }
    atlases_.push_back(std::move(atlas));
    sources_["atlases"].push_back(core::sha256_file(path));
  }
}

std::optional<RegistrationResult> SharedInputs::recall(const std::string& name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = registrations_.find(name);
  return found == registrations_.end() ? std::nullopt : std::optional(found->second);
}

void SharedInputs::remember(const std::string& name, const RegistrationResult& result) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  registrations_[name] = result;
}

bool corrects_bias(const std::vector<PreprocessingOptions>& regions) {
  return std::any_of(regions.begin(), regions.end(),
                     [](const auto& options) { return options.bias_correction == "n4"; });
}

std::optional<DeformableResult> SharedInputs::recall_deformation(const std::string& key) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = deformations_.find(key);
  return found == deformations_.end() ? std::nullopt : std::optional(found->second);
}

void SharedInputs::remember_deformation(const std::string& key,
                                        const DeformableResult& result) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  deformations_[key] = result;
}

PreparedScan prepare_scan(const ScanInput& input, const SharedInputs& shared,
                          const std::vector<PreprocessingOptions>& regions, int threads) {
  const auto start = std::chrono::steady_clock::now();
  const Scan scan = read_checked(input, shared, regions);
  PreparedScan result;
  result.warnings = scan.header.warnings;
  const bool rigid = std::any_of(regions.begin(), regions.end(), [](const auto& options) {
    return options.registration == "rigid";
  });
  const ScanLabels found(input, scan.image, shared, rigid, threads);
  const Volume<float> canonical = to_canonical(scan.image);
  const std::string sha256 = sha256_of(counted_scan(input));
  result.facts = sidecar_facts(input.scan);
  std::vector<QcRegion> shown;
  for (const PreprocessingOptions& options : regions) {
    const NetworkSpace space = network_space(scan, found, shared, options);
    const RegionOnGrid region = make_region(found.maps(), options, space, scan.header.geometry,
                                            shared.options().region_rules(), threads);
    const Geometry& box = region.hard.geometry;
    const Volume<float> image =
        resample(scan.image, box, Interpolation::kLinear, space.network_to_scan, threads);
    const Volume<std::uint8_t> view =
        field_of_view(scan.header.geometry, box, space.network_to_scan);
    SmoothRoi roi = smooth_roi(image, region.hard, options, threads, &view);

    PreparedRegion prepared;
    prepared.options = options;
    prepared.extent = region_extent(region);
    CohortRow& row = prepared.row;
    row.participant_id = input.participant_id;
    row.session_id = input.session_id;
    row.roi = roi.roi.geometry;
    row.network_to_source = space.network_to_scan;
    set_source(row, scan.header);
    for (std::size_t i = 0; i < 3; ++i) {
      row.crop_origin[i] = region.box_origin[i] + roi.crop_origin[i];
    }
    row.intensity_offset = roi.intensity_offset;
    row.intensity_scale = roi.intensity_scale;
    row.ac_slice = ac_slice(found, shared, space, row.roi);
    row.label_source = options.label_source;
    row.source_path = name_of(counted_scan(input));
    row.source_sha256 = sha256;
    row.region_volume_mm3 = roi.region_volume_mm3;
    row.region_cut_fraction = std::max(region.fraction_outside, roi.cut_fraction);
    row.region_outside_crop_fraction = roi.outside_crop_fraction;

    QcRow qc;
    qc.participant_id = input.participant_id;
    qc.session_id = input.session_id;
    qc.region = options.region;
    qc.volume_mm3 = roi.region_volume_mm3;
    qc.label_volume_mm3 = region.label_volume_mm3;
    qc.cut_fraction = row.region_cut_fraction;
    qc.edge_fraction = roi.edge_fraction;
    qc.outside_crop_fraction = roi.outside_crop_fraction;
    qc.intensity_min = roi.intensity_offset;
    qc.intensity_max = roi.intensity_offset + 1.0 / roi.intensity_scale;
    qc.mi_before = found.information_before();
    qc.mi_after = found.information_after();
    qc.overlap = found.overlap();
    qc.reasons = reasons_of(qc, scan.header, found);
    shown.push_back(
        {options.region, roi.region_volume_mm3,
         resample_mask(region.hard, canonical.geometry, space.network_to_scan.inverse(), threads)});
    qc.sharpness_per_mm =
        sharpness_per_mm(canonical, box_around(shown.back().mask, kSharpnessMarginMm));
    qc.jacobian_min = found.jacobian_min();
    result.qc.push_back(qc);

    prepared.volumes.roi = std::move(roi.roi.voxels);
    prepared.volumes.hard = std::move(roi.hard.voxels);
    prepared.volumes.soft = std::move(roi.soft.voxels);
    result.regions.push_back(std::move(prepared));
  }
  QcPicture picture;
  picture.key = input.key();
  picture.mi_before = found.information_before();
  picture.mi_after = found.information_after();
  if (found.labels_are_registered()) picture.scan_to_labels = found.maps().front().scan_to_labels;
  result.picture = draw_qc_picture(picture, canonical, shown, threads);
  result.transforms = found.transforms();
  if (found.deformation() != nullptr) result.deformation = *found.deformation();
  for (const std::string& warning : found.warnings()) result.warnings.push_back(warning);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  for (QcRow& row : result.qc) row.seconds = seconds.count();
  return result;
}

std::vector<Shape> region_extents(const ScanInput& input, const SharedInputs& shared,
                                  const std::vector<PreprocessingOptions>& regions, int threads) {
  const Scan scan = read_checked(input, shared, regions);
  const bool rigid = std::any_of(regions.begin(), regions.end(), [](const auto& options) {
    return options.registration == "rigid";
  });
  const ScanLabels found(input, scan.image, shared, rigid, threads);
  std::vector<Shape> extents;
  for (const PreprocessingOptions& options : regions) {
    extents.push_back(region_extent(
        make_region(found.maps(), options, network_space(scan, found, shared, options),
                    scan.header.geometry, shared.options().region_rules(), threads)));
  }
  return extents;
}

}  // namespace epvs::data
