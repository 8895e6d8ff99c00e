#include "data/prepare/stages/cut_region.h"

#include <fmt/format.h>

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/text.h"
#include "data/formats/resample.h"
#include "data/prepare/stages/smooth_roi.h"

namespace epvs::data {

namespace {

/// Smallest box of network voxels that holds the labelled voxels, half a label voxel included.
struct Bounds {
  Eigen::Vector3d low = Eigen::Vector3d::Constant(std::numeric_limits<double>::max());
  Eigen::Vector3d high = Eigen::Vector3d::Constant(std::numeric_limits<double>::lowest());
  std::int64_t count = 0;
};

Bounds bounds_of(const LabelMap& map, const std::vector<std::int64_t>& labels,
                 const NetworkSpace& space) {
  const Eigen::Matrix4d to_network =
      (map.scan_to_labels * space.network_to_scan * space.grid.affine).inverse() *
      map.labels->geometry.affine;
  const Volume<std::uint8_t> mask = region_mask(*map.labels, labels);
  Bounds bounds;
  for_each_voxel(mask.geometry.shape, [&](auto x, auto y, auto z) {
    if (mask.at(x, y, z) == 0) return;
    const Eigen::Vector4d voxel(static_cast<double>(x), static_cast<double>(y),
                                static_cast<double>(z), 1.0);
    const Eigen::Vector3d at = (to_network * voxel).head<3>();
    bounds.low = bounds.low.cwiseMin(at);
    bounds.high = bounds.high.cwiseMax(at);
    ++bounds.count;
  });
  const Eigen::Vector3d half = 0.5 * to_network.topLeftCorner<3, 3>().cwiseAbs().rowwise().sum();
  bounds.low -= half;
  bounds.high += half;
  return bounds;
}

VoxelBox to_box(const Bounds& bounds, const Shape& limits) {
  VoxelBox box;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<Eigen::Index>(i);
    const auto low = static_cast<std::int64_t>(std::floor(bounds.low[axis]));
    const auto high = static_cast<std::int64_t>(std::ceil(bounds.high[axis]));
    box.begin[i] = std::max<std::int64_t>(0, low);
    box.end[i] = std::min<std::int64_t>(limits[i], high + 1);
  }
  return box;
}

std::string names_of_maps(const std::vector<const LabelMap*>& maps) {
  std::vector<std::string> names;
  for (const LabelMap* map : maps) names.push_back(map->name);
  return core::join(names, ", ");
}

const LabelMap& map_with(const std::vector<LabelMap>& maps, const PreprocessingOptions& options) {
  std::vector<const LabelMap*> asked;
  const bool has_own = std::any_of(maps.begin(), maps.end(),
                                   [&](const LabelMap& map) { return map.only == options.region; });
  for (const LabelMap& map : maps) {
    if (map.only != (has_own ? options.region : std::string())) continue;
    if (!bounding_box(region_mask(*map.labels, options.labels)).empty()) return map;
    asked.push_back(&map);
  }
  const std::size_t shown = std::min<std::size_t>(8, options.labels.size());
  const std::string numbers =
      fmt::format("{}{}",
                  fmt::join(options.labels.begin(),
                            options.labels.begin() + static_cast<std::ptrdiff_t>(shown), ","),
                  options.labels.size() > shown ? ",..." : "");
  throw core::InputError(
      fmt::format("region '{}' is empty: no voxel of {} has one of the labels {}", options.region,
                  names_of_maps(asked), numbers),
      options.region == "cso"
          ? "cso is cut out of the white matter: add an atlas or label map that has it "
            "(--atlas, or --white-matter beside --labels)"
          : "add an atlas that has the region, or check --lut (which program made the label map?)");
}

/// Where the ventricles lie, or else the caudate, in the first map that has them.
Bounds landmark_bounds(const std::vector<LabelMap>& maps, const NetworkSpace& space) {
  for (const auto list : {&CsoLabels::ventricles, &CsoLabels::caudate}) {
    for (const LabelMap& map : maps) {
      Bounds bounds = bounds_of(map, map.landmarks.*list, space);
      if (bounds.count > 0) return bounds;
    }
  }
  std::vector<const LabelMap*> asked;
  for (const LabelMap& map : maps) asked.push_back(&map);
  throw core::InputError(
      fmt::format("region 'cso' needs the lateral ventricles or the caudate in {}",
                  names_of_maps(asked)),
      "use a label map that has them (FreeSurfer: 4, 43 or 11, 50), and the --lut of its numbers");
}

/// Slices of the network's grid that belong to the centrum semiovale.
void keep_cso_slices(Bounds& bounds, const std::vector<LabelMap>& maps, const NetworkSpace& space,
                     const RegionRules& rules) {
  const Bounds below = landmark_bounds(maps, space);
  const double spacing = space.grid.spacing_mm()[2];
  const double centre = below.high[2] + rules.cso_above_mm / spacing;
  const double half = std::max(0.5, 0.5 * rules.cso_slab_mm / spacing);
  bounds.low[2] = std::max(bounds.low[2], std::round(centre - half));
  bounds.high[2] = std::min(bounds.high[2], std::round(centre - half) + std::round(2 * half) - 1);
}

core::InputError mostly_outside(const std::string& region, double fraction) {
  return core::InputError(
      fmt::format("{:.0f}% of region '{}' lies outside the scan's field of view", 100 * fraction,
                  region),
      "more than half is missing: leave this participant out, or check that the label map is of "
      "the same person");
}

/// Throws InputError when the region cannot be that of this scan.
void check_inside(const RegionOnGrid& region, const LabelMap& map, const VoxelBox& tight,
                  const std::string& name) {
  if (tight.empty() || region.fraction_outside >= 1.0) {
    throw core::InputError(
        fmt::format("region '{}' of {} lies outside the scan: the two grids cannot match", name,
                    map.name),
        "is the label map of the same person, and in the same space as the scan?");
  }
  // Only a slab of the white matter is wanted: white matter elsewhere may well be outside.
  if (name != "cso" && region.fraction_outside > 0.5) {
    throw mostly_outside(name, region.fraction_outside);
  }
}

/// The region's voxels on a part of the network's grid. Throws InputError when there is none.
Volume<std::uint8_t> mask_on(const Geometry& grid, const LabelMap& map,
                             const PreprocessingOptions& options, const NetworkSpace& space,
                             bool nearest, int threads) {
  const Eigen::Matrix4d to_labels = map.scan_to_labels * space.network_to_scan;
  Volume<std::uint8_t> mask =
      nearest ? region_mask(resample_labels(*map.labels, grid, to_labels, threads), options.labels)
              : resample_mask(region_mask(*map.labels, options.labels), grid, to_labels, threads);
  if (std::find(mask.voxels.begin(), mask.voxels.end(), 1) == mask.voxels.end()) {
    throw core::InputError(
        fmt::format("region '{}' is empty on the network's grid", options.region),
        "its labels are smaller than a voxel, or outside the scan");
  }
  return mask;
}

}  // namespace

RegionOnGrid cut_region(const std::vector<LabelMap>& maps, const PreprocessingOptions& options,
                        const NetworkSpace& space, const Geometry& scan, const RegionRules& rules,
                        int threads) {
  const LabelMap& map = map_with(maps, options);
  const bool is_cso = options.region == "cso";
  RegionOnGrid region;
  const double voxel_mm3 =
      std::abs(map.labels->geometry.affine.topLeftCorner<3, 3>().determinant());
  Bounds bounds = bounds_of(map, options.labels, space);
  region.label_volume_mm3 = static_cast<double>(bounds.count) * voxel_mm3;
  region.fraction_outside =
      fraction_outside_scan(*map.labels, options.labels, scan, map.scan_to_labels.inverse());
  if (is_cso) keep_cso_slices(bounds, maps, space, rules);
  const VoxelBox tight = to_box(bounds, space.grid.shape);
  const double slices = bounds.high[2] - bounds.low[2] + 1.0;
  check_inside(region, map, tight, options.region);
  const Volume<std::uint8_t> mask =
      mask_on(part_of(space.grid, tight), map, options, space, rules.nearest, threads);
  const Shape centre = centre_of_mass_voxel(mask);
  VoxelBox box = tight;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t start = tight.begin[i] + centre[i] - options.crop_voxels[i] / 2;
    box.begin[i] = std::min(box.begin[i], start);
    box.end[i] = std::max(box.end[i], start + options.crop_voxels[i]);
  }
  box = box.grown(options.reach_voxels() + 1, space.grid.shape);
  VoxelBox in_tight = box;
  for (std::size_t i = 0; i < 3; ++i) {
    in_tight.begin[i] -= tight.begin[i];
    in_tight.end[i] -= tight.begin[i];
  }
  region.hard = crop(mask, in_tight);
  region.box_origin = box.begin;
  if (is_cso) {
    region.fraction_outside = 1.0 - static_cast<double>(tight.size()[2]) / slices;
    if (region.fraction_outside > 0.5) {
      throw mostly_outside(options.region, region.fraction_outside);
    }
  }
  return region;
}

Shape region_extent(const RegionOnGrid& region) {
  const VoxelBox box = bounding_box(region.hard);
  const Shape centre = centre_of_mass_voxel(region.hard);
  Shape extent{};
  for (std::size_t i = 0; i < 3; ++i) {
    extent[i] = 2 * std::max(centre[i] - box.begin[i], box.end[i] - centre[i]);
  }
  return extent;
}

}  // namespace epvs::data
