#include "data/prepare/prepare_scan.h"

#include <Eigen/LU>
#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "data/cohort/source_space.h"
#include "data/formats/resample.h"
#include "data/prepare/qc/qc.h"
#include "data/prepare/qc/qc_picture.h"
#include "data/prepare/registration/bias.h"
#include "data/prepare/stages/read_scan.h"

namespace epvs::data {

namespace {

/// Around the region, for the sharpness of the scan there.
constexpr double kSharpnessMarginMm = 10;

/// Stages 1 and 2.
struct LocatedScan {
  ReadScan read;
  LocatedLabels labels;
};

LocatedScan locate(const ScanInput& input, const SharedInputs& shared,
                   const std::vector<PreprocessingOptions>& regions, KnownRegistrations& known) {
  LocatedScan located;
  located.read = read_checked_scan(input, shared.options.orientation());
  const auto any = [&regions](const auto& says) {
    return std::any_of(regions.begin(), regions.end(), says);
  };
  if (any([](const auto& o) { return o.bias_correction == BiasCorrection::kN4; })) {
    located.read.scan.image = correct_bias(located.read.scan.image);
  }
  const bool rigid = any([](const auto& o) { return o.registration == GridRegistration::kRigid; });
  located.labels = locate_labels(input, located.read.scan.image, shared, rigid, known);
  return located;
}

NetworkSpace network_space(const LocatedScan& located, const SharedInputs& shared,
                           const PreprocessingOptions& options) {
  NetworkSpace space;
  if (options.registration == GridRegistration::kRigid) {
    space.grid = network_grid(shared.template_scan->geometry, options.spacing_mm);
    space.network_to_scan = located.labels.scan_to_template_rigid->inverse();
  } else {
    space.grid = network_grid(located.read.scan.header.geometry, options.spacing_mm);
  }
  return space;
}

ScanOrigin origin_of(const ScanInput& input, const LocatedScan& located,
                     const SharedInputs& shared) {
  ScanOrigin origin;
  origin.source.participant_id = input.participant_id;
  origin.source.session_id = input.session_id;
  set_source(origin.source, located.read.scan.header);
  origin.source.source_path = input.scan.string();
  origin.source.source_sha256 = located.read.sha256;
  const std::vector<double>& ac = shared.options.ac_mm;
  origin.anterior_commissure_mm = located.labels.template_to_scan({ac[0], ac[1], ac[2]});
  return origin;
}

/// The mask of a region on the scan's canonical grid, for the picture; it is moved from.
QcRegion shown(PreparedRegion& region, const Geometry& canonical, int threads) {
  const Volume<std::uint8_t> mask = std::move(region.whole);
  return {region.options.region, region.qc.volume_mm3,
          resample_mask(mask, canonical, region.row.network_to_source.inverse(), threads)};
}

Picture picture_of(const ScanInput& input, const LocatedLabels& labels,
                   const Volume<float>& canonical, const std::vector<QcRegion>& regions,
                   int threads) {
  QcPicture picture;
  picture.key = input.key();
  picture.mi_before = labels.fit.information_before;
  picture.mi_after = labels.fit.information_after;
  if (labels.registered) picture.scan_to_labels = labels.maps.front().scan_to_labels;
  return draw_qc_picture(picture, canonical, regions, threads);
}

/// The numbers that need more than the region itself.
void complete(QcRow& qc, const LocatedScan& located, const Volume<float>& canonical,
              const Volume<std::uint8_t>& mask) {
  const LocatedLabels& labels = located.labels;
  qc.mi_before = labels.fit.information_before;
  qc.mi_after = labels.fit.information_after;
  qc.overlap = labels.fit.overlap;
  qc.jacobian_min = labels.fit.jacobian_min;
  qc.sharpness_per_mm = sharpness_per_mm(canonical, box_around(mask, kSharpnessMarginMm));
  qc.reasons = located.read.scan.header.concerns;
  for (const std::string& reason : reasons_of(qc)) qc.reasons.push_back(reason);
  for (const std::string& reason : labels.reasons) qc.reasons.push_back(reason);
}

}  // namespace

PreparedRegion prepare_region(const Volume<float>& scan, const std::vector<LabelMap>& maps,
                              const NetworkSpace& space, const ScanOrigin& origin,
                              const PreprocessingOptions& options, const RegionRules& rules,
                              int threads) {
  RegionOnGrid region = cut_region(maps, options, space, scan.geometry, rules, threads);
  const Geometry& box = region.hard.geometry;
  const Volume<float> image =
      resample(scan, box, Interpolation::kLinear, space.network_to_scan, threads);
  const Volume<std::uint8_t> view = field_of_view(scan.geometry, box, space.network_to_scan);
  SmoothRoi roi = smooth_roi(image, region.hard, options, threads, &view);
  return record(origin, options, space, std::move(region), std::move(roi));
}

PreparedScan prepare_scan(const ScanInput& input, const SharedInputs& shared,
                          const std::vector<PreprocessingOptions>& regions, int threads,
                          KnownRegistrations known) {
  const auto start = std::chrono::steady_clock::now();
  const LocatedScan located = locate(input, shared, regions, known);
  const Volume<float>& scan = located.read.scan.image;
  const Volume<float> canonical = to_canonical(scan);
  const ScanOrigin origin = origin_of(input, located, shared);
  PreparedScan result;
  std::vector<QcRegion> pictured;
  for (const PreprocessingOptions& options : regions) {
    try {
      PreparedRegion region =
          prepare_region(scan, located.labels.maps, network_space(located, shared, options), origin,
                         options, shared.options.region_rules(), threads);
      pictured.push_back(shown(region, canonical.geometry, threads));
      complete(region.qc, located, canonical, pictured.back().mask);
      result.regions.push_back(std::move(region));
    } catch (const core::InputError& error) {
      if (regions.size() == 1) throw;
      result.missing.push_back({options.region, error.what(), error.hint()});
    }
  }
  if (result.regions.empty()) {
    throw core::InputError("no region could be made; the first: " + result.missing.front().error,
                           result.missing.front().hint);
  }
  result.picture = picture_of(input, located.labels, canonical, pictured, threads);
  result.facts = located.read.facts;
  result.transforms = located.labels.transforms;
  result.deformation = located.labels.deformation;
  result.warnings = located.read.scan.header.warnings;
  result.warnings.insert(result.warnings.end(), located.labels.warnings.begin(),
                         located.labels.warnings.end());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  for (PreparedRegion& region : result.regions) region.qc.seconds = seconds.count();
  return result;
}

std::vector<Shape> region_extents(const ScanInput& input, const SharedInputs& shared,
                                  const std::vector<PreprocessingOptions>& regions, int threads,
                                  KnownRegistrations& known) {
  const LocatedScan located = locate(input, shared, regions, known);
  std::vector<Shape> extents;
  extents.reserve(regions.size());
  for (const PreprocessingOptions& options : regions) {
    extents.push_back(region_extent(
        cut_region(located.labels.maps, options, network_space(located, shared, options),
                   located.read.scan.header.geometry, shared.options.region_rules(), threads)));
  }
  return extents;
}

}  // namespace epvs::data
