// What the deformable registration minimises: negative Mattes mutual information of a fixed set of
// sample points under a B-spline deformation, plus a penalty on bending.
//
// ITK's own metric keeps one histogram per parameter and visits all of them for each point, which
// is right for 12 parameters, not for thousands: here each point touches its 64 control points
// only. The estimate is the same (zero-order window for the fixed scan, cubic B-spline for the
// moving one, two empty bins at each end).
#pragma once

#include <Eigen/Core>
#include <vector>

#include "data/prepare/registration/deformation.h"

namespace epvs::data {

/// A scan on an isotropic grid along the world axes, values 0..1.
struct AlignedImage {
  Shape count = {0, 0, 0};
  Eigen::Vector3d origin_mm = Eigen::Vector3d::Zero();
  double spacing_mm = 1;
  std::vector<float> voxels;

  /// Trilinear value and its derivative by mm; beyond the outermost voxel centres the nearest
  /// centre's value (as ITK does); false outside the field of view.
  bool value(const Eigen::Vector3d& at, double& value, Eigen::Vector3d& gradient) const;
};

/// A point of the fixed scan, in the world of the moving one, and the fixed scan's value there.
struct DeformationSample {
  Eigen::Vector3d at;
  double fixed;  ///< 0..1
};

class DeformableObjective {
 public:
  /// `bending`: weight in nats of the mean squared second derivative of the displacement, times
  /// (20 mm)^2. Samples without a displacement are left out.
  DeformableObjective(const AlignedImage& moving, const std::vector<DeformationSample>& samples,
                      const ControlGrid& grid, int bins, double bending);

  /// At these coefficients (as Deformation::coefficients); fills `gradient` unless it is null.
  double operator()(const std::vector<double>& coefficients, std::vector<double>* gradient);
  /// Mutual information in nats at the last evaluation.
  double information() const { return information_; }
  int evaluations() const { return evaluations_; }

 private:
  struct Point {
    Eigen::Vector3d at;
    ControlWeights weights;
    int fixed_bin;
  };
  /// Where a sample went in the last evaluation.
  struct Hit {
    double term = 0;  ///< position along the bins of the moving scan
    int bin = -1;     ///< nearest lower bin; -1: outside the moving scan
    Eigen::Vector3d gradient = Eigen::Vector3d::Zero();
  };

  void fill_histogram(const Deformation& deformation);
  void add_information_gradient(std::vector<double>& gradient) const;
  double add_bending(const std::vector<double>& coefficients, std::vector<double>* gradient) const;

  const AlignedImage& moving_;
  ControlGrid grid_;
  std::vector<Point> points_;
  std::vector<Hit> hits_;
  int bins_;
  double bending_;
  std::vector<double> joint_;  ///< probability of fixed bin (rows) and moving bin (columns)
  std::vector<double> moving_marginal_;
  double inside_ = 0;
  double information_ = 0;
  int evaluations_ = 0;
};

}  // namespace epvs::data
