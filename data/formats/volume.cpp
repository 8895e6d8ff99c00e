#include "data/formats/volume.h"

#include <Eigen/LU>
#include <algorithm>
#include <cmath>

namespace epvs::data {

Eigen::Vector3d Geometry::spacing_mm() const {
  return affine.topLeftCorner<3, 3>().colwise().norm().transpose();
}

Eigen::Vector3d Geometry::to_world(const Eigen::Vector3d& voxel) const {
  return affine.topLeftCorner<3, 3>() * voxel + affine.topRightCorner<3, 1>();
}

Eigen::Vector3d Geometry::to_voxel(const Eigen::Vector3d& world) const {
  const Eigen::Matrix3d directions = affine.topLeftCorner<3, 3>();
  const Eigen::Vector3d shifted = world - affine.topRightCorner<3, 1>();
  return directions.inverse() * shifted;
}

bool Geometry::same_as(const Geometry& other, double tolerance_mm) const {
  if (shape != other.shape) return false;
  for (int corner = 0; corner < 8; ++corner) {
    Eigen::Vector3d voxel;
    for (int axis = 0; axis < 3; ++axis) {
      const bool far_end = ((corner >> axis) & 1) != 0;
      const std::int64_t last = shape[static_cast<std::size_t>(axis)] - 1;
      voxel[axis] = far_end ? static_cast<double>(last) : 0.0;
    }
    // A NaN distance is not "near".
    if (!((to_world(voxel) - other.to_world(voxel)).norm() < tolerance_mm)) return false;
  }
  return true;
}

AxisOrder canonical_axes(const Geometry& geometry) {
  Eigen::Matrix3d directions = geometry.affine.topLeftCorner<3, 3>();
  for (int axis = 0; axis < 3; ++axis) directions.col(axis).normalize();
  static constexpr int kOrders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  AxisOrder best;
  double best_sum = -1;
  for (const auto& order : kOrders) {
    double sum = 0;
    for (int world = 0; world < 3; ++world) sum += std::abs(directions(world, order[world]));
    if (sum > best_sum + 1e-12) {
      best_sum = sum;
      for (int world = 0; world < 3; ++world) {
        const auto i = static_cast<std::size_t>(world);
        best.axis[i] = order[world];
        best.flipped[i] = directions(world, order[world]) < 0;
      }
    }
  }
  return best;
}

Geometry canonical_geometry(const Geometry& geometry) {
  const AxisOrder order = canonical_axes(geometry);
  Geometry result;
  result.affine = geometry.affine;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto column = static_cast<Eigen::Index>(i);
    const std::int64_t length = geometry.shape[static_cast<std::size_t>(order.axis[i])];
    result.shape[i] = length;
    const Eigen::Vector4d step = geometry.affine.col(order.axis[i]);
    result.affine.col(column) = order.flipped[i] ? Eigen::Vector4d(-step) : step;
    if (order.flipped[i]) result.affine.col(3) += static_cast<double>(length - 1) * step;
  }
  return result;
}

std::size_t slice_axis(const Geometry& geometry) {
  const Eigen::Vector3d spacing = geometry.spacing_mm();
  Eigen::Index thickest = 0;
  const double largest = spacing.maxCoeff(&thickest);
  for (Eigen::Index axis = 0; axis < 3; ++axis) {
    if (axis != thickest && largest < 1.01 * spacing[axis]) {
      return static_cast<std::size_t>(canonical_axes(geometry).axis[2]);
    }
  }
  return static_cast<std::size_t>(thickest);
}

VoxelBox VoxelBox::grown(const Shape& margin, const Shape& grid) const {
  VoxelBox result;
  for (std::size_t i = 0; i < 3; ++i) {
    result.begin[i] = std::clamp<std::int64_t>(begin[i] - margin[i], 0, grid[i]);
    result.end[i] = std::clamp<std::int64_t>(end[i] + margin[i], 0, grid[i]);
  }
  return result;
}

Geometry part_of(const Geometry& geometry, const VoxelBox& box) {
  Geometry part;
  part.shape = box.size();
  part.affine = geometry.affine;
  part.affine.topRightCorner<3, 1>() = geometry.to_world(box.begin[0], box.begin[1], box.begin[2]);
  return part;
}

VoxelBox bounding_box(const Volume<std::uint8_t>& mask) {
  const Shape& shape = mask.geometry.shape;
  VoxelBox box;
  box.begin = shape;
  for (std::int64_t z = 0; z < shape[2]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      const std::uint8_t* row = mask.voxels.data() + mask.offset(0, y, z);
      const std::uint8_t* last = row + shape[0];
      const std::uint8_t* first = std::find_if(row, last, [](std::uint8_t v) { return v != 0; });
      if (first == last) continue;
      while (*(last - 1) == 0) --last;
      box.begin = {std::min<std::int64_t>(box.begin[0], first - row), std::min(box.begin[1], y),
                   std::min(box.begin[2], z)};
      box.end = {std::max<std::int64_t>(box.end[0], last - row), std::max(box.end[1], y + 1),
                 std::max(box.end[2], z + 1)};
    }
  }
  return box;
}

template <class T>
Volume<T> crop(const Volume<T>& volume, const VoxelBox& box) {
  Volume<T> result(part_of(volume.geometry, box));
  const Shape& from = volume.geometry.shape;
  const Shape size = box.size();
  const Shape& origin = box.begin;
  const std::int64_t x_first = std::max<std::int64_t>(0, -origin[0]);
  const std::int64_t x_last = std::min(size[0], from[0] - origin[0]);
  for (std::int64_t z = 0; z < size[2] && x_first < x_last; ++z) {
    const std::int64_t zz = z + origin[2];
    if (zz < 0 || zz >= from[2]) continue;
    for (std::int64_t y = 0; y < size[1]; ++y) {
      const std::int64_t yy = y + origin[1];
      if (yy < 0 || yy >= from[1]) continue;
      const T* source = volume.voxels.data() + volume.offset(x_first + origin[0], yy, zz);
      std::copy(source, source + (x_last - x_first),
                result.voxels.data() + result.offset(x_first, y, z));
    }
  }
  return result;
}

template Volume<float> crop(const Volume<float>&, const VoxelBox&);
template Volume<std::uint8_t> crop(const Volume<std::uint8_t>&, const VoxelBox&);
template Volume<std::int32_t> crop(const Volume<std::int32_t>&, const VoxelBox&);

}  // namespace epvs::data
