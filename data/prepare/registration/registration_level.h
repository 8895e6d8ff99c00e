// One level of a registration: both scans on their working grids, the sample points, and the
// negative Mattes mutual information there as a function of the motion's parameters in millimetres.
#pragma once

#include "data/prepare/registration/working_grid.h"

#include <itkMatrixOffsetTransformBase.h>
#include <itkMattesMutualInformationImageToImageMetricv4.h>
#include <itkPointSet.h>

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "data/prepare/registration/registration.h"

namespace epvs::data {

/// On one thread: several add their histogram derivatives in the order in which they finish, so
/// equal calls give unequal last digits. ITK's SetMaximumNumberOfWorkUnits does not reach the work
/// units (5.2).
class MattesMetric
    : public itk::MattesMutualInformationImageToImageMetricv4<WorkingImage, WorkingImage,
                                                              WorkingImage, double> {
 public:
  using Self = MattesMetric;
  using Superclass = itk::MattesMutualInformationImageToImageMetricv4<WorkingImage, WorkingImage,
                                                                      WorkingImage, double>;
  using Pointer = itk::SmartPointer<Self>;
  itkNewMacro(Self);

 protected:
  MattesMetric() {
    this->m_SparseGetValueAndDerivativeThreader->SetNumberOfWorkUnits(1);
    this->m_DenseGetValueAndDerivativeThreader->SetNumberOfWorkUnits(1);
  }
};
using SamplePoints = itk::PointSet<float, 3>;
using LinearBase = itk::MatrixOffsetTransformBase<double, 3, 3>;

/// Both scans of one level, and the points of the fixed one where they are compared.
struct Level {
  WorkingImage::Pointer fixed;
  WorkingImage::Pointer moving;
  SamplePoints::Pointer points;
  std::size_t count = 0;
};

/// Adds about `wanted` points: a regular lattice over the fixed scan, equally dense in mm, each
/// moved at random within its cell. On the scan's own grid the points are voxel centres, where
/// nothing is interpolated.
void add_points(Level& level, std::int64_t wanted, std::uint64_t seed, bool own_grid);

/// `spacing_mm` 0: the scans' own grids.
Level make_level(const Volume<float>& fixed, const Volume<float>& moving, double spacing_mm,
                 std::int64_t samples, std::uint64_t seed);

Eigen::Matrix4d to_matrix(const LinearBase& transform);

/// Negative mutual information as a function of parameters in mm (root-mean-square motion of the
/// sample points per unit of each parameter), and its gradient. The origin is `start`; the centre
/// of rotation is `centre`, in the world of the fixed scan.
class Objective {
 public:
  Objective(const Level& level, Motion motion, const Eigen::Matrix4d& start,
            const Eigen::Vector3d& centre, int bins);

  Eigen::Index size() const { return origin_.size(); }
  Eigen::Matrix4d matrix() const { return to_matrix(*transform_); }
  int evaluations() const { return evaluations_; }
  /// Share of the points that fall into the moving scan, at the last evaluation.
  double overlap() const;
  /// Infinity where less than a quarter of the points overlap: few points have much "information".
  double operator()(const Eigen::VectorXd& x, Eigen::VectorXd& gradient);

 private:
  const Level& level_;
  LinearBase::Pointer transform_;
  MattesMetric::Pointer metric_;
  Eigen::VectorXd units_;
  Eigen::VectorXd origin_;
  int evaluations_ = 0;
};

/// Under a transform; no information where too few points overlap.
Agreement agreement_at(const Level& level, const Eigen::Matrix4d& matrix,
                       const Eigen::Vector3d& centre, int bins);

}  // namespace epvs::data
