#include "data/prepare/registration/registration.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "data/formats/resample.h"
#include "data/prepare/registration/elastix.h"

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
  for_each_voxel(grid.shape, [&](auto x, auto y, auto z) {
    points.at(x, y, z) = scan.at(x * step[0], y * step[1], z * step[2]);
  });
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

Eigen::Vector3d centre_of_gravity(const Volume<float>& scan) {
  Eigen::Vector3d sum = Eigen::Vector3d::Zero();
  double weight = 0;
  for_each_voxel(scan.geometry.shape, [&](auto x, auto y, auto z) {
    const double value = std::max(0.0, static_cast<double>(scan.at(x, y, z)));
    sum += value * Eigen::Matrix<std::int64_t, 3, 1>(x, y, z).cast<double>();
    weight += value;
  });
  return scan.geometry.to_world(weight > 0 ? Eigen::Vector3d(sum / weight) : sum);
}

/// The best of six poses: as the headers say, and with the centres of gravity one on the other, each
/// as it is and pitched by 15 degrees both ways.
Eigen::Matrix4d best_start(const Volume<float>& fixed, const Volume<float>& moving) {
  const Eigen::Vector3d centre = centre_of_gravity(fixed);
  std::vector<Eigen::Matrix4d> starts;
  for (const Eigen::Vector3d& shift :
       {Eigen::Vector3d(0, 0, 0), Eigen::Vector3d(centre_of_gravity(moving) - centre)}) {
    for (const double pitch : {0.0, -0.26, 0.26}) {
      const Eigen::Matrix3d turn =
          Eigen::AngleAxisd(pitch, Eigen::Vector3d::UnitX()).toRotationMatrix();
      Eigen::Matrix4d start = Eigen::Matrix4d::Identity();
      start.topLeftCorner<3, 3>() = turn;
      start.topRightCorner<3, 1>() = centre + shift - turn * centre;
      starts.push_back(start);
    }
  }
  const std::vector<Similarity> fits = similarity(fixed, moving, starts);
  const auto best =
      std::max_element(fits.begin(), fits.end(), [](const Similarity& a, const Similarity& b) {
        return a.information * a.overlap < b.information * b.overlap;
      });
  return starts[static_cast<std::size_t>(best - fits.begin())];
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

RegistrationResult register_volumes(const Volume<float>& fixed, const Volume<float>& moving,
                                    Motion motion) {
  const ElastixFolder folder;
  RegistrationResult result;
  Eigen::Matrix4d& matrix = result.fixed_to_moving;
  matrix = best_start(fixed, moving);
  folder.write("start.txt", linear_transform_text(matrix));
  folder.write("fixed.nii", fixed);
  folder.write("moving.nii", moving);
  folder.write("rigid.txt", rigid_parameters(fixed.geometry, moving.geometry));
  std::vector<std::string> stages = {"-t0", "start.txt", "-p", "rigid.txt"};
  if (motion == Motion::kAffine) {
    folder.write("affine.txt", affine_parameters(fixed.geometry, moving.geometry));
    stages.insert(stages.end(), {"-p", "affine.txt"});
  }
  folder.run_elastix(stages);
  matrix = read_linear_transform(folder / "TransformParameters.0.txt") * matrix;
  if (motion == Motion::kAffine) {
    matrix = read_linear_transform(folder / "TransformParameters.1.txt") * matrix;
  }
  const std::vector<Similarity> fits =
      similarity(fixed, moving, {Eigen::Matrix4d::Identity(), matrix});
  result.information_before = fits[0].information;
  result.information_after = fits[1].information;
  result.overlap = fits[1].overlap;
  return result;
}

RegistrationResult register_mirrored(const Volume<float>& fixed, const Volume<float>& moving) {
  Volume<float> mirror = moving;
  mirror.geometry.affine.row(0) *= -1.0;
  return register_volumes(fixed, mirror, Motion::kRigid);
}

SidesFit fit_of_sides(const Volume<float>& fixed, const Volume<float>& moving,
                      const Eigen::Matrix4d& fixed_to_moving, const RegistrationResult& mirrored) {
  return {mutual_information(fixed, moving, fixed_to_moving), mirrored.information_after};
}

std::optional<std::string> doubt_of(const SidesFit& fit) {
  if (fit.ratio() >= kSamePersonRatio) return std::nullopt;
  const std::string numbers =
      fmt::format("mutual information {:.3f} nats, with its mirror image {:.3f}", fit.information,
                  fit.mirrored);
  if (fit.ratio() <= 1.0 / kSamePersonRatio) {
    return fmt::format(
        "the T1w fits better when it is mirrored ({}): one of the two headers has left and right "
        "exchanged",
        numbers);
  }
  return fmt::format(
      "the T1w fits no better than its mirror image ({}): different people, or a failed "
      "registration",
      numbers);
}

}  // namespace epvs::data
