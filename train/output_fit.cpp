#include "train/output_fit.h"

#include <fmt/format.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace epvs::train {

namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

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

/// (examples, K), double.
Eigen::MatrixXd features_of(models::Network& network, const models::VolumeSource& source,
                            const std::vector<data::Example>& examples, std::int64_t batch_size,
                            torch::Device device, const std::function<void()>& after_batch) {
  const torch::NoGradGuard no_grad;
  network.eval();
  std::vector<std::size_t> rows;
  for (const data::Example& example : examples) rows.push_back(example.row);
  models::BatchLoader loader(
      source, models::make_batches(rows, static_cast<std::size_t>(batch_size)), device);
  Eigen::MatrixXd features(static_cast<Eigen::Index>(rows.size()),
                           network.output_weight_tensor().numel());
  const torch::ScalarType type = network.parameters().front().scalar_type();
  Eigen::Index row = 0;
  while (const auto batch = loader.next()) {
    const torch::Tensor values = network.features(batch->volumes.to(device, type))
                                     .to(torch::kCPU, torch::kDouble)
                                     .contiguous();
    EPVS_ASSERT(values.dim() == 2 && values.size(1) == features.cols());
    features.middleRows(row, values.size(0)) =
        Eigen::Map<const RowMajor>(values.data_ptr<double>(), values.size(0), values.size(1));
    row += values.size(0);
    after_batch();
  }
  network.train();
  return features;
}

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

RidgeFit fit_output(models::Network& network, const models::VolumeSource& source,
                    const std::vector<data::Example>& examples, std::int64_t batch_size,
                    torch::Device device, bool keep_close,
                    const std::function<void()>& after_batch) {
  const Eigen::MatrixXd features =
      features_of(network, source, examples, batch_size, device, after_batch);
  const torch::NoGradGuard no_grad;
  torch::Tensor weight = network.output_weight_tensor();
  Eigen::VectorXd prior = Eigen::VectorXd::Zero(features.cols());
  if (keep_close) {
    const torch::Tensor now = weight.to(torch::kCPU, torch::kDouble).contiguous();
    prior = Eigen::Map<const Eigen::VectorXd>(now.data_ptr<double>(), now.numel());
  }
  Eigen::VectorXd labels(features.rows());
  std::ranges::transform(examples, labels.begin(), &data::Example::label);
  const RidgeFit fit = fit_ridge(features, labels, prior);
  weight.copy_(
      torch::from_blob(const_cast<double*>(fit.weights.data()), weight.sizes(), torch::kDouble));
  network.output_bias_tensor().fill_(fit.intercept);
  return fit;
}

}  // namespace epvs::train
