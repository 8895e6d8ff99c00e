#include "train/augmentation/augmentation.h"

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <algorithm>

#include "core/error.h"
#include "core/random.h"

namespace epvs::train {

namespace {

/// Output position -> source position, both in grid_sample's coordinates (-1..1 over the edges of
/// the volume, x y z), as a 3x4 matrix.
Eigen::Matrix<double, 3, 4> sampling_matrix(const SpatialTransform& transform,
                                            const Eigen::Vector3d& size,
                                            const Eigen::Vector3d& spacing_mm) {
  using Eigen::AngleAxisd;
  using Eigen::Vector3d;
  const Eigen::Matrix3d rotation = (AngleAxisd(transform.rotation_rad[2], Vector3d::UnitZ()) *
                                    AngleAxisd(transform.rotation_rad[1], Vector3d::UnitY()) *
                                    AngleAxisd(transform.rotation_rad[0], Vector3d::UnitX()))
                                       .toRotationMatrix();
  Vector3d flip;
  Vector3d translation;
  for (int axis = 0; axis < 3; ++axis) {
    flip[axis] = transform.flip[static_cast<std::size_t>(axis)] ? -1 : 1;
    translation[axis] = transform.translation_voxels[static_cast<std::size_t>(axis)];
  }
  const Eigen::Matrix3d voxel_rotation =
      spacing_mm.cwiseInverse().asDiagonal() * rotation.transpose() * spacing_mm.asDiagonal();
  const Vector3d to_normalised = 2.0 * size.cwiseInverse();
  const Eigen::Matrix3d linear = flip.asDiagonal() * voxel_rotation;
  Eigen::Matrix<double, 3, 4> matrix;
  matrix.leftCols<3>() =
      to_normalised.asDiagonal() * linear * to_normalised.cwiseInverse().asDiagonal();
  matrix.col(3) = -(to_normalised.asDiagonal() * (linear * translation));
  return matrix;
}

torch::Tensor flipped(const torch::Tensor& volume, const SpatialTransform& transform) {
  std::vector<std::int64_t> dimensions;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (transform.flip[axis]) dimensions.push_back(-1 - static_cast<std::int64_t>(axis));
  }
  return dimensions.empty() ? volume : volume.flip(dimensions);
}

}  // namespace

bool SpatialTransform::needs_resampling() const {
  const auto is_zero = [](double value) { return value == 0; };
  return !std::all_of(rotation_rad.begin(), rotation_rad.end(), is_zero) ||
         !std::all_of(translation_voxels.begin(), translation_voxels.end(), is_zero);
}

SpatialTransform draw_spatial(const AugmentationOptions& options, std::uint64_t seed,
                              std::int64_t epoch, const std::string& participant) {
  core::Random random(core::mix_seed(seed, {"augmentation", epoch, participant}));
  SpatialTransform transform;
  if (!options.enabled) return transform;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    // Drawn for every axis, so that switching one flip off leaves the other draws as they are.
    const bool flip = random.flip(options.flip_probability);
    const auto axis_flip = static_cast<Flip>(axis);
    transform.flip[axis] =
        flip && std::ranges::find(options.flips, axis_flip) != options.flips.end();
    transform.rotation_rad[axis] = options.rotation_rad * random.uniform(-1, 1);
    transform.translation_voxels[axis] = options.translation_voxels * random.uniform(-1, 1);
  }
  return transform;
}

torch::Tensor apply_spatial(const torch::Tensor& volumes,
                            const std::vector<SpatialTransform>& transforms,
                            const std::array<double, 3>& spacing_mm) {
  EPVS_ASSERT(volumes.dim() == 5 &&
              volumes.size(0) == static_cast<std::int64_t>(transforms.size()));
  const torch::NoGradGuard no_grad;
  const Eigen::Vector3d size(static_cast<double>(volumes.size(4)),
                             static_cast<double>(volumes.size(3)),
                             static_cast<double>(volumes.size(2)));
  const Eigen::Vector3d spacing(spacing_mm[0], spacing_mm[1], spacing_mm[2]);
  std::vector<torch::Tensor> results;
  for (std::size_t i = 0; i < transforms.size(); ++i) {
    const torch::Tensor volume = volumes.narrow(0, static_cast<std::int64_t>(i), 1);
    if (!transforms[i].needs_resampling()) {
      results.push_back(flipped(volume, transforms[i]));
      continue;
    }
    const auto matrix = sampling_matrix(transforms[i], size, spacing);
    torch::Tensor theta = torch::empty({1, 3, 4}, torch::kDouble);
    auto values = theta.accessor<double, 3>();
    for (int row = 0; row < 3; ++row) {
      for (int column = 0; column < 4; ++column) values[0][row][column] = matrix(row, column);
    }
    theta = theta.to(volume.device(), volume.scalar_type());
    const torch::Tensor grid = at::affine_grid_generator(theta, volume.sizes(), false);
    constexpr std::int64_t kLinear = 0;
    constexpr std::int64_t kZeros = 0;
    results.push_back(at::grid_sampler(volume, grid, kLinear, kZeros, false));
  }
  return torch::cat(results, 0);
}

}  // namespace epvs::train
