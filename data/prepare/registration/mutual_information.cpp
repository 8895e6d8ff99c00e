#include "data/prepare/registration/mutual_information.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "data/formats/resample.h"

namespace epvs::data {

namespace {

constexpr double kPointSpacingMm = 2.0;
constexpr std::size_t kBins = 32;
constexpr double kLeastOverlap = 0.25;  ///< few points have much "information"

/// Every n-th voxel along each axis, about kPointSpacingMm apart.
Volume<float> thinned(const Volume<float>& scan) {
  const Eigen::Vector3d spacing = scan.geometry.spacing_mm();
  std::array<std::int64_t, 3> step{};
  Geometry grid = scan.geometry;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto column = static_cast<Eigen::Index>(axis);
    step[axis] = std::max<std::int64_t>(1, std::llround(kPointSpacingMm / spacing[column]));
    grid.shape[axis] = (scan.geometry.shape[axis] - 1) / step[axis] + 1;
    grid.affine.col(column) *= static_cast<double>(step[axis]);
  }
  Volume<float> points(grid);
  for (std::int64_t z = 0; z < grid.shape[2]; ++z) {
    for (std::int64_t y = 0; y < grid.shape[1]; ++y) {
      for (std::int64_t x = 0; x < grid.shape[0]; ++x) {
        points.at(x, y, z) = scan.at(x * step[0], y * step[1], z * step[2]);
      }
    }
  }
  return points;
}

/// The intensities of a scan that the histogram tells apart.
class Window {
 public:
  explicit Window(std::vector<float> values) {
    const auto percentile = [&values](double share) {
      const auto at = values.begin() +
                      static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
      std::nth_element(values.begin(), at, values.end());
      return *at;
    };
    low_ = percentile(0.005);
    high_ = percentile(0.995);
    if (high_ > low_) return;
    throw core::InputError("the scan has the same intensity nearly everywhere",
                           "registration needs a scan that shows a head");
  }
  std::size_t bin(float value) const {
    const float share = (std::clamp(value, low_, high_) - low_) / (high_ - low_);
    return std::min(kBins - 1, static_cast<std::size_t>(share * static_cast<float>(kBins)));
  }

 private:
  float low_ = 0;
  float high_ = 1;
};

/// sum p(f, m) log(p(f, m) / (p(f) p(m))) of the counts, fixed bins in rows.
double information_of(const std::vector<double>& counts) {
  std::array<double, kBins> rows{};
  std::array<double, kBins> columns{};
  double all = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    rows[i / kBins] += counts[i];
    columns[i % kBins] += counts[i];
    all += counts[i];
  }
  double information = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    information +=
        counts[i] / all * std::log(counts[i] * all / (rows[i / kBins] * columns[i % kBins]));
  }
  return information;
}

}  // namespace

std::vector<Similarity> similarity(const Volume<float>& fixed, const Volume<float>& moving,
                                   const std::vector<Eigen::Matrix4d>& fixed_to_moving) {
  const Volume<float> points = thinned(fixed);
  const Window fixed_window(points.voxels);
  const Window moving_window(thinned(moving).voxels);
  std::vector<Similarity> all;
  for (const Eigen::Matrix4d& matrix : fixed_to_moving) {
    const Volume<float> values = resample(moving, points.geometry, Interpolation::kLinear, matrix);
    const Volume<std::uint8_t> inside = field_of_view(moving.geometry, points.geometry, matrix);
    std::vector<double> counts(kBins * kBins, 0.0);
    double used = 0;
    for (std::size_t i = 0; i < points.voxels.size(); ++i) {
      if (inside.voxels[i] == 0) continue;
      counts[fixed_window.bin(points.voxels[i]) * kBins + moving_window.bin(values.voxels[i])] += 1;
      used += 1;
    }
    const double overlap = used / static_cast<double>(points.voxels.size());
    all.push_back({overlap < kLeastOverlap ? 0.0 : information_of(counts), overlap});
  }
  return all;
}

double mutual_information(const Volume<float>& fixed, const Volume<float>& moving,
                          const Eigen::Matrix4d& fixed_to_moving) {
  return similarity(fixed, moving, {fixed_to_moving}).front().information;
}

}  // namespace epvs::data
