#include "data/prepare/registration/registration_level.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <itkAffineTransform.h>
#include <itkEuler3DTransform.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/random.h"

namespace epvs::data {

namespace {

MattesMetric::Pointer make_metric(const Level& level, LinearBase* transform, int bins) {
  auto metric = MattesMetric::New();
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

/// A transform of this motion with its centre in the middle of the fixed scan.
LinearBase::Pointer make_transform(Motion motion, const Eigen::Matrix4d& start,
                                   const Eigen::Vector3d& centre) {
  LinearBase::Pointer transform;
  if (motion == Motion::kRigid) {
    transform = itk::Euler3DTransform<double>::New();
  } else {
    transform = itk::AffineTransform<double, 3>::New();
  }
  LinearBase::MatrixType matrix;
  LinearBase::OutputVectorType offset;
  LinearBase::CenterType middle;
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
Eigen::VectorXd parameter_units(const LinearBase& transform, const Level& level) {
  const auto parameters = static_cast<Eigen::Index>(transform.GetNumberOfParameters());
  Eigen::VectorXd squares = Eigen::VectorXd::Zero(parameters);
  LinearBase::JacobianType jacobian;
  const std::size_t stride = std::max<std::size_t>(1, level.count / 1000);
  double used = 0;
  for (std::size_t i = 0; i < level.count; i += stride) {
    const auto point = level.points->GetPoint(i);
    LinearBase::InputPointType at;
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

}  // namespace

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
  level.points = SamplePoints::New();
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
        SamplePoints::PointType point;
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

Eigen::Matrix4d to_matrix(const LinearBase& transform) {
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  for (unsigned row = 0; row < 3; ++row) {
    for (unsigned column = 0; column < 3; ++column) {
      matrix(row, column) = transform.GetMatrix()(row, column);
    }
    matrix(row, 3) = transform.GetOffset()[row];
  }
  return matrix;
}

Objective::Objective(const Level& level, Motion motion, const Eigen::Matrix4d& start,
                     const Eigen::Vector3d& centre, int bins)
    : level_(level),
      transform_(make_transform(motion, start, centre)),
      metric_(make_metric(level, transform_, bins)),
      units_(parameter_units(*transform_, level)) {
  const auto& values = transform_->GetParameters();
  origin_ = Eigen::Map<const Eigen::VectorXd>(values.data_block(),
                                              static_cast<Eigen::Index>(values.Size()));
}

double Objective::overlap() const {
  return static_cast<double>(metric_->GetNumberOfValidPoints()) / static_cast<double>(level_.count);
}

double Objective::operator()(const Eigen::VectorXd& x, Eigen::VectorXd& gradient) {
  LinearBase::ParametersType parameters(static_cast<unsigned>(size()));
  for (Eigen::Index i = 0; i < size(); ++i) {
    parameters[static_cast<unsigned>(i)] = origin_[i] + x[i] / units_[i];
  }
  metric_->SetParameters(parameters);
  ++evaluations_;
  MattesMetric::MeasureType value = 0;
  MattesMetric::DerivativeType derivative(static_cast<unsigned>(size()));
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

Agreement agreement_at(const Level& level, const Eigen::Matrix4d& matrix,
                       const Eigen::Vector3d& centre, int bins) {
  Objective objective(level, Motion::kAffine, matrix, centre, bins);
  Eigen::VectorXd gradient = Eigen::VectorXd::Zero(objective.size());
  const double value = objective(Eigen::VectorXd::Zero(objective.size()), gradient);
  if (!std::isfinite(value)) return {};
  return {-value, objective.overlap()};
}

}  // namespace epvs::data
