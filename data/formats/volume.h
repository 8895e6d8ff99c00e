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
  Eigen::Vector3d to_world(std::int64_t x, std::int64_t y, std::int64_t z) const {
    return to_world({static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
  }
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

/// The stored axis that runs through the slices: the one with the largest spacing; where that is
/// not 1% larger than the others, the axis nearest to inferior-superior.
std::size_t slice_axis(const Geometry& geometry);

/// A box of voxels: the first, and one past the last (x, y, z). May reach beyond a grid.
struct VoxelBox {
  Shape begin = {0, 0, 0};
  Shape end = {0, 0, 0};

  bool empty() const { return end[0] <= begin[0] || end[1] <= begin[1] || end[2] <= begin[2]; }
  Shape size() const { return {end[0] - begin[0], end[1] - begin[1], end[2] - begin[2]}; }
  /// Larger by `margin` voxels on every side, but within a grid of this shape.
  VoxelBox grown(const Shape& margin, const Shape& grid) const;
  VoxelBox grown(std::int64_t margin, const Shape& grid) const {
    return grown({margin, margin, margin}, grid);
  }
};

/// Calls visit(x, y, z) for every voxel of a grid, x fastest, as they lie in memory.
template <class Visit>
void for_each_voxel(const Shape& shape, const Visit& visit) {
  for (std::int64_t z = 0; z < shape[2]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      for (std::int64_t x = 0; x < shape[0]; ++x) visit(x, y, z);
    }
  }
}

/// The voxels of the box as a grid of their own, in the same world.
Geometry part_of(const Geometry& geometry, const VoxelBox& box);

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

/// The smallest box with all voxels above 0; empty for an empty mask.
VoxelBox bounding_box(const Volume<std::uint8_t>& mask);

/// The voxels of a box that may reach beyond the volume: zeros there. The affine follows.
template <class T>
Volume<T> crop(const Volume<T>& volume, const VoxelBox& box);

}  // namespace epvs::data
