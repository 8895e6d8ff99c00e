#include "data/implant/implant_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/random.h"
#include "data/formats/resample.h"
#include "data/prepare/stages/read_scan.h"

namespace epvs::data {

namespace {

/// Of the sidecar where it says so and can be right, else the distance of slices.
double slice_thickness(const ReadScan& read, std::vector<std::string>& warnings) {
  const Geometry& geometry = read.scan.header.geometry;
  const double apart = geometry.spacing_mm()[static_cast<Eigen::Index>(slice_axis(geometry))];
  const auto found = read.facts.find("SliceThickness");
  if (found == read.facts.end()) return apart;
  const double thickness = found->get<double>();
  if (thickness >= 0.3 * apart && thickness <= 3 * apart) return thickness;
  warnings.push_back(
      fmt::format("SliceThickness is {} mm, but slices are {:.2f} mm apart: the latter is used",
                  thickness, apart));
  return apart;
}

bool passes_slice(const Geometry& geometry, const Implant& implant, std::int64_t slice) {
  const auto axis = static_cast<Eigen::Index>(slice_axis(geometry));
  double low = 1e9;
  double high = -1e9;
  for (const Eigen::Vector3d& point : implant.line) {
    const double at = geometry.to_voxel(point)[axis] - static_cast<double>(slice);
    low = std::min(low, at);
    high = std::max(high, at);
  }
  return low <= 0.5 && high >= -0.5;
}

/// Works on one scan, region by region.
class ScanFiller {
 public:
  ScanFiller(const ScanInput& input, const SharedInputs& shared, const ImplantOptions& options,
             std::uint64_t seed, int threads)
      : shared_(shared),
        options_(options),
        seed_(core::mix_seed(seed, {input.participant_id, input.session_id})),
        threads_(threads),
        read_(read_checked_scan(input, shared.options.orientation())),
        labels_(locate_labels(input, read_.scan.image, shared, false, known_)) {
    site_.scan = &read_.scan.image;
    site_.contrast = measure_contrast(read_.scan.image, labels_.maps, threads);
    site_.ventricles = ventricle_points(labels_.maps);
    for (const Eigen::Vector3d& point : site_.ventricles) site_.midline_x += point.x();
    site_.midline_x /= static_cast<double>(site_.ventricles.size());
    result_.contrast = site_.contrast;
    result_.midline_x = site_.midline_x;
    result_.slice_thickness_mm = slice_thickness(read_, result_.warnings);
    site_.spread = point_spread(read_.scan.header.geometry, result_.slice_thickness_mm,
                                blur_mm(read_.scan.image));
    result_.spread = site_.spread;
  }

  void fill(const PreprocessingOptions& region) {
    const RegionOnGrid cut = mask_of(region, 0);
    // EPVS of the centrum semiovale reach out of its slab into the white matter around.
    const RegionOnGrid wide = mask_of(region, 2 * options_.length_mm[1]);
    RegionImplants filled;
    filled.region = region.region;
    const std::vector<Implant> placed =
        place_implants(site_, {region.region, &cut.hard, &wide.hard}, options_,
                       options_.counts.back(), seed_, others_);
    if (placed.empty() && options_.counts.back() > 0) {
      throw core::InputError(
          fmt::format("there is no room for a single EPVS in region '{}'", region.region),
          "it is small, or bright nearly everywhere: allow shorter, thinner ones (--length-mm, "
          "--diameter-mm), and look whether the labels lie on their structure");
    }
    for (const Implant& implant : placed) filled.implants.push_back(rendered(implant));
    others_.insert(others_.end(), placed.begin(), placed.end());
    result_.regions.push_back(std::move(filled));
  }

  ImplantedScan finish() {
    result_.transforms = labels_.transforms;
    result_.deformation = labels_.deformation;
    for (const auto* list : {&read_.scan.header.warnings, &labels_.warnings, &labels_.reasons}) {
      result_.warnings.insert(result_.warnings.end(), list->begin(), list->end());
    }
    return std::move(result_);
  }

  std::vector<MissingRegion>& missing() { return result_.missing; }

 private:
  RegionOnGrid mask_of(const PreprocessingOptions& region, double more_slab_mm) const {
    RegionRules rules = shared_.options.region_rules();
    rules.cso_slab_mm += more_slab_mm;
    const Geometry& geometry = read_.scan.header.geometry;
    return cut_region(labels_.maps, region, {network_grid(geometry, region.spacing_mm)}, geometry,
                      rules, threads_);
  }

  RenderedImplant rendered(const Implant& implant) const {
    const Geometry& geometry = read_.scan.header.geometry;
    RenderedImplant one;
    one.implant = implant;
    one.voxels = render_tube(geometry, site_.spread, implant.line, 0.5 * implant.diameter_mm);
    for (const FilledVoxel& voxel : one.voxels) {
      one.peak_fraction = std::max(one.peak_fraction, static_cast<double>(voxel.fraction));
    }
    const std::vector<double>& ac = shared_.options.ac_mm;
    if (const auto at = labels_.template_to_scan({ac[0], ac[1], ac[2]})) {
      const auto axis = static_cast<Eigen::Index>(slice_axis(geometry));
      one.in_commissure_slice =
          passes_slice(geometry, implant, std::llround(geometry.to_voxel(*at)[axis]));
    }
    return one;
  }

  const SharedInputs& shared_;
  const ImplantOptions& options_;
  std::uint64_t seed_;
  int threads_;
  KnownRegistrations known_;
  ReadScan read_;
  LocatedLabels labels_;
  ScanSite site_;
  std::vector<Implant> others_;
  ImplantedScan result_;
};

}  // namespace

ImplantedScan implant_scan(const ScanInput& input, const SharedInputs& shared,
                           const std::vector<PreprocessingOptions>& regions,
                           const ImplantOptions& options, std::uint64_t seed, int threads) {
  ScanFiller filler(input, shared, options, seed, threads);
  for (const PreprocessingOptions& region : regions) {
    try {
      filler.fill(region);
    } catch (const core::InputError& error) {
      if (regions.size() == 1) throw;
      filler.missing().push_back({region.region, error.what(), error.hint()});
    }
  }
  ImplantedScan scan = filler.finish();
  if (scan.regions.empty()) {
    throw core::InputError("no region could be filled; the first: " + scan.missing.front().error,
                           scan.missing.front().hint);
  }
  return scan;
}

std::vector<VoxelChange> changes_of(const ImplantedScan& scan, std::int64_t count) {
  std::map<std::size_t, double> added;
  for (const RegionImplants& region : scan.regions) {
    const auto n = std::min(static_cast<std::size_t>(count), region.implants.size());
    for (std::size_t i = 0; i < n; ++i) {
      const RenderedImplant& one = region.implants[i];
      const double step = one.implant.contrast * scan.contrast.difference();
      for (const FilledVoxel& voxel : one.voxels) {
        added[voxel.offset] += step * static_cast<double>(voxel.fraction);
      }
    }
  }
  std::vector<VoxelChange> changes;
  changes.reserve(added.size());
  for (const auto& [offset, value] : added) changes.push_back({offset, value});
  return changes;
}

}  // namespace epvs::data
