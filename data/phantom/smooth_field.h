// Smooth random functions of space: the phantom's deformations, folds, textures and bias fields.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <vector>

#include "core/random.h"

namespace epvs::data {

/// Standard normal values on a cubic lattice, blended by quintic weights (value noise): twice
/// differentiable, cheap to evaluate. Mean 0; the standard deviation is 1 at lattice points and
/// about 0.4 half-way between them.
class SmoothField {
 public:
  SmoothField() = default;
  /// Covers the box low..high (mm); outside it the values of the border continue.
  SmoothField(core::Random& random, const Eigen::Vector3d& low, const Eigen::Vector3d& high,
              double lattice_mm);
  double operator()(const Eigen::Vector3d& point) const;

 private:
  Eigen::Vector3d low_ = Eigen::Vector3d::Zero();
  double per_mm_ = 0;
  std::array<std::int64_t, 3> size_ = {0, 0, 0};
  std::vector<float> values_;
};

}  // namespace epvs::data
