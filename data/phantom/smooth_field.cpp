#include "data/phantom/smooth_field.h"

#include <algorithm>
#include <cmath>

namespace epvs::data {

SmoothField::SmoothField(core::Random& random, const Eigen::Vector3d& low,
                         const Eigen::Vector3d& high, double lattice_mm)
    : low_(low), per_mm_(1.0 / lattice_mm) {
  std::size_t count = 1;
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    size_[a] = static_cast<std::int64_t>(std::ceil((high[axis] - low[axis]) * per_mm_)) + 2;
    count *= static_cast<std::size_t>(size_[a]);
  }
  values_.resize(count);
  for (float& value : values_) value = static_cast<float>(random.normal());
}

double SmoothField::operator()(const Eigen::Vector3d& point) const {
  std::array<std::int64_t, 3> cell{};
  std::array<float, 3> weight{};
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const double position = std::clamp((point[axis] - low_[axis]) * per_mm_, 0.0,
                                       static_cast<double>(size_[a]) - 1.001);
    cell[a] = static_cast<std::int64_t>(position);
    const float t = static_cast<float>(position - static_cast<double>(cell[a]));
    weight[a] = t * t * t * (t * (t * 6.0F - 15.0F) + 10.0F);
  }
  const std::int64_t row = size_[0];
  const std::int64_t slice = size_[0] * size_[1];
  const float* v = values_.data() + cell[2] * slice + cell[1] * row + cell[0];
  const auto along_x = [&](const float* p) { return p[0] + weight[0] * (p[1] - p[0]); };
  const float a = along_x(v) + weight[1] * (along_x(v + row) - along_x(v));
  const float b = along_x(v + slice) + weight[1] * (along_x(v + slice + row) - along_x(v + slice));
  return static_cast<double>(a + weight[2] * (b - a));
}

}  // namespace epvs::data
