#include "data/image/prepare_scan.h"

#include <fmt/format.h>

#include <Eigen/LU>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/text.h"
#include "data/image/scan_labels.h"
#include "data/image/scan_source.h"
#include "data/nifti/nifti.h"
#include "data/volume/label_numbers.h"
#include "data/volume/resample.h"
#include "data/volume/smooth_roi.h"
#include "data/volume/way_back.h"

namespace epvs::data {

namespace {

/// The crops of the papers leave out the thin end of the caudate's tail in most people.
constexpr double kSmallOutsideCrop = 0.01;

constexpr Colour kColours[] = {
    {255, 70, 60}, {70, 230, 90}, {70, 200, 255}, {255, 210, 60}, {230, 100, 255}};

Scan read_checked(const ScanInput& input, const SharedInputs& shared) {
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
  const auto to_template = found.scan_to_template();
  if (!to_template) return -1;
  const std::vector<double>& ac = shared.options().ac_mm;
  const Eigen::Matrix4d to_network = (*to_template * space.network_to_scan).inverse();
  const Eigen::Vector3d world = (to_network * Eigen::Vector4d(ac[0], ac[1], ac[2], 1.0)).head<3>();
  const auto z = static_cast<std::int64_t>(std::llround(roi.to_voxel(world)[2]));
  return z >= 0 && z < roi.shape[2] ? z : -1;
}

/// The voxel whose three planes show most of the mask.
Shape fullest_planes(const Volume<std::uint8_t>& mask) {
  std::array<std::vector<std::int64_t>, 3> counts;
  const Shape& shape = mask.geometry.shape;
  for (std::size_t i = 0; i < 3; ++i) counts[i].assign(static_cast<std::size_t>(shape[i]), 0);
  for (std::int64_t z = 0; z < shape[2]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      for (std::int64_t x = 0; x < shape[0]; ++x) {
        if (mask.at(x, y, z) == 0) continue;
        ++counts[0][static_cast<std::size_t>(x)];
        ++counts[1][static_cast<std::size_t>(y)];
        ++counts[2][static_cast<std::size_t>(z)];
      }
    }
  }
  Shape best{};
  for (std::size_t i = 0; i < 3; ++i) {
    best[i] = std::max_element(counts[i].begin(), counts[i].end()) - counts[i].begin();
  }
  return best;
}

Picture draw(const Scan& scan, const std::string& key, const std::vector<PreparedRegion>& regions,
             const std::vector<Volume<std::uint8_t>>& masks) {
  const Volume<float> image = to_canonical(scan.image);
  std::vector<Contour> contours;
  for (std::size_t i = 0; i < masks.size(); ++i) {
    contours.push_back({&masks[i], kColours[i % std::size(kColours)]});
  }
  std::vector<Picture> rows;
  int width = 0;
  int height = 0;
  for (std::size_t i = 0; i < masks.size(); ++i) {
    const std::string title = fmt::format("{}  {}  {:.1f} ml", key, regions[i].options.region,
                                          regions[i].row.region_volume_mm3 / 1000.0);
    rows.push_back(three_plane_picture(image, fullest_planes(masks[i]), contours, title));
    width = std::max(width, rows.back().width);
    height += rows.back().height;
  }
  Picture picture(width, height);
  int y = 0;
  for (const Picture& row : rows) {
    paste(picture, row, 0, y);
    y += row.height;
  }
  return picture;
}

}  // namespace

SharedInputs::SharedInputs(const PrepareOptions& options) : options_(options) {
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
  sources_["atlases"] = core::Json::array();
  for (const std::string& path : options.atlases) {
    core::require_exists(path, "the atlas");
    Volume<std::int32_t> atlas = read_label_image(path, options.orientation(), &concerns_);
    const std::string foreign = foreign_numbers_text(atlas, options.lut);
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

PreparedScan prepare_scan(const ScanInput& input, const SharedInputs& shared,
                          const std::vector<PreprocessingOptions>& regions, int threads) {
  const auto start = std::chrono::steady_clock::now();
  const Scan scan = read_checked(input, shared);
  PreparedScan result;
  result.warnings = scan.header.warnings;
  const bool rigid = std::any_of(regions.begin(), regions.end(), [](const auto& options) {
    return options.registration == "rigid";
  });
  const ScanLabels found(input, scan.image, shared, rigid);
  const Geometry canonical = canonical_geometry(scan.header.geometry);
  const std::string sha256 = sha256_of(counted_scan(input));
  std::vector<Volume<std::uint8_t>> masks;
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
    result.qc.push_back(qc);

    masks.push_back(
        resample_mask(region.hard, canonical, space.network_to_scan.inverse(), threads));
    prepared.volumes.roi = std::move(roi.roi.voxels);
    prepared.volumes.hard = std::move(roi.hard.voxels);
    prepared.volumes.soft = std::move(roi.soft.voxels);
    result.regions.push_back(std::move(prepared));
  }
  result.picture = draw(scan, input.key(), result.regions, masks);
  result.transforms = found.transforms();
  for (const std::string& warning : found.warnings()) result.warnings.push_back(warning);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  for (QcRow& row : result.qc) row.seconds = seconds.count();
  return result;
}

std::vector<Shape> region_extents(const ScanInput& input, const SharedInputs& shared,
                                  const std::vector<PreprocessingOptions>& regions, int threads) {
  const Scan scan = read_checked(input, shared);
  const bool rigid = std::any_of(regions.begin(), regions.end(), [](const auto& options) {
    return options.registration == "rigid";
  });
  const ScanLabels found(input, scan.image, shared, rigid);
  std::vector<Shape> extents;
  for (const PreprocessingOptions& options : regions) {
    extents.push_back(region_extent(
        make_region(found.maps(), options, network_space(scan, found, shared, options),
                    scan.header.geometry, shared.options().region_rules(), threads)));
  }
  return extents;
}

namespace {

core::Json number_or_null(double value) {
  return std::isfinite(value) ? core::Json(value) : core::Json(nullptr);
}

double null_or_number(const core::Json& document, const char* key) {
  return document.at(key).is_null() ? std::numeric_limits<double>::quiet_NaN()
                                    : document.at(key).get<double>();
}

}  // namespace

core::Json QcRow::to_json() const {
  core::Json document;
  document["participant_id"] = participant_id;
  document["session_id"] = session_id;
  document["region"] = region;
  document["volume_mm3"] = volume_mm3;
  document["label_volume_mm3"] = label_volume_mm3;
  document["cut_fraction"] = cut_fraction;
  document["edge_fraction"] = edge_fraction;
  document["outside_crop_fraction"] = outside_crop_fraction;
  document["intensity_min"] = intensity_min;
  document["intensity_max"] = intensity_max;
  document["mi_before"] = number_or_null(mi_before);
  document["mi_after"] = number_or_null(mi_after);
  document["overlap"] = number_or_null(overlap);
  document["seconds"] = seconds;
  document["reasons"] = reasons;
  return document;
}

QcRow QcRow::from_json(const core::Json& document) {
  QcRow row;
  document.at("participant_id").get_to(row.participant_id);
  document.at("session_id").get_to(row.session_id);
  document.at("region").get_to(row.region);
  document.at("volume_mm3").get_to(row.volume_mm3);
  document.at("label_volume_mm3").get_to(row.label_volume_mm3);
  document.at("cut_fraction").get_to(row.cut_fraction);
  document.at("edge_fraction").get_to(row.edge_fraction);
  document.at("outside_crop_fraction").get_to(row.outside_crop_fraction);
  document.at("intensity_min").get_to(row.intensity_min);
  document.at("intensity_max").get_to(row.intensity_max);
  row.mi_before = null_or_number(document, "mi_before");
  row.mi_after = null_or_number(document, "mi_after");
  row.overlap = null_or_number(document, "overlap");
  document.at("seconds").get_to(row.seconds);
  document.at("reasons").get_to(row.reasons);
  return row;
}

}  // namespace epvs::data
