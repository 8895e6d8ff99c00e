#include "data/implant/render.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace epvs::data {

using Eigen::Vector3d;

namespace {

/// The share of a point at distance d that a voxel sees, per mm: box times Gaussian, area 1.
double spread_at(double d, double box, double sigma) {
  const double scale = 1.0 / (std::sqrt(2.0) * sigma);
  return (std::erf((d + 0.5 * box) * scale) - std::erf((d - 0.5 * box) * scale)) / (2.0 * box);
}

/// Voxels and lattice points along one axis, and what each voxel sees of each point.
struct AxisWeights {
  std::int64_t first_voxel = 0;
  std::int64_t voxels = 0;
  double first_point = 0;
  std::int64_t points = 0;
  std::vector<double> weights;  ///< [point][voxel], times the lattice step

  const double* of(std::int64_t point) const { return weights.data() + point * voxels; }
};

AxisWeights axis_weights(double low, double high, double step, double spacing, double box,
                         double sigma, std::int64_t length) {
  AxisWeights axis;
  axis.first_point = low;
  axis.points = static_cast<std::int64_t>(std::ceil((high - low) / step)) + 1;
  const double reach = 0.5 * box + 4 * sigma;
  const auto from = static_cast<std::int64_t>(std::floor((low - reach) / spacing));
  const auto to = static_cast<std::int64_t>(std::ceil((high + step + reach) / spacing));
  axis.first_voxel = std::max<std::int64_t>(0, from);
  axis.voxels = std::max<std::int64_t>(0, std::min(length, to + 1) - axis.first_voxel);
  axis.weights.reserve(static_cast<std::size_t>(axis.points * axis.voxels));
  for (std::int64_t p = 0; p < axis.points; ++p) {
    const double at = low + static_cast<double>(p) * step;
    for (std::int64_t v = 0; v < axis.voxels; ++v) {
      const double d = static_cast<double>(axis.first_voxel + v) * spacing - at;
      axis.weights.push_back(std::abs(d) <= reach ? step * spread_at(d, box, sigma) : 0.0);
    }
  }
  return axis;
}

struct Lattice {
  std::array<AxisWeights, 3> axes;
  double step;

  Vector3d point(std::int64_t x, std::int64_t y, std::int64_t z) const {
    return {axes[0].first_point + static_cast<double>(x) * step,
            axes[1].first_point + static_cast<double>(y) * step,
            axes[2].first_point + static_cast<double>(z) * step};
  }
};

/// Adds a point that is `part` inside the tube to all voxels that see it.
void deposit(const Lattice& lattice, const Shape& at, double part, std::vector<double>& sums) {
  // No structured binding: clang does not let a lambda capture one.
  const auto& xs = lattice.axes[0];
  const auto& ys = lattice.axes[1];
  const auto& zs = lattice.axes[2];
  const double* wx = xs.of(at[0]);
  const double* wy = ys.of(at[1]);
  const double* wz = zs.of(at[2]);
  double* out = sums.data();
  for (std::int64_t z = 0; z < zs.voxels; ++z) {
    for (std::int64_t y = 0; y < ys.voxels; ++y, out += xs.voxels) {
      const double w = part * wz[z] * wy[y];
      if (w == 0) continue;
      for (std::int64_t x = 0; x < xs.voxels; ++x) out[x] += w * wx[x];
    }
  }
}

/// How deep a point lies in the tube; negative outside.
double depth_mm(const std::vector<Vector3d>& line, double radius_mm, const Vector3d& point) {
  double depth = -std::numeric_limits<double>::infinity();
  const auto segments = static_cast<double>(line.size() - 1);
  for (std::size_t i = 1; i < line.size(); ++i) {
    const Vector3d axis = line[i] - line[i - 1];
    const double along = std::clamp((point - line[i - 1]).dot(axis) / axis.squaredNorm(), 0.0, 1.0);
    const double t = 2 * (static_cast<double>(i - 1) + along) / segments - 1;
    depth = std::max(depth, radius_mm * std::sqrt(1 - 0.75 * t * t) -
                                (point - line[i - 1] - along * axis).norm());
  }
  return depth;
}

}  // namespace

double tube_volume_mm3(double length_mm, double radius_mm) {
  return M_PI * radius_mm * radius_mm * (0.75 * length_mm + radius_mm / 6);
}

PointSpread point_spread(const Geometry& geometry, double slice_thickness_mm,
                         const Vector3d& blur_mm) {
  PointSpread spread;
  spread.box_mm = geometry.spacing_mm();
  spread.sigma_mm = blur_mm;
  const auto slice = static_cast<Eigen::Index>(slice_axis(geometry));
  const bool thick = slice_thickness_mm > 1.25 * spread.box_mm.minCoeff();
  spread.box_mm[slice] = slice_thickness_mm;
  if (thick) spread.sigma_mm[slice] = 0.1 * slice_thickness_mm;
  return spread;
}

std::vector<Vector3d> along_grid(const Geometry& geometry,
                                 const std::vector<Vector3d>& world_line) {
  const Vector3d spacing = geometry.spacing_mm();
  std::vector<Vector3d> line;
  line.reserve(world_line.size());
  for (const Vector3d& point : world_line) {
    line.push_back(geometry.to_voxel(point).cwiseProduct(spacing));
  }
  return line;
}

std::vector<FilledVoxel> render_tube(const Geometry& geometry, const PointSpread& spread,
                                     const std::vector<Vector3d>& world_line, double radius_mm) {
  const std::vector<Vector3d> line = along_grid(geometry, world_line);
  const Vector3d spacing = geometry.spacing_mm();
  Vector3d low = line.front();
  Vector3d high = low;
  for (const Vector3d& point : line) {
    low = low.cwiseMin(point);
    high = high.cwiseMax(point);
  }
  Lattice lattice;
  lattice.step = std::min(0.2, 0.4 * radius_mm);
  const double margin = radius_mm + lattice.step;
  std::size_t count = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<Eigen::Index>(i);
    lattice.axes[i] = axis_weights(
        low[axis] - margin, high[axis] + margin, lattice.step, spacing[axis], spread.box_mm[axis],
        std::max(spread.sigma_mm[axis], 0.5 * lattice.step), geometry.shape[i]);
    count *= static_cast<std::size_t>(lattice.axes[i].voxels);
  }
  std::vector<double> sums(count, 0.0);
  const auto& [xs, ys, zs] = lattice.axes;
  for_each_voxel({xs.points, ys.points, zs.points}, [&](auto x, auto y, auto z) {
    const double depth = depth_mm(line, radius_mm, lattice.point(x, y, z));
    const double part = std::clamp(0.5 + depth / lattice.step, 0.0, 1.0);
    if (part > 0) deposit(lattice, {x, y, z}, part, sums);
  });
  std::vector<FilledVoxel> filled;
  std::size_t i = 0;
  for_each_voxel({xs.voxels, ys.voxels, zs.voxels}, [&](auto x, auto y, auto z) {
    const double fraction = sums[i++];
    if (fraction <= 0) return;
    const std::int64_t row = (zs.first_voxel + z) * geometry.shape[1] + ys.first_voxel + y;
    filled.push_back({static_cast<std::size_t>(row * geometry.shape[0] + xs.first_voxel + x),
                      static_cast<float>(fraction)});
  });
  return filled;
}

}  // namespace epvs::data
