#include "data/image/registration.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <itkAffineTransform.h>
#include <itkEuler3DTransform.h>
#include <itkMattesMutualInformationImageToImageMetricv4.h>
#include <itkMultiThreaderBase.h>
#include <itkPointSet.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "core/error.h"
#include "core/random.h"
#include "data/image/working_grid.h"

namespace epvs::data {

namespace {

/// On one thread: several add their histogram derivatives in the order in which they finish, so
/// equal calls give unequal last digits. ITK's SetMaximumNumberOfWorkUnits does not reach the work
/// units (5.2).
class Metric : public itk::MattesMutualInformationImageToImageMetricv4<WorkingImage, WorkingImage,
                                                                       WorkingImage, double> {
 public:
  using Self = Metric;
  using Superclass = itk::MattesMutualInformationImageToImageMetricv4<WorkingImage, WorkingImage,
                                                                      WorkingImage, double>;
  using Pointer = itk::SmartPointer<Self>;
  itkNewMacro(Self);

 protected:
  Metric() {
    this->m_SparseGetValueAndDerivativeThreader->SetNumberOfWorkUnits(1);
    this->m_DenseGetValueAndDerivativeThreader->SetNumberOfWorkUnits(1);
  }
};
using Points = itk::PointSet<float, 3>;
using Base = itk::MatrixOffsetTransformBase<double, 3, 3>;

/// Both scans of one level, and the points of the fixed one where they are compared.
struct Level {
  WorkingImage::Pointer fixed;
  WorkingImage::Pointer moving;
  Points::Pointer points;
  std::size_t count = 0;
};

/// A regular lattice over the fixed scan with about `wanted` points, equally dense in mm, each
/// moved at random within its cell. On the scan's own grid the points are voxel centres, where
/// nothing is interpolated.
void add_points(Level& level, std::int64_t wanted, std::uint64_t seed, bool own_grid) {
  const auto region = level.fixed->GetLargestPossibleRegion();
  const auto spacing = level.fixed->GetSpacing();
  double volume = 1;
  for (unsigned axis = 0; axis < 3; ++axis) {
    volume *= spacing[axis] * static_cast<double>(region.GetSize(axis));
  }
  const double step_mm = std::cbrt(volume / static_cast<double>(wanted));
  std::array<double, 3> step{};
  for (unsigned axis = 0; axis < 3; ++axis) step[axis] = std::max(1.0, step_mm / spacing[axis]);
  core::Random random(seed);
  level.points = Points::New();
  for (double z = 0; z < static_cast<double>(region.GetSize(2)); z += step[2]) {
    for (double y = 0; y < static_cast<double>(region.GetSize(1)); y += step[1]) {
      for (double x = 0; x < static_cast<double>(region.GetSize(0)); x += step[0]) {
        itk::ContinuousIndex<double, 3> index;
        const std::array<double, 3> start = {x, y, z};
        for (unsigned axis = 0; axis < 3; ++axis) {
          const double last = static_cast<double>(region.GetSize(axis)) - 1.0;
          const double jittered = start[axis] + random.uniform(0.0, step[axis]);
          index[axis] = std::min(last, own_grid ? std::floor(jittered) : jittered);
        }
        Points::PointType point;
        level.fixed->TransformContinuousIndexToPhysicalPoint(index, point);
        level.points->SetPoint(level.count++, point);
      }
    }
  }
}

Level make_level(const Volume<float>& fixed, const Volume<float>& moving, double spacing_mm,
                 std::int64_t samples, std::uint64_t seed) {
  Level level;
  level.fixed = working_image(fixed, spacing_mm);
  level.moving = working_image(moving, spacing_mm);
  add_points(level, samples, seed, spacing_mm == 0);
  return level;
}

Metric::Pointer make_metric(const Level& level, Base* transform, int bins) {
  auto metric = Metric::New();
  metric->SetNumberOfHistogramBins(static_cast<itk::SizeValueType>(bins));
  metric->SetFixedImage(level.fixed);
  metric->SetMovingImage(level.moving);
  metric->SetMovingTransform(transform);
  metric->SetVirtualDomainFromImage(level.fixed);
  metric->SetUseFixedImageGradientFilter(false);
  metric->SetUseMovingImageGradientFilter(false);
  metric->SetFixedSampledPointSet(level.points);
  metric->SetUseSampledPointSet(true);
  metric->Initialize();
  return metric;
}

Eigen::Matrix4d to_matrix(const Base& transform) {
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  for (unsigned row = 0; row < 3; ++row) {
    for (unsigned column = 0; column < 3; ++column) {
      matrix(row, column) = transform.GetMatrix()(row, column);
    }
    matrix(row, 3) = transform.GetOffset()[row];
  }
  return matrix;
}

/// A transform of this motion with its centre in the middle of the fixed scan.
Base::Pointer make_transform(Motion motion, const Eigen::Matrix4d& start,
                             const Eigen::Vector3d& centre) {
  Base::Pointer transform;
  if (motion == Motion::kRigid) {
    transform = itk::Euler3DTransform<double>::New();
  } else {
    transform = itk::AffineTransform<double, 3>::New();
  }
  Base::MatrixType matrix;
  Base::OutputVectorType offset;
  Base::CenterType middle;
  for (unsigned row = 0; row < 3; ++row) {
    for (unsigned column = 0; column < 3; ++column) matrix(row, column) = start(row, column);
    offset[row] = start(row, 3);
    middle[row] = centre[row];
  }
  transform->SetCenter(middle);
  transform->SetMatrix(matrix);
  transform->SetOffset(offset);
  return transform;
}

/// Root-mean-square motion in mm of the sample points per unit of each parameter.
Eigen::VectorXd parameter_units(const Base& transform, const Level& level) {
  const auto parameters = static_cast<Eigen::Index>(transform.GetNumberOfParameters());
  Eigen::VectorXd squares = Eigen::VectorXd::Zero(parameters);
  Base::JacobianType jacobian;
  const std::size_t stride = std::max<std::size_t>(1, level.count / 1000);
  double used = 0;
  for (std::size_t i = 0; i < level.count; i += stride) {
    const auto point = level.points->GetPoint(i);
    Base::InputPointType at;
    for (unsigned axis = 0; axis < 3; ++axis) at[axis] = point[axis];
    transform.ComputeJacobianWithRespectToParameters(at, jacobian);
    for (Eigen::Index p = 0; p < parameters; ++p) {
      for (unsigned axis = 0; axis < 3; ++axis) {
        const double value = jacobian(axis, static_cast<unsigned>(p));
        squares[p] += value * value;
      }
    }
    used += 1;
  }
  return (squares / used).cwiseSqrt();
}

/// Negative mutual information as a function of parameters in mm, and its gradient.
class Objective {
 public:
  Objective(const Level& level, Base::Pointer transform, int bins)
      : level_(level),
        transform_(std::move(transform)),
        metric_(make_metric(level, transform_, bins)),
        units_(parameter_units(*transform_, level)) {
    const auto& start = transform_->GetParameters();
    origin_ = Eigen::Map<const Eigen::VectorXd>(start.data_block(),
                                                static_cast<Eigen::Index>(start.Size()));
  }

  Eigen::Index size() const { return origin_.size(); }
  const Base& transform() const { return *transform_; }
  int evaluations() const { return evaluations_; }
  double overlap() const {
    return static_cast<double>(metric_->GetNumberOfValidPoints()) /
           static_cast<double>(level_.count);
  }

  /// Infinity where less than a quarter of the points overlap: few points have much "information".
  double operator()(const Eigen::VectorXd& x, Eigen::VectorXd& gradient) {
    Base::ParametersType parameters(static_cast<unsigned>(size()));
    for (Eigen::Index i = 0; i < size(); ++i) {
      parameters[static_cast<unsigned>(i)] = origin_[i] + x[i] / units_[i];
    }
    metric_->SetParameters(parameters);
    ++evaluations_;
    Metric::MeasureType value = 0;
    Metric::DerivativeType derivative(static_cast<unsigned>(size()));
    try {
      metric_->GetValueAndDerivative(value, derivative);
    } catch (const itk::ExceptionObject&) {  // no point overlaps
      return std::numeric_limits<double>::infinity();
    }
    if (overlap() < 0.25) return std::numeric_limits<double>::infinity();
    // ITK's v4 metrics give the derivative as the direction of descent.
    for (Eigen::Index i = 0; i < size(); ++i) {
      gradient[i] = -derivative[static_cast<unsigned>(i)] / units_[i];
    }
    return value;
  }

 private:
  const Level& level_;
  Base::Pointer transform_;
  Metric::Pointer metric_;
  Eigen::VectorXd units_;
  Eigen::VectorXd origin_;
  int evaluations_ = 0;
};

struct Descent {
  Eigen::Matrix4d matrix;
  double value;
  double overlap;
  int evaluations;
};

/// BFGS with backtracking (Nocedal & Wright, Numerical Optimization, algorithm 6.1). No step moves
/// the points by more than `longest_mm` (RMS); stops below `shortest_mm`.
Descent descend(const Level& level, Motion motion, const Eigen::Matrix4d& start,
                const Eigen::Vector3d& centre, const RegistrationOptions& options,
                double longest_mm, double shortest_mm) {
  Objective objective(level, make_transform(motion, start, centre), options.bins);
  const Eigen::Index n = objective.size();
  Eigen::VectorXd x = Eigen::VectorXd::Zero(n);
  Eigen::VectorXd gradient = Eigen::VectorXd::Zero(n);
  Eigen::VectorXd new_gradient = gradient;
  double value = objective(x, gradient);
  Eigen::MatrixXd inverse_hessian = Eigen::MatrixXd::Identity(n, n);
  bool scaled = false;
  for (int i = 0; i < options.iterations && std::isfinite(value); ++i) {
    Eigen::VectorXd direction = -inverse_hessian * gradient;
    if (direction.dot(gradient) >= 0) {
      inverse_hessian.setIdentity();
      scaled = false;
      direction = -gradient;
    }
    const double length = direction.norm();
    if (length == 0) break;
    double step = scaled ? std::min(1.0, longest_mm / length) : 0.5 * longest_mm / length;
    Eigen::VectorXd next = x;
    double next_value = value;
    bool improved = false;
    for (; step * length > shortest_mm; step *= 0.4) {
      next = x + step * direction;
      next_value = objective(next, new_gradient);
      improved = next_value <= value + 1e-4 * step * direction.dot(gradient);
      if (improved) break;
    }
    if (!improved) {
      if (!scaled) break;
      inverse_hessian.setIdentity();
      scaled = false;
      continue;
    }
    const Eigen::VectorXd moved = next - x;
    const Eigen::VectorXd change = new_gradient - gradient;
    const double curvature = moved.dot(change);
    if (curvature > 1e-12 * moved.norm() * change.norm()) {
      if (!scaled)
        inverse_hessian = Eigen::MatrixXd::Identity(n, n) * curvature / change.dot(change);
      scaled = true;
      const double rho = 1.0 / curvature;
      const Eigen::MatrixXd left =
          Eigen::MatrixXd::Identity(n, n) - rho * moved * change.transpose();
      inverse_hessian = left * inverse_hessian * left.transpose() + rho * moved * moved.transpose();
    }
    x = next;
    value = next_value;
    gradient = new_gradient;
    if (moved.norm() < shortest_mm) break;
  }
  value = objective(x, gradient);
  return {to_matrix(objective.transform()), value, objective.overlap(), objective.evaluations()};
}

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

double value_at(const Level& level, const Eigen::Matrix4d& matrix, const Eigen::Vector3d& centre,
                int bins) {
  Objective objective(level, make_transform(Motion::kAffine, matrix, centre), bins);
  Eigen::VectorXd gradient = Eigen::VectorXd::Zero(objective.size());
  const double value = objective(Eigen::VectorXd::Zero(objective.size()), gradient);
  return std::isfinite(value) ? -value : 0.0;
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
          value_at(level, Eigen::Matrix4d::Identity(), centre, options.bins);
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
      result.information_after = value_at(level, *matrix, centre, options.bins);
    }
  }
  result.fixed_to_moving = *matrix;
  return result;
}

double mutual_information(const Volume<float>& fixed, const Volume<float>& moving,
                          const Eigen::Matrix4d& fixed_to_moving,
                          const RegistrationOptions& options) {
  options.validate();
  const std::size_t last = options.level_spacing_mm.size() - 1;
  const Level level = make_level(fixed, moving, options.level_spacing_mm[last],
                                 samples_at(options, last), options.seed + last);
  return value_at(level, fixed_to_moving, centre_of_view(*level.fixed), options.bins);
}

void limit_registration_threads(int threads) {
  itk::MultiThreaderBase::SetGlobalDefaultNumberOfThreads(
      static_cast<itk::ThreadIdType>(std::max(1, threads)));
}

}  // namespace epvs::data
