#include "train/ridge.h"

#include <fmt/format.h>

#include <Eigen/Eigenvalues>
#include <cmath>

#include "core/error.h"

namespace epvs::train {

namespace {

constexpr int kPenalties = 41;
constexpr double kSmallestPenalty = 1e-6;  ///< in parts of the largest eigenvalue
constexpr double kPenaltiesPerDecade = 5;

/// The centred problem in the eigenvectors of the smaller of A'A and AA', so that many features of
/// few scans cost no more than few features of many scans.
class CentredProblem {
 public:
  CentredProblem(const Eigen::MatrixXd& features, const Eigen::VectorXd& residuals)
      : features_(features), residuals_(residuals), primal_(features.cols() <= features.rows()) {
    const Eigen::MatrixXd gram = primal_ ? Eigen::MatrixXd(features.transpose() * features)
                                         : Eigen::MatrixXd(features * features.transpose());
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);
    values_ = solver.eigenvalues().cwiseMax(0.0);
    vectors_ = solver.eigenvectors();
    projected_ = vectors_.transpose() *
                 (primal_ ? Eigen::VectorXd(features.transpose() * residuals) : residuals);
  }

  double largest_eigenvalue() const { return values_.maxCoeff(); }
  double degrees_of_freedom(double penalty) const {
    return 1 + (values_.array() / (values_.array() + penalty)).sum();
  }
  /// Weights beyond the prior.
  Eigen::VectorXd weights(double penalty) const {
    const Eigen::VectorXd solved =
        vectors_ * (projected_.array() / (values_.array() + penalty)).matrix();
    return primal_ ? solved : Eigen::VectorXd(features_.transpose() * solved);
  }
  double mean_square(const Eigen::VectorXd& weights) const {
    return (residuals_ - features_ * weights).squaredNorm() /
           static_cast<double>(residuals_.size());
  }

 private:
  const Eigen::MatrixXd& features_;
  const Eigen::VectorXd& residuals_;
  bool primal_;
  Eigen::VectorXd values_;
  Eigen::MatrixXd vectors_;
  Eigen::VectorXd projected_;
};

}  // namespace

RidgeFit fit_ridge(const Eigen::MatrixXd& features, const Eigen::VectorXd& labels,
                   const Eigen::VectorXd& prior) {
  EPVS_ASSERT(features.rows() == labels.size() && features.cols() == prior.size());
  if (labels.size() < 2) {
    throw core::InputError(
        fmt::format("a ridge regression of {} scans: at least 2 are needed", labels.size()),
        "train on more scans, or set train.output_fit = \"none\"");
  }
  if (!features.allFinite() || !labels.allFinite() || !prior.allFinite()) {
    throw core::RunError("ridge regression: a feature, label or weight is not finite",
                         "the network may be started too large: choose another network.init");
  }
  const auto n = static_cast<double>(labels.size());
  const Eigen::RowVectorXd mean = features.colwise().mean();
  const Eigen::MatrixXd centred = features.rowwise() - mean;
  const double mean_label = labels.mean();
  const Eigen::VectorXd residuals = (labels.array() - mean_label).matrix() - centred * prior;
  const CentredProblem problem(centred, residuals);

  RidgeFit best;
  best.weights = prior;
  best.degrees_of_freedom = 1;
  best.mean_square = residuals.squaredNorm() / n;
  best.gcv = best.mean_square / std::pow(1 - 1 / n, 2);
  const double unit = problem.largest_eigenvalue();
  for (int i = 0; i < kPenalties && unit > 0; ++i) {
    RidgeFit fit;
    fit.penalty = unit * kSmallestPenalty * std::pow(10.0, i / kPenaltiesPerDecade);
    fit.degrees_of_freedom = problem.degrees_of_freedom(fit.penalty);
    if (fit.degrees_of_freedom >= n) continue;
    const Eigen::VectorXd change = problem.weights(fit.penalty);
    fit.mean_square = problem.mean_square(change);
    fit.gcv = fit.mean_square / std::pow(1 - fit.degrees_of_freedom / n, 2);
    if (fit.gcv >= best.gcv) continue;
    fit.weights = prior + change;
    best = fit;
  }
  best.intercept = mean_label - mean * best.weights;
  return best;
}

}  // namespace epvs::train
