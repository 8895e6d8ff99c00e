#include "infer/detections.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace epvs::infer {

namespace {

bool is_local_maximum(const data::Volume<float>& map, std::int64_t x, std::int64_t y,
                      std::int64_t z) {
  const float value = map.at(x, y, z);
  const data::Shape& shape = map.geometry.shape;
  for (std::int64_t dz = -1; dz <= 1; ++dz) {
    for (std::int64_t dy = -1; dy <= 1; ++dy) {
      for (std::int64_t dx = -1; dx <= 1; ++dx) {
        const std::int64_t nx = x + dx, ny = y + dy, nz = z + dz;
        if (nx < 0 || ny < 0 || nz < 0 || nx >= shape[0] || ny >= shape[1] || nz >= shape[2]) {
          continue;
        }
        if (map.at(nx, ny, nz) > value) return false;
      }
    }
  }
  return true;
}

}  // namespace

std::size_t detection_count(double score) {
  return score > 0 ? static_cast<std::size_t>(std::llround(score)) : 0;
}

std::vector<Detection> find_detections(const data::Volume<float>& map,
                                       const std::vector<float>& inside, std::size_t count,
                                       double radius_mm) {
  EPVS_ASSERT(inside.empty() || inside.size() == map.voxels.size());
  std::vector<Detection> candidates;
  const data::Shape& shape = map.geometry.shape;
  for (std::int64_t z = 0; z < shape[2]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      for (std::int64_t x = 0; x < shape[0]; ++x) {
        const std::size_t i = map.offset(x, y, z);
        if (!(map.voxels[i] > 0) || (!inside.empty() && !(inside[i] > 0))) continue;
        if (is_local_maximum(map, x, y, z)) candidates.push_back({{x, y, z}, map.voxels[i]});
      }
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Detection& a, const Detection& b) { return a.weight > b.weight; });
  const Eigen::Vector3d spacing = map.geometry.spacing_mm();
  std::vector<Detection> kept;
  for (const Detection& candidate : candidates) {
    if (kept.size() == count) break;
    const bool near = std::any_of(kept.begin(), kept.end(), [&](const Detection& higher) {
      double sum = 0;
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const auto d = static_cast<double>(candidate.voxel[axis] - higher.voxel[axis]);
        sum += std::pow(d * spacing[static_cast<Eigen::Index>(axis)], 2);
      }
      return std::sqrt(sum) < radius_mm;
    });
    if (!near) kept.push_back(candidate);
  }
  return kept;
}

}  // namespace epvs::infer
