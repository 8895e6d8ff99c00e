// Volumes and their geometry: plain memory and an affine, no library of images.
//
// A voxel index is (x, y, z), x fastest in memory. World coordinates are millimetres, RAS+: x to
// the right of the participant, y to the front, z up. The affine takes voxel centres to world
// points.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <vector>

namespace epvs::data {

using Shape = std::array<std::int64_t, 3>;  ///< voxels along x, y, z

struct Geometry {
  Shape shape = {0, 0, 0};
  Eigen::Matrix4d affine = Eigen::Matrix4d::Identity();  ///< voxel (x, y, z, 1) -> world mm, RAS+

  std::int64_t voxels() const { return shape[0] * shape[1] * shape[2]; }
  Eigen::Vector3d spacing_mm() const;  ///< lengths of the affine's columns
  Eigen::Vector3d to_world(const Eigen::Vector3d& voxel) const;
  Eigen::Vector3d to_voxel(const Eigen::Vector3d& world) const;
  /// Same shape and all corners nearer than `tolerance_mm` to each other.
  bool same_as(const Geometry& other, double tolerance_mm = 1e-3) const;
};

/// Which stored axis, in which sense, lies nearest to each world axis.
struct AxisOrder {
  std::array<int, 3> axis = {0, 1, 2};                  ///< stored axis nearest to R, A, S
  std::array<bool, 3> flipped = {false, false, false};  ///< it runs to L, P, I
};

/// The assignment of stored axes to R, A, S with the largest sum of absolute direction cosines.
AxisOrder canonical_axes(const Geometry& geometry);
/// Geometry of the same voxels after re-ordering and flipping to the axes nearest to R, A, S.
Geometry canonical_geometry(const Geometry& geometry);

template <class T>
struct Volume {
  Geometry geometry;
  std::vector<T> voxels;

  Volume() = default;
  explicit Volume(const Geometry& g, T value = T{})
      : geometry(g), voxels(static_cast<std::size_t>(g.voxels()), value) {}

  std::size_t offset(std::int64_t x, std::int64_t y, std::int64_t z) const {
    return static_cast<std::size_t>((z * geometry.shape[1] + y) * geometry.shape[0] + x);
  }
  T& at(std::int64_t x, std::int64_t y, std::int64_t z) { return voxels[offset(x, y, z)]; }
  const T& at(std::int64_t x, std::int64_t y, std::int64_t z) const {
    return voxels[offset(x, y, z)];
  }
};

}  // namespace epvs::data
