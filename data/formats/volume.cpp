#include "data/formats/volume.h"

#include <Eigen/LU>
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

}  // namespace epvs::data
