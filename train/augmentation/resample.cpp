#include "train/augmentation/resample.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace epvs::train {

namespace {

using Index3 = std::array<std::int64_t, 3>;  ///< x, y, z

/// The voxels of one channel that are not zero, in a box with a border of zeros.
class Box {
 public:
  Box(const float* volume, const Index3& size) {
    Index3 last = {-1, -1, -1};
    first_ = size;
    for (std::int64_t z = 0; z < size[2]; ++z) {
      for (std::int64_t y = 0; y < size[1]; ++y) {
        const float* row = volume + (z * size[1] + y) * size[0];
        const float* end = row + size[0];
        const float* begin = std::find_if(row, end, [](float v) { return v != 0; });
        if (begin == end) continue;
        while (*(end - 1) == 0) --end;
        const Index3 low = {begin - row, y, z};
        const Index3 high = {end - 1 - row, y, z};
        for (std::size_t axis = 0; axis < 3; ++axis) {
          first_[axis] = std::min(first_[axis], low[axis]);
          last[axis] = std::max(last[axis], high[axis]);
        }
      }
    }
    if (last[2] < 0) return;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      first_[axis] -= 1;
      size_[axis] = last[axis] - first_[axis] + 2;
    }
    voxels_.assign(static_cast<std::size_t>(size_[0] * size_[1] * size_[2]), 0.0F);
    for (std::int64_t z = 1; z < size_[2] - 1; ++z) {
      for (std::int64_t y = 1; y < size_[1] - 1; ++y) {
        const float* row =
            volume + ((first_[2] + z) * size[1] + first_[1] + y) * size[0] + first_[0] + 1;
        std::copy_n(row, size_[0] - 2, voxels_.data() + (z * size_[1] + y) * size_[0] + 1);
      }
    }
  }

  bool empty() const { return voxels_.empty(); }
  /// A place on the volume, in voxels of the box.
  Eigen::Vector3d inside(const Eigen::Vector3d& place) const {
    return {place[0] - static_cast<double>(first_[0]), place[1] - static_cast<double>(first_[1]),
            place[2] - static_cast<double>(first_[2])};
  }
  /// Can the interpolation at `place` (of the box) be other than zero? Then all of its neighbours
  /// are in the box.
  bool sees(const Eigen::Vector3d& place) const {
    for (int axis = 0; axis < 3; ++axis) {
      const auto end = static_cast<double>(size_[static_cast<std::size_t>(axis)] - 1);
      if (!(place[axis] > 0 && place[axis] < end)) return false;
    }
    return true;
  }
  /// The range begin..end - 1 of 0..count - 1 where start + i * step sees the box.
  std::array<std::int64_t, 2> range(const Eigen::Vector3d& start, const Eigen::Vector3d& step,
                                    std::int64_t count) const {
    double low = 0;
    auto high = static_cast<double>(count - 1);
    for (int axis = 0; axis < 3; ++axis) {
      if (step[axis] == 0) continue;
      const auto end = static_cast<double>(size_[static_cast<std::size_t>(axis)] - 1);
      const double a = -start[axis] / step[axis];
      const double b = (end - start[axis]) / step[axis];
      low = std::max(low, std::min(a, b));
      high = std::min(high, std::max(a, b));
    }
    if (!(low <= high)) return {0, 0};
    auto begin = static_cast<std::int64_t>(low);
    auto end = std::min(count, static_cast<std::int64_t>(high) + 1);
    const auto seen = [&](std::int64_t i) { return sees(start + static_cast<double>(i) * step); };
    while (begin < end && !seen(begin)) ++begin;
    while (begin < end && !seen(end - 1)) --end;
    return {begin, end};
  }
  float interpolate(const Eigen::Vector3d& place) const {
    const auto x = static_cast<std::int64_t>(place[0]);
    const auto y = static_cast<std::int64_t>(place[1]);
    const auto z = static_cast<std::int64_t>(place[2]);
    const auto fx = static_cast<float>(place[0] - static_cast<double>(x));
    const auto fy = static_cast<float>(place[1] - static_cast<double>(y));
    const auto fz = static_cast<float>(place[2] - static_cast<double>(z));
    const float* corner = voxels_.data() + (z * size_[1] + y) * size_[0] + x;
    const auto between = [](float a, float b, float f) { return a + f * (b - a); };
    const auto along_x = [&](const float* v) { return between(v[0], v[1], fx); };
    const auto along_y = [&](const float* v) {
      return between(along_x(v), along_x(v + size_[0]), fy);
    };
    return between(along_y(corner), along_y(corner + size_[0] * size_[1]), fz);
  }

 private:
  Index3 first_ = {0, 0, 0};  ///< of the border, on the volume
  Index3 size_ = {0, 0, 0};
  std::vector<float> voxels_;
};

}  // namespace

torch::Tensor resample(const torch::Tensor& volume, const Eigen::Matrix<double, 3, 4>& source_of) {
  EPVS_ASSERT(volume.dim() == 5 && volume.size(0) == 1 && volume.device().is_cpu() &&
              volume.scalar_type() == torch::kFloat);
  const torch::Tensor from = volume.contiguous();
  torch::Tensor result = torch::zeros_like(from);
  const Index3 size = {from.size(4), from.size(3), from.size(2)};
  const std::int64_t voxels = size[0] * size[1] * size[2];
  const Eigen::Vector3d step = source_of.col(0);
  for (std::int64_t channel = 0; channel < from.size(1); ++channel) {
    const Box box(from.data_ptr<float>() + channel * voxels, size);
    if (box.empty()) continue;
    float* out = result.data_ptr<float>() + channel * voxels;
    at::parallel_for(0, size[2], 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t row = first * size[1]; row < last * size[1]; ++row) {
        const std::int64_t z = row / size[1];
        const Eigen::Vector4d start(0, static_cast<double>(row - z * size[1]),
                                    static_cast<double>(z), 1);
        const Eigen::Vector3d place = box.inside(source_of * start);
        const auto [begin, end] = box.range(place, step, size[0]);
        for (std::int64_t x = begin; x < end; ++x) {
          out[row * size[0] + x] = box.interpolate(place + static_cast<double>(x) * step);
        }
      }
    });
  }
  return result;
}

}  // namespace epvs::train
