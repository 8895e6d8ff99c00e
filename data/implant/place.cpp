#include "data/implant/place.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "core/random.h"

namespace epvs::data {

using core::Random;
using Eigen::Vector3d;

namespace {

constexpr int kDraws = 8;    ///< sizes drawn for an EPVS that finds no place
constexpr int kTries = 200;  ///< places tried for each; every 50 it gets shorter
constexpr double kLineStepMm = 0.8;
constexpr double kClearanceMm = 1.0;
constexpr double kInGrey = 0.8;  ///< part of a line that lies in grey matter
constexpr double kEven = 0.15;   ///< of the difference between CSF and white matter
constexpr double kNoise = 3.0;   ///< robust standard deviations

Vector3d random_vector(Random& random) {
  const double x = random.normal();
  const double y = random.normal();
  const double z = random.normal();
  return {x, y, z};
}

bool is_in(const Volume<std::uint8_t>& mask, const Vector3d& world) {
  const Vector3d voxel = mask.geometry.to_voxel(world);
  Shape at{};
  for (std::size_t i = 0; i < 3; ++i) {
    at[i] = std::llround(voxel[static_cast<Eigen::Index>(i)]);
    if (at[i] < 0 || at[i] >= mask.geometry.shape[i]) return false;
  }
  return mask.at(at[0], at[1], at[2]) != 0;
}

double median(std::vector<float>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return static_cast<double>(*middle);
}

/// What is usual in a region.
struct Usual {
  double median = 0;
  double tolerance = 0;
};

Usual usual_of(const ScanSite& site, const Volume<std::uint8_t>& mask) {
  const Geometry& grid = site.scan->geometry;
  std::vector<float> values;
  for_each_voxel(mask.geometry.shape, [&](auto x, auto y, auto z) {
    if (mask.at(x, y, z) == 0) return;
    const Vector3d voxel = grid.to_voxel(mask.geometry.to_world(x, y, z));
    Shape at{};
    for (std::size_t i = 0; i < 3; ++i) {
      at[i] = std::llround(voxel[static_cast<Eigen::Index>(i)]);
      if (at[i] < 0 || at[i] >= grid.shape[i]) return;
    }
    values.push_back(site.scan->at(at[0], at[1], at[2]));
  });
  Usual usual;
  if (values.empty()) return usual;
  usual.median = median(values);
  for (float& value : values) {
    value = static_cast<float>(std::abs(static_cast<double>(value) - usual.median));
  }
  usual.tolerance = std::max(kEven * site.contrast.difference(), kNoise * 1.4826 * median(values));
  return usual;
}

class Placer {
 public:
  Placer(const ScanSite& site, const RegionSite& region, const ImplantOptions& options,
         std::uint64_t seed, const std::vector<Implant>& others)
      : site_(site),
        region_(region),
        options_(options),
        seed_(seed),
        usual_(usual_of(site, *region.tissue)),
        placed_(others) {
    for (std::size_t i = 0; i < region.centres->voxels.size(); ++i) {
      if (region.centres->voxels[i] != 0) voxels_.push_back(i);
    }
    const Vector3d spacing = site.scan->geometry.spacing_mm();
    const auto slice = static_cast<Eigen::Index>(slice_axis(site.scan->geometry));
    squash_[slice] = std::min(1.0, options.gap_mm / spacing[slice]);
    for (const Implant& other : placed_) squashed_.push_back(squashed(other.line));
  }

  /// The next one; nothing when no place was found.
  std::optional<Implant> next(std::int64_t number) {
    if (voxels_.empty()) return std::nullopt;
    for (int draw = 0; draw < kDraws; ++draw) {
      Random random(core::mix_seed(seed_, {"implant", region_.name, number, draw}));
      if (std::optional<Implant> implant = drawn(random)) return implant;
    }
    return std::nullopt;
  }

 private:
  std::optional<Implant> drawn(Random& random) {
    Implant implant;
    implant.region = region_.name;
    implant.diameter_mm = drawn_diameter(random);
    implant.contrast = random.uniform(options_.contrast[0], options_.contrast[1]);
    const double shortest = std::max(options_.length_mm[0], 2 * implant.diameter_mm);
    double length = random.uniform(shortest, options_.length_mm[1]);
    for (int attempt = 0; attempt < kTries; ++attempt) {
      if (attempt % 50 == 49) length = std::max(shortest, 0.7 * length);
      const Vector3d centre = random_centre(random);
      implant.line = curved_line(random, centre, length);
      if (!lies_in_tissue(implant) || !is_apart(implant) || !is_even(implant)) continue;
      placed_.push_back(implant);
      squashed_.push_back(squashed(implant.line));
      return implant;
    }
    return std::nullopt;
  }

  double drawn_diameter(Random& random) const {
    const double low = std::log(options_.diameter_mm[0]);
    const double high = std::log(options_.diameter_mm[1]);
    const double drawn = random.normal(0.5 * (low + high), 0.25 * (high - low));
    return std::exp(std::clamp(drawn, low, high));
  }

  Vector3d random_centre(Random& random) const {
    const auto last = static_cast<std::int64_t>(voxels_.size()) - 1;
    const auto index =
        static_cast<std::int64_t>(voxels_[static_cast<std::size_t>(random.integer(0, last))]);
    const Shape& shape = region_.centres->geometry.shape;
    const double x = random.uniform(-0.5, 0.5);
    const double y = random.uniform(-0.5, 0.5);
    const double z = random.uniform(-0.5, 0.5);
    const std::int64_t row = index / shape[0];
    const std::int64_t slice = row / shape[1];
    return region_.centres->geometry.to_world(Vector3d(static_cast<double>(index % shape[0]) + x,
                                                       static_cast<double>(row % shape[1]) + y,
                                                       static_cast<double>(slice) + z));
  }

  Vector3d vessel_direction(Random& random, const Vector3d& at) const {
    const double side = at.x() < site_.midline_x ? -1.0 : 1.0;
    if (region_.name == "bg") return {0.3 * side, 0.05, 1.0};
    if (region_.name == "hippocampi") return {0.15 * side, -0.75, 0.45};
    if (region_.name == "midbrain") return {0.1 * side, -0.5, 1.0};
    if (region_.name != "cso") return random_vector(random);
    double best = std::numeric_limits<double>::infinity();
    Vector3d nearest = at;
    for (const Vector3d& point : site_.ventricles) {
      const double distance = (point - at).squaredNorm();
      if (distance >= best) continue;
      best = distance;
      nearest = point;
    }
    return at - nearest;
  }

  /// A parabola of this arc length through `centre`, both ends included.
  std::vector<Vector3d> curved_line(Random& random, const Vector3d& centre, double length) const {
    const Vector3d direction = vessel_direction(random, centre).normalized();
    const Vector3d tangent = (direction + 0.3 * random_vector(random)).normalized();
    const Vector3d bend = tangent.cross(random_vector(random)).normalized();
    const double curvature = random.uniform(0.0, 0.07);  // 1 / mm
    const int steps = 2 * std::max(1, static_cast<int>(std::ceil(0.5 * length / kLineStepMm)));
    std::vector<Vector3d> line;
    for (int i = 0; i <= steps; ++i) {
      const double s = length * (static_cast<double>(i) / steps - 0.5);
      line.emplace_back(s * tangent + 0.5 * curvature * s * s * bend);
    }
    double bent = 0;
    for (std::size_t i = 1; i < line.size(); ++i) bent += (line[i] - line[i - 1]).norm();
    for (Vector3d& point : line) point = centre + length / bent * point;
    return line;
  }

  bool lies_in_tissue(const Implant& implant) const {
    if (!is_in(*region_.centres, implant.centre())) return false;
    const auto inside =
        std::count_if(implant.line.begin(), implant.line.end(),
                      [&](const Vector3d& point) { return is_in(*region_.tissue, point); });
    const double least = region_.name == "cso" ? 1.0 : kInGrey;
    return static_cast<double>(inside) >= least * static_cast<double>(implant.line.size());
  }

  /// In a space where one slice counts as the gap at most.
  std::vector<Vector3d> squashed(const std::vector<Vector3d>& world_line) const {
    std::vector<Vector3d> line = along_grid(site_.scan->geometry, world_line);
    for (Vector3d& point : line) point = point.cwiseProduct(squash_);
    return line;
  }

  bool is_apart(const Implant& implant) const {
    const std::vector<Vector3d> line = squashed(implant.line);
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      const double needed = 0.5 * (placed_[i].diameter_mm + implant.diameter_mm) + options_.gap_mm;
      if (distance_of_lines_mm(squashed_[i], line) < needed) return false;
    }
    return true;
  }

  /// Values of the voxels near the line.
  std::vector<float> values_near(const Implant& implant) const {
    const Geometry& grid = site_.scan->geometry;
    const Vector3d spacing = grid.spacing_mm();
    const auto slice = static_cast<Eigen::Index>(slice_axis(grid));
    const double radius = 0.5 * implant.diameter_mm + kClearanceMm;
    Vector3d reach = Vector3d::Constant(radius);
    reach[slice] = 0.5 * (implant.diameter_mm + site_.spread.box_mm[slice]);
    std::vector<std::size_t> offsets;
    for (const Vector3d& at : along_grid(grid, implant.line)) {
      Shape low{};
      Shape high{};
      for (std::size_t i = 0; i < 3; ++i) {
        const auto a = static_cast<Eigen::Index>(i);
        low[i] = std::max<std::int64_t>(0, std::lround(std::ceil((at[a] - reach[a]) / spacing[a])));
        high[i] = std::min<std::int64_t>(
            grid.shape[i], std::lround(std::floor((at[a] + reach[a]) / spacing[a])) + 1);
      }
      for (std::int64_t z = low[2]; z < high[2]; ++z) {
        for (std::int64_t y = low[1]; y < high[1]; ++y) {
          for (std::int64_t x = low[0]; x < high[0]; ++x) {
            Vector3d d =
                Vector3d(static_cast<double>(x), static_cast<double>(y), static_cast<double>(z))
                    .cwiseProduct(spacing) -
                at;
            d[slice] = 0;
            if (d.norm() <= radius) offsets.push_back(site_.scan->offset(x, y, z));
          }
        }
      }
    }
    std::sort(offsets.begin(), offsets.end());
    offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
    std::vector<float> values;
    values.reserve(offsets.size());
    for (const std::size_t offset : offsets) values.push_back(site_.scan->voxels[offset]);
    return values;
  }

  bool is_even(const Implant& implant) const {
    std::vector<float> values = values_near(implant);
    if (values.empty()) return false;
    const double middle = median(values);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return middle <= usual_.median + usual_.tolerance &&
           static_cast<double>(*high) <= middle + usual_.tolerance &&
           static_cast<double>(*low) >= middle - 2 * usual_.tolerance;
  }

  const ScanSite& site_;
  const RegionSite& region_;
  const ImplantOptions& options_;
  std::uint64_t seed_;
  Usual usual_;
  std::vector<Implant> placed_;
  std::vector<std::vector<Vector3d>> squashed_;
  std::vector<std::size_t> voxels_;
  Vector3d squash_ = Vector3d::Ones();
};

}  // namespace

double Implant::length_mm() const {
  double length = 0;
  for (std::size_t i = 1; i < line.size(); ++i) length += (line[i] - line[i - 1]).norm();
  return length;
}

Vector3d Implant::centre() const {
  return line[line.size() / 2];
}

std::vector<Implant> place_implants(const ScanSite& site, const RegionSite& region,
                                    const ImplantOptions& options, std::int64_t wanted,
                                    std::uint64_t seed, const std::vector<Implant>& others) {
  Placer placer(site, region, options, seed, others);
  std::vector<Implant> placed;
  for (std::int64_t number = 0; number < wanted; ++number) {
    std::optional<Implant> implant = placer.next(number);
    if (!implant) break;
    placed.push_back(std::move(*implant));
  }
  return placed;
}

}  // namespace epvs::data
