#include "data/prepare/registration/deformation.h"

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/parallel.h"
#include "core/text.h"

namespace epvs::data {

namespace {

/// Values of the 4 cubic B-splines that are not 0 at a fraction t of a cell (0..1).
std::array<double, 4> spline(double t) {
  const double s = 1 - t;
  return {s * s * s / 6, (3 * t * t * t - 6 * t * t + 4) / 6, (3 * s * s * s - 6 * s * s + 4) / 6,
          t * t * t / 6};
}

std::array<double, 4> spline_slope(double t) {
  const double s = 1 - t;
  return {-s * s / 2, (9 * t * t - 12 * t) / 6, -(9 * s * s - 12 * s) / 6, t * t / 2};
}

/// The world box around the voxel boxes of a grid.
struct WorldBox {
  Eigen::Vector3d low = Eigen::Vector3d::Constant(std::numeric_limits<double>::max());
  Eigen::Vector3d high = Eigen::Vector3d::Constant(std::numeric_limits<double>::lowest());

  void add(const Eigen::Vector3d& point) {
    low = low.cwiseMin(point);
    high = high.cwiseMax(point);
  }
};

WorldBox view_of(const Geometry& geometry) {
  WorldBox box;
  for (int corner = 0; corner < 8; ++corner) {
    Eigen::Vector3d voxel;
    for (int axis = 0; axis < 3; ++axis) {
      const auto last = static_cast<double>(geometry.shape[static_cast<std::size_t>(axis)]) - 0.5;
      voxel[axis] = ((corner >> axis) & 1) != 0 ? last : -0.5;
    }
    box.add(geometry.to_world(voxel));
  }
  return box;
}

/// Voxels with a label, and one voxel around them.
WorldBox labelled_box(const Volume<std::int32_t>& labels) {
  Shape low = labels.geometry.shape;
  Shape high = {-1, -1, -1};
  const Shape& shape = labels.geometry.shape;
  for (std::int64_t z = 0; z < shape[2]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      for (std::int64_t x = 0; x < shape[0]; ++x) {
        if (labels.at(x, y, z) == 0) continue;
        const Shape at = {x, y, z};
        for (std::size_t i = 0; i < 3; ++i) {
          low[i] = std::min(low[i], at[i]);
          high[i] = std::max(high[i], at[i]);
        }
      }
    }
  }
  WorldBox box;
  for (int corner = 0; corner < 8 && high[0] >= 0; ++corner) {
    Eigen::Vector3d voxel;
    for (int axis = 0; axis < 3; ++axis) {
      const auto i = static_cast<std::size_t>(axis);
      voxel[axis] = static_cast<double>(((corner >> axis) & 1) != 0 ? high[i] + 1 : low[i] - 1);
    }
    box.add(labels.geometry.to_world(voxel));
  }
  return box;
}

/// The label with the largest trilinear weight; the smaller number of two equals.
std::int32_t label_at(const Volume<std::int32_t>& labels, const Eigen::Vector3d& voxel) {
  std::array<std::int32_t, 8> found{};
  std::array<double, 8> weight{};
  std::size_t count = 0;
  std::array<std::int64_t, 3> base{};
  std::array<double, 3> part{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double at = voxel[static_cast<Eigen::Index>(i)];
    base[i] = static_cast<std::int64_t>(std::floor(at));
    part[i] = at - static_cast<double>(base[i]);
  }
  for (std::size_t corner = 0; corner < 8; ++corner) {
    double w = 1;
    Shape at{};
    bool inside = true;
    for (std::size_t i = 0; i < 3; ++i) {
      const bool far_side = ((corner >> i) & 1U) != 0;
      w *= far_side ? part[i] : 1 - part[i];
      at[i] = base[i] + (far_side ? 1 : 0);
      inside = inside && at[i] >= 0 && at[i] < labels.geometry.shape[i];
    }
    const std::int32_t label = inside ? labels.at(at[0], at[1], at[2]) : 0;
    std::size_t slot = 0;
    while (slot < count && found[slot] != label) ++slot;
    if (slot == count) found[count++] = label;
    weight[slot] += w;
  }
  std::size_t best = 0;
  for (std::size_t slot = 1; slot < count; ++slot) {
    const bool more = weight[slot] > weight[best];
    if (more || (weight[slot] == weight[best] && found[slot] < found[best])) best = slot;
  }
  return found[best];
}

/// One axis of refined(): n control points become 2 n - 3 of half the spacing, whose first lies
/// half a cell above the old first one.
std::vector<Eigen::Vector3d> refine_line(const std::vector<Eigen::Vector3d>& line) {
  std::vector<Eigen::Vector3d> fine;
  for (std::size_t i = 0; i + 1 < line.size(); ++i) {
    fine.push_back(0.5 * (line[i] + line[i + 1]));
    if (i + 2 < line.size()) {
      fine.push_back((line[i] + 6 * line[i + 1] + line[i + 2]) / 8);
    }
  }
  return fine;
}

}  // namespace

ControlGrid ControlGrid::over(const Geometry& geometry, double spacing_mm) {
  const WorldBox view = view_of(geometry);
  ControlGrid grid;
  grid.spacing_mm = spacing_mm;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<Eigen::Index>(i);
    const double length = view.high[axis] - view.low[axis];
    const auto cells = static_cast<std::int64_t>(std::floor(length / spacing_mm)) + 1;
    grid.count[i] = cells + 3;
    // The cells lie around the middle of the view, one control point more on both sides.
    grid.origin_mm[axis] = 0.5 * (view.low[axis] + view.high[axis]) -
                           (0.5 * static_cast<double>(cells) + 1) * spacing_mm;
  }
  return grid;
}

Deformation::Deformation(const ControlGrid& grid)
    : grid_(grid), coefficients_(3 * grid.points(), 0.0) {}

ControlWeights Deformation::weights(const Eigen::Vector3d& at) const {
  ControlWeights found;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<Eigen::Index>(i);
    const double index = (at[axis] - grid_.origin_mm[axis]) / grid_.spacing_mm;
    const double cell = std::floor(index);
    found.first[i] = static_cast<std::int64_t>(cell) - 1;
    if (!(index >= 1) || found.first[i] + 3 >= grid_.count[i]) return found;
    found.weight[i] = spline(index - cell);
  }
  found.inside = true;
  return found;
}

Eigen::Vector3d Deformation::displacement(const ControlWeights& at) const {
  Eigen::Vector3d sum = Eigen::Vector3d::Zero();
  if (!at.inside) return sum;
  for (std::int64_t z = 0; z < 4; ++z) {
    for (std::int64_t y = 0; y < 4; ++y) {
      const double plane =
          at.weight[2][static_cast<std::size_t>(z)] * at.weight[1][static_cast<std::size_t>(y)];
      const std::int64_t row =
          ((at.first[2] + z) * grid_.count[1] + at.first[1] + y) * grid_.count[0] + at.first[0];
      const double* c = &coefficients_[static_cast<std::size_t>(3 * row)];
      for (std::size_t x = 0; x < 4; ++x, c += 3) {
        const double w = plane * at.weight[0][x];
        sum[0] += w * c[0];
        sum[1] += w * c[1];
        sum[2] += w * c[2];
      }
    }
  }
  return sum;
}

Eigen::Vector3d Deformation::operator()(const Eigen::Vector3d& at) const {
  return at + displacement(weights(at));
}

double Deformation::jacobian(const Eigen::Vector3d& at) const {
  const ControlWeights here = weights(at);
  if (!here.inside) return 1;
  Eigen::Matrix3d derivative = Eigen::Matrix3d::Identity();
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<Eigen::Index>(i);
    const double index = (at[axis] - grid_.origin_mm[axis]) / grid_.spacing_mm;
    ControlWeights slope = here;
    slope.weight[i] = spline_slope(index - std::floor(index));
    derivative.col(axis) += displacement(slope) / grid_.spacing_mm;
  }
  return derivative.determinant();
}

Eigen::Vector3d Deformation::inverse(const Eigen::Vector3d& at) const {
  Eigen::Vector3d point = at;
  for (int i = 0; i < 200; ++i) {
    const Eigen::Vector3d next = at - displacement(weights(point));
    const bool done = (next - point).norm() < 1e-6;
    point = next;
    if (done) return point;
  }
  throw core::InputError(
      fmt::format("the deformation has no inverse near {:.1f},{:.1f},{:.1f}", at[0], at[1], at[2]),
      "it folds there: use --atlas-registration affine for this scan");
}

Deformation Deformation::refined() const {
  ControlGrid grid = grid_;
  std::vector<Eigen::Vector3d> points;
  for (std::size_t i = 0; i < grid_.points(); ++i) {
    points.emplace_back(coefficients_[3 * i], coefficients_[3 * i + 1], coefficients_[3 * i + 2]);
  }
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const Shape old = grid.count;
    grid.count[axis] = 2 * old[axis] - 3;
    std::vector<Eigen::Vector3d> fine(grid.points());
    const std::array<std::size_t, 2> others = {axis == 0 ? 1U : 0U, axis == 2 ? 1U : 2U};
    const auto offset = [&](const Shape& count, const Shape& at) {
      return static_cast<std::size_t>((at[2] * count[1] + at[1]) * count[0] + at[0]);
    };
    Shape at{};
    for (at[others[1]] = 0; at[others[1]] < old[others[1]]; ++at[others[1]]) {
      for (at[others[0]] = 0; at[others[0]] < old[others[0]]; ++at[others[0]]) {
        std::vector<Eigen::Vector3d> line;
        for (at[axis] = 0; at[axis] < old[axis]; ++at[axis])
          line.push_back(points[offset(old, at)]);
        const std::vector<Eigen::Vector3d> result = refine_line(line);
        at[axis] = 0;
        for (const Eigen::Vector3d& value : result) {
          fine[offset(grid.count, at)] = value;
          ++at[axis];
        }
      }
    }
    points = std::move(fine);
    grid.origin_mm[static_cast<Eigen::Index>(axis)] += 0.5 * grid_.spacing_mm;
  }
  grid.spacing_mm = 0.5 * grid_.spacing_mm;
  Deformation result(grid);
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (Eigen::Index axis = 0; axis < 3; ++axis) {
      result.coefficients_[3 * i + static_cast<std::size_t>(axis)] = points[i][axis];
    }
  }
  return result;
}

double Deformation::largest_mm() const {
  double largest = 0;
  for (const double value : coefficients_) largest = std::max(largest, std::abs(value));
  return largest;
}

double smallest_jacobian(const Deformation& deformation, const Geometry& view, double step_mm) {
  const WorldBox box = view_of(view);
  double smallest = std::numeric_limits<double>::infinity();
  for (double z = box.low[2]; z <= box.high[2]; z += step_mm) {
    for (double y = box.low[1]; y <= box.high[1]; y += step_mm) {
      for (double x = box.low[0]; x <= box.high[0]; x += step_mm) {
        smallest = std::min(smallest, deformation.jacobian({x, y, z}));
      }
    }
  }
  return smallest;
}

Volume<std::int32_t> deformed_labels(const Volume<std::int32_t>& labels,
                                     const Deformation& deformation, double spacing_mm,
                                     int threads) {
  WorldBox box = labelled_box(labels);
  if (box.low[0] > box.high[0]) return Volume<std::int32_t>(labels.geometry);
  const Eigen::Vector3d reach = Eigen::Vector3d::Constant(deformation.largest_mm());
  box.low -= reach;
  box.high += reach;
  Geometry grid;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<Eigen::Index>(i);
    grid.shape[i] =
        static_cast<std::int64_t>(std::ceil((box.high[axis] - box.low[axis]) / spacing_mm)) + 1;
    grid.affine(axis, axis) = spacing_mm;
    grid.affine(axis, 3) = box.low[axis];
  }
  Volume<std::int32_t> result(grid);
  const Eigen::Matrix4d to_voxel = labels.geometry.affine.inverse();
  core::parallel_ranges(grid.shape[2], threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t z = begin; z < end; ++z) {
      for (std::int64_t y = 0; y < grid.shape[1]; ++y) {
        for (std::int64_t x = 0; x < grid.shape[0]; ++x) {
          const Eigen::Vector3d at = deformation(grid.to_world(
              {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)}));
          result.at(x, y, z) = label_at(labels, (to_voxel * at.homogeneous()).head<3>());
        }
      }
    }
  });
  return result;
}

}  // namespace epvs::data
