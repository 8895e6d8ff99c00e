#include "data/prepare/qc/sharpness.h"

#include <cmath>
#include <limits>

#include "data/formats/volume.h"

namespace epvs::data {

VoxelBox box_around(const Volume<std::uint8_t>& mask, double margin_mm) {
  const VoxelBox box = bounding_box(mask);
  if (box.empty()) return box;
  const Eigen::Vector3d spacing = mask.geometry.spacing_mm();
  const std::size_t through = slice_axis(mask.geometry);
  Shape margin = {0, 0, 0};
  for (std::size_t i = 0; i < 3; ++i) {
    if (i != through) margin[i] = std::lround(margin_mm / spacing[static_cast<Eigen::Index>(i)]);
  }
  return box.grown(margin, mask.geometry.shape);
}

double sharpness_per_mm(const Volume<float>& scan, const VoxelBox& box) {
  const double kNone = std::numeric_limits<double>::quiet_NaN();
  if (box.empty()) return kNone;
  const Eigen::Vector3d spacing = scan.geometry.spacing_mm();
  const std::size_t through = slice_axis(scan.geometry);
  double sum = 0;
  double count = 0;
  double energy[3] = {0, 0, 0};
  double pairs[3] = {0, 0, 0};
  const double origin = scan.at(box.begin[0], box.begin[1], box.begin[2]);  // keeps the sums small
  double squares = 0;
  for (std::int64_t z = box.begin[2]; z < box.end[2]; ++z) {
    for (std::int64_t y = box.begin[1]; y < box.end[1]; ++y) {
      for (std::int64_t x = box.begin[0]; x < box.end[0]; ++x) {
        const double value = static_cast<double>(scan.at(x, y, z)) - origin;
        sum += value;
        squares += value * value;
        count += 1;
        const Shape at = {x, y, z};
        for (std::size_t i = 0; i < 3; ++i) {
          if (i == through || at[i] + 1 == box.end[i]) continue;
          Shape next = at;
          ++next[i];
          const double step =
              static_cast<double>(scan.at(next[0], next[1], next[2])) - origin - value;
          energy[i] += step * step;
          pairs[i] += 1;
        }
      }
    }
  }
  const double variance = squares / count - (sum / count) * (sum / count);
  double gradient = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    if (i == through) continue;
    if (pairs[i] == 0) return kNone;
    const double h = spacing[static_cast<Eigen::Index>(i)];
    gradient += energy[i] / pairs[i] / (h * h);
  }
  if (!(variance > 1e-12 * squares / count) || gradient <= 0) return kNone;
  return std::sqrt(gradient / variance);
}

}  // namespace epvs::data
