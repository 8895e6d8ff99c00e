#include "data/prepare/registration/registration.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <itkMultiThreaderBase.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "data/prepare/registration/registration_descent.h"
#include "data/prepare/registration/registration_level.h"

namespace epvs::data {

namespace {

Eigen::Vector3d world_at(const WorkingImage& image, const Eigen::Vector3d& voxel) {
  itk::ContinuousIndex<double, 3> index;
  for (unsigned axis = 0; axis < 3; ++axis) index[axis] = voxel[axis];
  itk::Point<double, 3> point;
  image.TransformContinuousIndexToPhysicalPoint(index, point);
  return {point[0], point[1], point[2]};
}

Eigen::Vector3d centre_of_mass(const WorkingImage& image) {
  const auto region = image.GetLargestPossibleRegion();
  Eigen::Vector3d sum = Eigen::Vector3d::Zero();
  double weight = 0;
  const float* value = image.GetBufferPointer();
  for (unsigned z = 0; z < region.GetSize(2); ++z) {
    for (unsigned y = 0; y < region.GetSize(1); ++y) {
      for (unsigned x = 0; x < region.GetSize(0); ++x, ++value) {
        sum += *value * Eigen::Vector3d(x, y, z);
        weight += *value;
      }
    }
  }
  return world_at(image, sum / weight);
}

Eigen::Vector3d centre_of_view(const WorkingImage& image) {
  const auto region = image.GetLargestPossibleRegion();
  Eigen::Vector3d middle;
  for (unsigned axis = 0; axis < 3; ++axis) {
    middle[axis] = 0.5 * (static_cast<double>(region.GetSize(axis)) - 1.0);
  }
  return world_at(image, middle);
}

/// Headers, centres of view and of mass, each as it is and pitched by 15 degrees both ways.
std::vector<Eigen::Matrix4d> starts(const Level& level) {
  const Eigen::Vector3d fixed_view = centre_of_view(*level.fixed);
  const Eigen::Vector3d shifts[] = {Eigen::Vector3d::Zero(),
                                    centre_of_view(*level.moving) - fixed_view,
                                    centre_of_mass(*level.moving) - centre_of_mass(*level.fixed)};
  std::vector<Eigen::Matrix4d> all;
  for (const Eigen::Vector3d& shift : shifts) {
    for (const double pitch : {0.0, -0.26, 0.26}) {
      const Eigen::Matrix3d turn =
          Eigen::AngleAxisd(pitch, Eigen::Vector3d::UnitX()).toRotationMatrix();
      Eigen::Matrix4d start = Eigen::Matrix4d::Identity();
      start.topLeftCorner<3, 3>() = turn;
      start.topRightCorner<3, 1>() = fixed_view + shift - turn * fixed_view;
      all.push_back(start);
    }
  }
  return all;
}

std::int64_t samples_at(const RegistrationOptions& options, std::size_t level) {
  return level == 0 ? std::min<std::int64_t>(options.samples, 10000) : options.samples;
}

}  // namespace

void RegistrationOptions::validate() const {
  const auto require = [](bool holds, const std::string& what) {
    if (!holds) throw core::UsageError("registration: " + what);
  };
  require(!level_spacing_mm.empty(), "level_spacing_mm has no level; expected coarse to fine");
  for (const double spacing : level_spacing_mm) {
    require(spacing >= 0, fmt::format("level_spacing_mm = {}; expected >= 0", spacing));
  }
  require(samples >= 1000, fmt::format("samples = {}; expected >= 1000", samples));
  require(bins >= 8, fmt::format("bins = {}; expected >= 8", bins));
  require(iterations >= 1, fmt::format("iterations = {}; expected >= 1", iterations));
}

RegistrationResult register_volumes(const Volume<float>& fixed, const Volume<float>& moving,
                                    const RegistrationOptions& options) {
  options.validate();
  RegistrationResult result;
  std::optional<Eigen::Matrix4d> matrix;
  const std::size_t levels = options.level_spacing_mm.size();
  for (std::size_t i = 0; i < levels; ++i) {
    const Level level = make_level(fixed, moving, options.level_spacing_mm[i],
                                   samples_at(options, i), options.seed + i);
    // The scale of the search: the working grid's, or 1 mm on the scans' own grids.
    const double spacing = options.level_spacing_mm[i] > 0 ? options.level_spacing_mm[i] : 1.0;
    const Eigen::Vector3d centre = centre_of_view(*level.fixed);
    const bool last = i + 1 == levels;
    if (!matrix) {
      double best = 0;
      for (const Eigen::Matrix4d& start : starts(level)) {
        const Descent run =
            descend(level, Motion::kRigid, start, centre, options, spacing, 0.05 * spacing);
        result.evaluations += run.evaluations;
        const double score = std::isfinite(run.value) ? -run.value * run.overlap : 0.0;
        if (score > best) {
          best = score;
          matrix = run.matrix;
        }
      }
      if (!matrix) {
        throw core::InputError("the two scans do not overlap at all, or share no information",
                               "check that both show a head and that their headers are sane");
      }
    }
    if (last)
      result.information_before =
          agreement_at(level, Eigen::Matrix4d::Identity(), centre, options.bins).information;
    const bool affine = options.motion == Motion::kAffine && (i > 0 || last);
    const auto improve = [&](const Level& at, Motion motion) {
      const Descent run =
          descend(at, motion, *matrix, centre, options, 0.5 * spacing, 0.002 * spacing);
      result.evaluations += run.evaluations;
      matrix = run.matrix;
      result.overlap = run.overlap;
    };
    if (i > 0 && !(last && affine)) improve(level, Motion::kRigid);
    if (affine) improve(level, Motion::kAffine);
    // The value has small bumps that depend on the points, where twelve parameters can get stuck:
    // other points have other bumps.
    for (std::uint64_t round = 1; last && affine && round < 3; ++round) {
      Level fresh;
      fresh.fixed = level.fixed;
      fresh.moving = level.moving;
      add_points(fresh, options.samples, options.seed + i + 1000 * round,
                 options.level_spacing_mm[i] == 0);
      improve(fresh, Motion::kAffine);
    }
    if (last) {
      result.information_after = agreement_at(level, *matrix, centre, options.bins).information;
    }
  }
  result.fixed_to_moving = *matrix;
  return result;
}

std::vector<Agreement> agreement(const Volume<float>& fixed, const Volume<float>& moving,
                                 const std::vector<Eigen::Matrix4d>& fixed_to_moving,
                                 const RegistrationOptions& options) {
  options.validate();
  const std::size_t last = options.level_spacing_mm.size() - 1;
  const Level level = make_level(fixed, moving, options.level_spacing_mm[last],
                                 samples_at(options, last), options.seed + last);
  std::vector<Agreement> all;
  for (const Eigen::Matrix4d& matrix : fixed_to_moving) {
    all.push_back(agreement_at(level, matrix, centre_of_view(*level.fixed), options.bins));
  }
  return all;
}

double mutual_information(const Volume<float>& fixed, const Volume<float>& moving,
                          const Eigen::Matrix4d& fixed_to_moving,
                          const RegistrationOptions& options) {
  return agreement(fixed, moving, {fixed_to_moving}, options).front().information;
}

void limit_registration_threads(int threads) {
  itk::MultiThreaderBase::SetGlobalDefaultNumberOfThreads(
      static_cast<itk::ThreadIdType>(std::max(1, threads)));
}

}  // namespace epvs::data
