#include "data/prepare/region.h"

#include <fmt/format.h>

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "data/formats/resample.h"
#include "data/prepare/smooth_roi.h"

namespace epvs::data {

namespace {

struct Box {
  Shape low = {0, 0, 0};
  Shape high = {-1, -1, -1};  ///< included
  bool empty() const { return high[0] < low[0] || high[1] < low[1] || high[2] < low[2]; }
  Shape size() const { return {high[0] - low[0] + 1, high[1] - low[1] + 1, high[2] - low[2] + 1}; }
};

Box grown(const Box& box, std::int64_t margin, const Shape& limits) {
  Box result = box;
  for (std::size_t i = 0; i < 3; ++i) {
    result.low[i] = std::clamp<std::int64_t>(box.low[i] - margin, 0, limits[i] - 1);
    result.high[i] = std::clamp<std::int64_t>(box.high[i] + margin, 0, limits[i] - 1);
  }
  return result;
}

Geometry part_of(const Geometry& grid, const Box& box) {
  Geometry part;
  part.shape = box.size();
  part.affine = grid.affine;
  part.affine.topRightCorner<3, 1>() =
      grid.to_world({static_cast<double>(box.low[0]), static_cast<double>(box.low[1]),
                     static_cast<double>(box.low[2])});
  return part;
}

/// Calls `visit(x, y, z)` for every voxel that has one of the labels.
template <class Labels, class Visit>
std::int64_t for_labels(const Volume<std::int32_t>& map, const Labels& labels, const Visit& visit) {
  const std::set<std::int64_t> wanted(labels.begin(), labels.end());
  std::int64_t count = 0;
  std::size_t at = 0;
  std::int32_t last = 0;
  bool last_wanted = wanted.contains(0);
  for (std::int64_t z = 0; z < map.geometry.shape[2]; ++z) {
    for (std::int64_t y = 0; y < map.geometry.shape[1]; ++y) {
      for (std::int64_t x = 0; x < map.geometry.shape[0]; ++x, ++at) {
        if (map.voxels[at] != last) {
          last = map.voxels[at];
          last_wanted = wanted.contains(last);
        }
        if (!last_wanted) continue;
        ++count;
        visit(x, y, z);
      }
    }
  }
  return count;
}

/// Smallest box of network voxels that holds the labelled voxels, half a label voxel included.
struct Bounds {
  Eigen::Vector3d low = Eigen::Vector3d::Constant(std::numeric_limits<double>::max());
  Eigen::Vector3d high = Eigen::Vector3d::Constant(std::numeric_limits<double>::lowest());
  std::int64_t count = 0;
};

template <class Labels>
Bounds bounds_of(const LabelMap& map, const Labels& labels, const NetworkSpace& space) {
  const Eigen::Matrix4d to_network =
      (map.scan_to_labels * space.network_to_scan * space.grid.affine).inverse() *
      map.labels->geometry.affine;
  Bounds bounds;
  bounds.count =
      for_labels(*map.labels, labels, [&](std::int64_t x, std::int64_t y, std::int64_t z) {
        const Eigen::Vector4d voxel(static_cast<double>(x), static_cast<double>(y),
                                    static_cast<double>(z), 1.0);
        const Eigen::Vector3d at = (to_network * voxel).head<3>();
        bounds.low = bounds.low.cwiseMin(at);
        bounds.high = bounds.high.cwiseMax(at);
      });
  const Eigen::Vector3d half = 0.5 * to_network.topLeftCorner<3, 3>().cwiseAbs().rowwise().sum();
  bounds.low -= half;
  bounds.high += half;
  return bounds;
}

Box to_box(const Bounds& bounds, const Shape& limits) {
  Box box;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<Eigen::Index>(i);
    box.low[i] = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(bounds.low[axis])));
    box.high[i] = std::min<std::int64_t>(limits[i] - 1,
                                         static_cast<std::int64_t>(std::ceil(bounds.high[axis])));
  }
  return box;
}

const LabelMap& map_with(const std::vector<LabelMap>& maps, const PreprocessingOptions& options) {
  std::vector<std::string> names;
  const bool has_own = std::any_of(maps.begin(), maps.end(),
                                   [&](const LabelMap& map) { return map.only == options.region; });
  for (const LabelMap& map : maps) {
    if (map.only != (has_own ? options.region : std::string())) continue;
    if (for_labels(*map.labels, options.labels, [](auto...) {}) > 0) return map;
    names.push_back(map.name);
  }
  std::vector<std::string> numbers;
  for (std::size_t i = 0; i < std::min<std::size_t>(8, options.labels.size()); ++i) {
    numbers.push_back(fmt::format("{}", options.labels[i]));
  }
  if (options.labels.size() > numbers.size()) numbers.push_back("...");
  throw core::InputError(
      fmt::format("region '{}' is empty: no voxel of {} has one of the labels {}", options.region,
                  core::join(names, ", "), core::join(numbers, ",")),
      "check --lut (which program made the label map?) and --regions");
}

/// Where the ventricles lie, or else the caudate, in the first map that has them.
Bounds landmark_bounds(const std::vector<LabelMap>& maps, const NetworkSpace& space) {
  for (const auto list : {&CsoLabels::ventricles, &CsoLabels::caudate}) {
    for (const LabelMap& map : maps) {
      const Bounds bounds = bounds_of(map, map.landmarks.*list, space);
      if (bounds.count > 0) return bounds;
    }
  }
  std::vector<std::string> names;
  for (const LabelMap& map : maps) names.push_back(map.name);
  throw core::InputError(
      fmt::format("region 'cso' needs the lateral ventricles or the caudate in {}",
                  core::join(names, ", ")),
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

}  // namespace

std::vector<std::int64_t> region_labels(const RegionTable& table, const std::string& region) {
  if (region != "cso" || table.has(region)) return table.labels(region);
  if (table.cso().white_matter.empty()) {
    throw core::UsageError(
        fmt::format("label table '{}' has no white matter, of which cso is cut out",
                    table.source()),
        "give a second label map with --white-matter, for example FAST's *_pve_2");
  }
  return table.cso().white_matter;
}

RegionOnGrid make_region(const std::vector<LabelMap>& maps, const PreprocessingOptions& options,
                         const NetworkSpace& space, const Geometry& scan, const RegionRules& rules,
                         int threads) {
  const LabelMap& map = map_with(maps, options);
  RegionOnGrid region;
  const double voxel_mm3 =
      std::abs(map.labels->geometry.affine.topLeftCorner<3, 3>().determinant());
  Bounds bounds = bounds_of(map, options.labels, space);
  region.label_volume_mm3 = static_cast<double>(bounds.count) * voxel_mm3;
  region.fraction_outside =
      fraction_outside_scan(*map.labels, options.labels, scan, map.scan_to_labels.inverse());
  // Only a slab of the white matter is wanted: white matter elsewhere may well be outside.
  const bool is_cso = options.region == "cso";
  if (is_cso) keep_cso_slices(bounds, maps, space, rules);
  const Box tight = to_box(bounds, space.grid.shape);
  const double slices = bounds.high[2] - bounds.low[2] + 1.0;
  if (tight.empty() || region.fraction_outside >= 1.0) {
    throw core::InputError(
        fmt::format("region '{}' of {} lies outside the scan: the two grids cannot match",
                    options.region, map.name),
        "is the label map of the same person, and in the same space as the scan?");
  }
  if (!is_cso && region.fraction_outside > 0.5) {
    throw mostly_outside(options.region, region.fraction_outside);
  }
  const Eigen::Matrix4d to_labels = map.scan_to_labels * space.network_to_scan;
  const Geometry tight_grid = part_of(space.grid, tight);
  Volume<std::uint8_t> mask =
      rules.nearest ? region_mask(resample_labels(*map.labels, tight_grid, to_labels, threads),
                                  options.labels)
                    : resample_region(*map.labels, options.labels, tight_grid, to_labels, threads);
  if (std::find(mask.voxels.begin(), mask.voxels.end(), 1) == mask.voxels.end()) {
    throw core::InputError(
        fmt::format("region '{}' is empty on the network's grid", options.region),
        "its labels are smaller than a voxel, or outside the scan");
  }
  const Shape centre = centre_of_mass_voxel(mask);
  const std::int64_t reach =
      options.dilation_voxels + static_cast<std::int64_t>(4.0 * options.sigma_voxels + 0.5) + 1;
  Box box = tight;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t start = tight.low[i] + centre[i] - options.crop_voxels[i] / 2;
    box.low[i] = std::min(box.low[i], start);
    box.high[i] = std::max(box.high[i], start + options.crop_voxels[i] - 1);
  }
  box = grown(box, reach, space.grid.shape);
  const Shape offset = {box.low[0] - tight.low[0], box.low[1] - tight.low[1],
                        box.low[2] - tight.low[2]};
  region.hard = crop(mask, offset, box.size());
  region.box_origin = box.low;
  if (is_cso) {
    region.fraction_outside = 1.0 - static_cast<double>(tight.size()[2]) / slices;
    if (region.fraction_outside > 0.5)
      throw mostly_outside(options.region, region.fraction_outside);
  }
  return region;
}

Shape region_extent(const RegionOnGrid& region) {
  Box box;
  box.low = region.hard.geometry.shape;
  const Shape& shape = region.hard.geometry.shape;
  for (std::int64_t z = 0; z < shape[2]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      for (std::int64_t x = 0; x < shape[0]; ++x) {
        if (region.hard.at(x, y, z) == 0) continue;
        const Shape at = {x, y, z};
        for (std::size_t i = 0; i < 3; ++i) {
          box.low[i] = std::min(box.low[i], at[i]);
          box.high[i] = std::max(box.high[i], at[i]);
        }
      }
    }
  }
  const Shape centre = centre_of_mass_voxel(region.hard);
  Shape extent{};
  for (std::size_t i = 0; i < 3; ++i) {
    extent[i] = 2 * std::max(centre[i] - box.low[i], box.high[i] + 1 - centre[i]);
  }
  return extent;
}

}  // namespace epvs::data
