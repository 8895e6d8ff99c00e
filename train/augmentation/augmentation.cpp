#include "train/augmentation/augmentation.h"

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "train/augmentation/resample.h"

namespace epvs::train {

namespace {

using torch::Tensor;

/// Voxel (x, y, z, 1) of the result -> its place in the volume, in voxels.
Eigen::Matrix<double, 3, 4> source_of(const SpatialTransform& transform,
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
  const Vector3d centre = (size - Vector3d::Ones()) / 2;
  Eigen::Matrix<double, 3, 4> matrix;
  const Vector3d to_voxels = flip.cwiseQuotient(spacing_mm);
  matrix.leftCols<3>() = to_voxels.asDiagonal() * rotation.transpose() * spacing_mm.asDiagonal();
  matrix.col(3) = centre - matrix.leftCols<3>() * (centre + translation);
  return matrix;
}

/// resample() for any device and type: coordinates -1..1 over the edges of the volume, as grid_sampler
/// takes them.
Tensor sampled(const Tensor& volume, const Eigen::Matrix<double, 3, 4>& source,
               const Eigen::Vector3d& size) {
  const Eigen::Vector3d centre = (size - Eigen::Vector3d::Ones()) / 2;
  const Eigen::Vector3d to_normalised = 2.0 * size.cwiseInverse();
  Eigen::Matrix<double, 3, 4> matrix;
  matrix.leftCols<3>() =
      to_normalised.asDiagonal() * source.leftCols<3>() * to_normalised.cwiseInverse().asDiagonal();
  matrix.col(3) =
      to_normalised.asDiagonal() * (source.leftCols<3>() * centre + source.col(3) - centre);
  Tensor theta = torch::empty({1, 3, 4}, torch::kDouble);
  auto values = theta.accessor<double, 3>();
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 4; ++column) values[0][row][column] = matrix(row, column);
  }
  theta = theta.to(volume.device(), volume.scalar_type());
  const Tensor grid = at::affine_grid_generator(theta, volume.sizes(), false);
  constexpr std::int64_t kLinear = 0;
  constexpr std::int64_t kZeros = 0;
  return at::grid_sampler(volume, grid, kLinear, kZeros, false);
}

Tensor flipped(const Tensor& volume, const SpatialTransform& transform) {
  std::vector<std::int64_t> dimensions;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (transform.flip[axis]) dimensions.push_back(-1 - static_cast<std::int64_t>(axis));
  }
  return dimensions.empty() ? volume : volume.flip(dimensions);
}

/// -1..1 over the centres of n voxels.
Tensor coordinates(std::int64_t n, const Tensor& like) {
  if (n == 1) return torch::zeros({1}, like.options());
  return torch::linspace(-1, 1, n, like.options());
}

Tensor bias_field(const Tensor& volume, const std::array<double, 9>& b) {
  const Tensor z = coordinates(volume.size(2), volume).view({-1, 1, 1});
  const Tensor y = coordinates(volume.size(3), volume).view({1, -1, 1});
  const Tensor x = coordinates(volume.size(4), volume).view({1, 1, -1});
  return (b[0] * x + b[1] * y + b[2] * z + b[3] * x * y + b[4] * x * z + b[5] * y * z +
          b[6] * x * x + b[7] * y * y + b[8] * z * z)
      .exp();
}

/// Multiplies `matrix` (n, n) into dimension 2 (z), 3 (y) or 4 (x) of (1, 1, Z, Y, X).
Tensor along(const Tensor& volume, const Tensor& matrix, std::int64_t dimension) {
  const Tensor m = matrix.to(volume.device(), volume.scalar_type());
  return torch::matmul(volume.transpose(dimension, 4), m.t()).transpose(dimension, 4);
}

/// Of the device of `volume`: the numbers of a GPU are others than those of the CPU.
at::Generator generator_for(const Tensor& volume, std::uint64_t seed) {
  at::Generator generator = at::globalContext().defaultGenerator(volume.device()).clone();
  generator.set_current_seed(seed);
  return generator;
}

Tensor normal_like(const Tensor& volume, at::Generator& generator) {
  return torch::empty(volume.sizes(), volume.options().dtype(torch::kFloat))
      .normal_(0, 1, generator)
      .to(volume.scalar_type());
}

Tensor apply_one(const Tensor& input, const ClinicalTransform& t,
                 const std::array<double, 3>& spacing_mm) {
  const Tensor inside = input != 0;
  Tensor volume = input;
  if (t.contrast != 1.0) {
    const Tensor voxels = inside.sum().clamp_min(1);
    const Tensor mean = volume.sum() / voxels;
    volume = ((volume - mean) * t.contrast + mean).clamp_min(0);
  }
  if (t.gamma != 1.0) volume = volume.clamp_min(0).pow(t.gamma);
  if (std::any_of(t.bias.begin(), t.bias.end(), [](double b) { return b != 0; })) {
    volume = volume * bias_field(volume, t.bias);
  }
  if (t.contrast != 1.0) volume = torch::where(inside, volume, torch::zeros_like(volume));
  if (t.blur_mm > 0) {
    for (std::int64_t axis = 0; axis < 3; ++axis) {
      volume = along(
          volume,
          blur_matrix(volume.size(4 - axis), spacing_mm[static_cast<std::size_t>(axis)], t.blur_mm),
          4 - axis);
    }
  }
  if (t.slice_thickness_mm > 0) {
    volume = along(volume,
                   slice_matrix(volume.size(2), spacing_mm[2], t.slice_thickness_mm, t.slice_gap_mm,
                                t.slice_phase),
                   2);
  }
  if (t.noise > 0) {
    at::Generator generator = generator_for(volume, t.noise_seed);
    const Tensor real = volume + t.noise * normal_like(volume, generator);
    const Tensor imaginary = t.noise * normal_like(volume, generator);
    volume = (real.square() + imaginary.square()).sqrt();
  }
  return volume.is_same(input) ? input : torch::where(inside, volume, torch::zeros_like(volume));
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

Tensor apply_spatial(const Tensor& volumes, const std::vector<SpatialTransform>& transforms,
                     const std::array<double, 3>& spacing_mm) {
  EPVS_ASSERT(volumes.dim() == 5 &&
              volumes.size(0) == static_cast<std::int64_t>(transforms.size()));
  const torch::NoGradGuard no_grad;
  const Eigen::Vector3d size(static_cast<double>(volumes.size(4)),
                             static_cast<double>(volumes.size(3)),
                             static_cast<double>(volumes.size(2)));
  const Eigen::Vector3d spacing(spacing_mm[0], spacing_mm[1], spacing_mm[2]);
  std::vector<Tensor> results;
  for (std::size_t i = 0; i < transforms.size(); ++i) {
    const Tensor volume = volumes.narrow(0, static_cast<std::int64_t>(i), 1);
    if (!transforms[i].needs_resampling()) {
      results.push_back(flipped(volume, transforms[i]));
      continue;
    }
    const auto source = source_of(transforms[i], size, spacing);
    const bool is_plain = volume.device().is_cpu() && volume.scalar_type() == torch::kFloat;
    results.push_back(is_plain ? resample(volume, source) : sampled(volume, source, size));
  }
  return torch::cat(results, 0);
}

ClinicalTransform draw_clinical(const AugmentationOptions& options, std::uint64_t seed,
                                std::int64_t epoch, const std::string& participant) {
  core::Random random(core::mix_seed(seed, {"clinical augmentation", epoch, participant}));
  ClinicalTransform transform;
  if (!options.enabled) return transform;
  // Everything is drawn in any case, so that switching one part off leaves the others as they are.
  const auto used = [&] { return random.flip(options.clinical_probability); };
  const double contrast = std::exp(options.contrast * random.uniform(-1, 1));
  if (used()) transform.contrast = contrast;
  const double gamma = std::exp(options.gamma * random.uniform(-1, 1));
  if (used()) transform.gamma = gamma;
  std::array<double, 9> bias{};
  for (double& coefficient : bias) coefficient = options.bias_field * random.uniform(-1, 1);
  if (used()) transform.bias = bias;
  const double blur = options.blur_mm * random.uniform();
  if (used()) transform.blur_mm = blur;
  const double thickness =
      random.uniform(options.slice_thickness_mm[0], options.slice_thickness_mm[1]);
  const double gap = options.slice_gap_fraction * thickness * random.uniform();
  const double phase = random.uniform();
  if (used() && options.slice_thickness_mm[1] > 0) {
    transform.slice_thickness_mm = thickness;
    transform.slice_gap_mm = gap;
    transform.slice_phase = phase;
  }
  const double noise = options.noise * random.uniform();
  if (used()) transform.noise = noise;
  transform.noise_seed = core::mix_seed(seed, {"noise", epoch, participant});
  return transform;
}

Tensor apply_clinical(const Tensor& volumes, const std::vector<ClinicalTransform>& transforms,
                      const std::array<double, 3>& spacing_mm) {
  EPVS_ASSERT(volumes.dim() == 5 && volumes.size(1) == 1 &&
              volumes.size(0) == static_cast<std::int64_t>(transforms.size()));
  const torch::NoGradGuard no_grad;
  std::vector<Tensor> results;
  for (std::size_t i = 0; i < transforms.size(); ++i) {
    results.push_back(
        apply_one(volumes.narrow(0, static_cast<std::int64_t>(i), 1), transforms[i], spacing_mm));
  }
  return torch::cat(results, 0);
}

Tensor slice_matrix(std::int64_t n, double spacing_mm, double thickness_mm, double gap_mm,
                    double phase) {
  EPVS_ASSERT(n > 0 && spacing_mm > 0 && thickness_mm > 0 && gap_mm >= 0);
  const double pitch = (thickness_mm + gap_mm) / spacing_mm;  // in voxels
  const double half = thickness_mm / spacing_mm / 2;
  // Slice centres cover -0.5 .. n - 0.5; a slice counts where it overlaps the volume.
  std::vector<double> centres;
  for (double centre = -0.5 + (phase - 1) * pitch; centre < static_cast<double>(n) - 0.5 + half;
       centre += pitch) {
    if (centre + half > -0.5) centres.push_back(centre);
  }
  if (centres.empty()) centres.push_back(static_cast<double>(n - 1) / 2);
  const auto slices = static_cast<std::int64_t>(centres.size());
  Tensor box = torch::zeros({slices, n}, torch::kDouble);
  Tensor back = torch::zeros({n, slices}, torch::kDouble);
  auto box_at = box.accessor<double, 2>();
  auto back_at = back.accessor<double, 2>();
  for (std::int64_t s = 0; s < slices; ++s) {
    const double centre = centres[static_cast<std::size_t>(s)];
    double sum = 0;
    for (std::int64_t z = 0; z < n; ++z) {
      const double low = std::max(static_cast<double>(z) - 0.5, centre - half);
      const double high = std::min(static_cast<double>(z) + 0.5, centre + half);
      box_at[s][z] = std::max(0.0, high - low);
      sum += box_at[s][z];
    }
    if (sum <= 0) {  // a slice in the gap of the grid: its nearest voxel
      const auto nearest = std::clamp<std::int64_t>(std::llround(centre), 0, n - 1);
      box_at[s][nearest] = sum = 1;
    }
    for (std::int64_t z = 0; z < n; ++z) box_at[s][z] /= sum;
  }
  for (std::int64_t z = 0; z < n; ++z) {
    const double position = std::clamp((static_cast<double>(z) - centres.front()) / pitch, 0.0,
                                       static_cast<double>(slices - 1));
    const auto below = std::min<std::int64_t>(static_cast<std::int64_t>(position), slices - 1);
    const double fraction = position - static_cast<double>(below);
    back_at[z][below] += 1 - fraction;
    if (fraction > 0) back_at[z][below + 1] += fraction;
  }
  return torch::matmul(back, box);
}

Tensor blur_matrix(std::int64_t n, double spacing_mm, double sigma_mm) {
  EPVS_ASSERT(n > 0 && spacing_mm > 0 && sigma_mm > 0);
  const double sigma = sigma_mm / spacing_mm;
  const auto radius = static_cast<std::int64_t>(std::floor(4 * sigma + 0.5));
  std::vector<double> kernel;
  double sum = 0;
  for (std::int64_t i = -radius; i <= radius; ++i) {
    const double distance = static_cast<double>(i) / sigma;
    kernel.push_back(std::exp(-0.5 * distance * distance));
    sum += kernel.back();
  }
  Tensor matrix = torch::zeros({n, n}, torch::kDouble);
  auto at = matrix.accessor<double, 2>();
  for (std::int64_t row = 0; row < n; ++row) {
    for (std::int64_t i = -radius; i <= radius; ++i) {
      if (row + i >= 0 && row + i < n) {
        at[row][row + i] = kernel[static_cast<std::size_t>(i + radius)] / sum;
      }
    }
  }
  return matrix;
}

}  // namespace epvs::train
