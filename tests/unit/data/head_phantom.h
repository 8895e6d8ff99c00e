// A head as a function of world points, for registration tests: nothing is interpolated, so a scan
// of it under any motion and on any grid is exact but for the averaging over the slice.
#pragma once

#include <Eigen/Geometry>
#include <cmath>

#include "data/formats/volume.h"

namespace epvs::tests {

/// Soft step from 1 inside to 0 outside of an ellipsoid, 1.5 mm wide.
inline double ellipsoid(const Eigen::Vector3d& at, const Eigen::Vector3d& centre,
                        const Eigen::Vector3d& radii) {
  const double r = (at - centre).cwiseQuotient(radii).norm();
  return 1.0 / (1.0 + std::exp((r - 1.0) * radii.minCoeff() / 0.75));
}

/// T2-like (bright fluid) or T1-like (dark fluid) intensity of a head that is not symmetric: a cyst
/// on the left (negative x) only.
inline double head_intensity(const Eigen::Vector3d& at, bool t2_like) {
  const double scalp = ellipsoid(at, {0, 0, 0}, {76, 94, 84});
  const double skull = ellipsoid(at, {0, 0, 0}, {70, 88, 78});
  const double brain = ellipsoid(at, {0, 0, 2}, {64, 82, 70});
  const double white = ellipsoid(at, {0, -3, 6}, {50, 66, 54});
  const double fluid =
      ellipsoid(at, {11, 4, 12}, {6, 30, 9}) + ellipsoid(at, {-11, 4, 12}, {6, 30, 9}) +
      ellipsoid(at, {0, -70, -25}, {26, 9, 12}) + ellipsoid(at, {-38, 22, 10}, {9, 12, 10});
  const double nuclei =
      ellipsoid(at, {25, 8, -2}, {8, 18, 11}) + ellipsoid(at, {-25, 8, -2}, {8, 18, 11});
  return t2_like ? 40 * scalp - 35 * skull + 85 * brain - 30 * white + 110 * fluid - 15 * nuclei
                 : 90 * scalp - 85 * skull + 55 * brain + 45 * white - 80 * fluid - 20 * nuclei;
}

/// `pose`: world of this scan -> world of the head. Each voxel is the mean of `along_z` points
/// through the slice.
inline data::Volume<float> scan_head(const data::Geometry& geometry, const Eigen::Matrix4d& pose,
                                     bool t2_like, int along_z = 1) {
  data::Volume<float> scan(geometry);
  for (std::int64_t z = 0; z < geometry.shape[2]; ++z) {
    for (std::int64_t y = 0; y < geometry.shape[1]; ++y) {
      for (std::int64_t x = 0; x < geometry.shape[0]; ++x) {
        double sum = 0;
        for (int k = 0; k < along_z; ++k) {
          const double within = (k + 0.5) / along_z - 0.5;
          const Eigen::Vector3d world = geometry.to_world(
              {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z) + within});
          const Eigen::Vector3d at = (pose * world.homogeneous()).head<3>();
          sum += head_intensity(at, t2_like);
        }
        scan.at(x, y, z) = static_cast<float>(sum / along_z);
      }
    }
  }
  return scan;
}

/// A grid around the origin with RAS axes.
inline data::Geometry centred_grid(const data::Shape& shape, const Eigen::Vector3d& spacing) {
  data::Geometry geometry;
  geometry.shape = shape;
  for (int i = 0; i < 3; ++i) {
    geometry.affine(i, i) = spacing[i];
    geometry.affine(i, 3) =
        -0.5 * spacing[i] * static_cast<double>(shape[static_cast<std::size_t>(i)] - 1);
  }
  return geometry;
}

/// Turns (radians about x, y, z) and a shift in mm.
inline Eigen::Matrix4d rigid_motion(const Eigen::Vector3d& turns, const Eigen::Vector3d& shift) {
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  matrix.topLeftCorner<3, 3>() = (Eigen::AngleAxisd(turns[0], Eigen::Vector3d::UnitX()) *
                                  Eigen::AngleAxisd(turns[1], Eigen::Vector3d::UnitY()) *
                                  Eigen::AngleAxisd(turns[2], Eigen::Vector3d::UnitZ()))
                                     .toRotationMatrix();
  matrix.topRightCorner<3, 1>() = shift;
  return matrix;
}

}  // namespace epvs::tests
