#include "data/formats/resample.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/parallel.h"

namespace epvs::data {

namespace {

/// Coordinates this near (in voxels) to the edge of the field of view are inside it.
constexpr double kEdgeTolerance = 1e-6;

/// Two neighbours on a source axis and the weight of the second.
struct Tap {
  bool inside = false;
  std::int64_t low = 0;
  std::int64_t high = 0;
  double weight = 0;
};

Tap tap_at(double coordinate, std::int64_t length, Interpolation interpolation) {
  Tap tap;
  const double last = static_cast<double>(length - 1);
  tap.inside = coordinate >= -0.5 - kEdgeTolerance && coordinate <= last + 0.5 + kEdgeTolerance;
  if (!tap.inside) return tap;
  const double clamped = std::clamp(coordinate, 0.0, last);
  if (interpolation == Interpolation::kNearest) {
    tap.low = std::min(static_cast<std::int64_t>(std::floor(clamped + 0.5)), length - 1);
    tap.high = tap.low;
    return tap;
  }
  tap.low = std::min(static_cast<std::int64_t>(clamped), std::max<std::int64_t>(length - 2, 0));
  tap.high = std::min(tap.low + 1, length - 1);
  tap.weight = clamped - static_cast<double>(tap.low);
  return tap;
}

/// The source axis that each target axis runs along, when the grids are parallel up to a millionth
/// of a voxel over the whole target.
std::optional<std::array<int, 3>> aligned_axes(const Eigen::Matrix4d& map, const Shape& shape) {
  std::array<int, 3> source_axis{};
  std::array<bool, 3> taken{};
  for (int target = 0; target < 3; ++target) {
    Eigen::Index largest = 0;
    map.col(target).head<3>().cwiseAbs().maxCoeff(&largest);
    for (int source = 0; source < 3; ++source) {
      const double drift = std::abs(map(source, target)) *
                           static_cast<double>(shape[static_cast<std::size_t>(target)]);
      if (source != largest && drift > 1e-6) return std::nullopt;
    }
    if (taken[static_cast<std::size_t>(largest)]) return std::nullopt;
    taken[static_cast<std::size_t>(largest)] = true;
    source_axis[static_cast<std::size_t>(target)] = static_cast<int>(largest);
  }
  return source_axis;
}

double mix(double low, double high, double weight) {
  return low + weight * (high - low);
}

template <class T>
double blend(const T* data, const Tap& x, const Tap& y, const Tap& z) {
  const auto at = [data](std::int64_t a, std::int64_t b, std::int64_t c) {
    return static_cast<double>(data[a + b + c]);
  };
  const double low =
      mix(mix(at(x.low, y.low, z.low), at(x.high, y.low, z.low), x.weight),
          mix(at(x.low, y.high, z.low), at(x.high, y.high, z.low), x.weight), y.weight);
  const double high =
      mix(mix(at(x.low, y.low, z.high), at(x.high, y.low, z.high), x.weight),
          mix(at(x.low, y.high, z.high), at(x.high, y.high, z.high), x.weight), y.weight);
  return mix(low, high, z.weight);
}

/// The grid of a source, its taps, and the value that three of them give.
template <class Value>
struct Sampler {
  const Shape& from;
  Interpolation interpolation;
  const Value& value;

  /// The tap at a coordinate along a stored axis, as offsets into the voxels.
  Tap tap(double coordinate, std::size_t axis) const {
    const std::array<std::int64_t, 3> stride = {1, from[0], from[0] * from[1]};
    Tap tap = tap_at(coordinate, from[axis], interpolation);
    tap.low *= stride[axis];
    tap.high *= stride[axis];
    return tap;
  }
};

/// Grids with parallel axes: one list of taps for each axis.
template <class Sampler, class Out>
void sample_aligned(const Sampler& sampler, Volume<Out>& target, const Eigen::Matrix4d& map,
                    const std::array<int, 3>& axes, int threads) {
  const Shape& to = target.geometry.shape;
  std::array<std::vector<Tap>, 3> taps;
  for (int t = 0; t < 3; ++t) {
    const auto axis = static_cast<std::size_t>(t);
    const int s = axes[axis];
    for (std::int64_t i = 0; i < to[axis]; ++i) {
      taps[axis].push_back(
          sampler.tap(map(s, 3) + map(s, t) * static_cast<double>(i), static_cast<std::size_t>(s)));
    }
  }
  core::parallel_ranges(to[2], threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t z = begin; z < end; ++z) {
      const Tap& tz = taps[2][static_cast<std::size_t>(z)];
      for (std::int64_t y = 0; tz.inside && y < to[1]; ++y) {
        const Tap& ty = taps[1][static_cast<std::size_t>(y)];
        if (!ty.inside) continue;
        Out* row = target.voxels.data() + target.offset(0, y, z);
        for (std::int64_t x = 0; x < to[0]; ++x) {
          const Tap& tx = taps[0][static_cast<std::size_t>(x)];
          if (tx.inside) row[x] = sampler.value(tx, ty, tz);
        }
      }
    }
  });
}

template <class Sampler, class Out>
void sample_turned(const Sampler& sampler, Volume<Out>& target, const Eigen::Matrix4d& map,
                   int threads) {
  const Shape& to = target.geometry.shape;
  core::parallel_ranges(to[2], threads, [&](std::int64_t begin, std::int64_t end) {
    const Eigen::Vector3d step = map.topLeftCorner<3, 1>();
    for (std::int64_t z = begin; z < end; ++z) {
      for (std::int64_t y = 0; y < to[1]; ++y) {
        const Eigen::Vector3d start = map.col(1).head<3>() * static_cast<double>(y) +
                                      map.col(2).head<3>() * static_cast<double>(z) +
                                      map.col(3).head<3>();
        Out* row = target.voxels.data() + target.offset(0, y, z);
        for (std::int64_t x = 0; x < to[0]; ++x) {
          const Eigen::Vector3d p = start + step * static_cast<double>(x);
          const Tap tx = sampler.tap(p[0], 0);
          if (!tx.inside) continue;
          const Tap ty = sampler.tap(p[1], 1);
          if (!ty.inside) continue;
          const Tap tz = sampler.tap(p[2], 2);
          if (tz.inside) row[x] = sampler.value(tx, ty, tz);
        }
      }
    }
  });
}

/// Writes value(taps) of every target voxel inside the field of view of `source`.
template <class Out, class Value>
void sample_grid(const Geometry& source, Volume<Out>& target, Interpolation interpolation,
                 const Eigen::Matrix4d& target_to_source, int threads, const Value& value) {
  const Eigen::Matrix4d map =
      source.affine.inverse() * target_to_source * target.geometry.affine;  // of voxels
  const Sampler<Value> sampler{source.shape, interpolation, value};
  if (const auto axes = aligned_axes(map, target.geometry.shape)) {
    sample_aligned(sampler, target, map, *axes, threads);
  } else {
    sample_turned(sampler, target, map, threads);
  }
}

/// Writes `convert(value)` of every target voxel inside the source's field of view.
template <class T, class Out, class Convert>
void sample(const Volume<T>& source, Volume<Out>& target, Interpolation interpolation,
            const Eigen::Matrix4d& target_to_source, int threads, const Convert& convert) {
  EPVS_ASSERT(static_cast<std::int64_t>(source.voxels.size()) == source.geometry.voxels());
  if (source.voxels.empty()) return;
  const auto value = [&](const Tap& x, const Tap& y, const Tap& z) {
    if (interpolation == Interpolation::kNearest) {
      return convert(source.voxels[static_cast<std::size_t>(x.low + y.low + z.low)]);
    }
    return convert(blend(source.voxels.data(), x, y, z));
  };
  sample_grid(source.geometry, target, interpolation, target_to_source, threads, value);
}

}  // namespace

Volume<float> resample(const Volume<float>& source, const Geometry& target,
                       Interpolation interpolation, const Eigen::Matrix4d& target_to_source,
                       int threads) {
  Volume<float> result(target);
  sample(source, result, interpolation, target_to_source, threads,
         [](auto value) { return static_cast<float>(value); });
  return result;
}

Volume<std::int32_t> resample_labels(const Volume<std::int32_t>& source, const Geometry& target,
                                     const Eigen::Matrix4d& target_to_source, int threads) {
  Volume<std::int32_t> result(target);
  sample(source, result, Interpolation::kNearest, target_to_source, threads,
         [](auto value) { return static_cast<std::int32_t>(value); });
  return result;
}

Volume<std::uint8_t> resample_mask(const Volume<std::uint8_t>& source, const Geometry& target,
                                   const Eigen::Matrix4d& target_to_source, int threads) {
  Volume<std::uint8_t> result(target);
  // A half that rounding made a little smaller is still a half.
  sample(source, result, Interpolation::kLinear, target_to_source, threads, [](auto value) {
    return static_cast<std::uint8_t>(static_cast<double>(value) >= 0.5 - 1e-9 ? 1 : 0);
  });
  return result;
}

Volume<std::uint8_t> region_mask(const Volume<std::int32_t>& label_map,
                                 const std::vector<std::int64_t>& labels) {
  Volume<std::uint8_t> mask(label_map.geometry);
  const std::set<std::int64_t> wanted(labels.begin(), labels.end());
  // Label maps are long runs of one number: the last answer usually holds.
  std::int32_t last = 0;
  std::uint8_t answer = wanted.count(0) != 0 ? 1 : 0;
  for (std::size_t i = 0; i < mask.voxels.size(); ++i) {
    if (label_map.voxels[i] != last) {
      last = label_map.voxels[i];
      answer = wanted.count(last) != 0 ? 1 : 0;
    }
    mask.voxels[i] = answer;
  }
  return mask;
}

Volume<std::uint8_t> field_of_view(const Geometry& source, const Geometry& target,
                                   const Eigen::Matrix4d& target_to_source) {
  Volume<std::uint8_t> result(target);
  sample_grid(source, result, Interpolation::kNearest, target_to_source, 1,
              [](const Tap&, const Tap&, const Tap&) { return std::uint8_t{1}; });
  return result;
}

double fraction_outside_scan(const Volume<std::int32_t>& label_map,
                             const std::vector<std::int64_t>& labels, const Geometry& scan,
                             const Eigen::Matrix4d& labels_to_scan) {
  const Volume<std::uint8_t> mask = region_mask(label_map, labels);
  const Volume<std::uint8_t> inside = field_of_view(scan, label_map.geometry, labels_to_scan);
  std::int64_t total = 0;
  std::int64_t outside = 0;
  for (std::size_t i = 0; i < mask.voxels.size(); ++i) {
    total += mask.voxels[i];
    outside += mask.voxels[i] != 0 && inside.voxels[i] == 0 ? 1 : 0;
  }
  if (total == 0) {
    throw core::InputError(
        fmt::format("the region is empty: no voxel of the label map has a label of {}",
                    fmt::join(labels, ", ")),
        "check that --lut fits the program that made the label map");
  }
  return static_cast<double>(outside) / static_cast<double>(total);
}

Geometry network_grid(const Geometry& scan, const std::array<double, 3>& spacing_mm) {
  const Geometry canonical = canonical_geometry(scan);
  const Eigen::Vector3d old_spacing = canonical.spacing_mm();
  Geometry grid;
  Eigen::Vector3d old_centre;
  Eigen::Vector3d new_centre;
  for (int axis = 0; axis < 3; ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    if (!(spacing_mm[i] > 0) || !std::isfinite(spacing_mm[i])) {
      throw core::UsageError(
          fmt::format("spacing_mm: {} is not a voxel size; it must be positive", spacing_mm[i]));
    }
    const double extent = static_cast<double>(canonical.shape[i]) * old_spacing[axis];
    // A surplus of a thousandth of a voxel is rounding, not tissue.
    const double count = std::max(1.0, std::ceil(extent / spacing_mm[i] - 1e-3));
    if (count > 1e6) {
      throw core::InputError(
          fmt::format("the network's grid would have {:.0f} voxels along axis {}: {} mm at {} mm",
                      count, axis + 1, extent, spacing_mm[i]));
    }
    grid.shape[i] = static_cast<std::int64_t>(count);
    grid.affine.col(axis) = canonical.affine.col(axis) * (spacing_mm[i] / old_spacing[axis]);
    old_centre[axis] = static_cast<double>(canonical.shape[i] - 1) / 2;
    new_centre[axis] = (count - 1) / 2;
  }
  if (grid.voxels() > std::int64_t{1} << 31) {
    throw core::InputError(fmt::format("the network's grid would have {}x{}x{} voxels",
                                       grid.shape[0], grid.shape[1], grid.shape[2]),
                           "check the scan's voxel size and --spacing-mm");
  }
  const Eigen::Vector3d centre = canonical.to_world(old_centre);
  grid.affine.topRightCorner<3, 1>() = centre - grid.affine.topLeftCorner<3, 3>() * new_centre;
  return grid;
}

}  // namespace epvs::data
