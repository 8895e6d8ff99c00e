// The ridge regression against its own equations, and the output unit that it starts.

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "models/network.h"
#include "models/torch.h"
#include "tests/support/test_support.h"
#include "train/output_fit.h"

namespace epvs::train {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;
using tests::expect_error;

MatrixXd normal_matrix(Eigen::Index rows, Eigen::Index columns, std::uint64_t seed) {
  core::Random random(seed);
  MatrixXd matrix(rows, columns);
  for (Eigen::Index i = 0; i < rows; ++i) {
    for (Eigen::Index k = 0; k < columns; ++k) matrix(i, k) = 1 + random.normal();
  }
  return matrix;
}

/// Labels that depend on the first two features, with noise.
VectorXd noisy_labels(const MatrixXd& features, double noise, std::uint64_t seed) {
  return 3 * features.col(0) - 2 * features.col(1) +
         noise * (normal_matrix(features.rows(), 1, seed).array() - 1).matrix().col(0) +
         VectorXd::Constant(features.rows(), 7);
}

TEST(Ridge, FindsTheLineThatMadeTheLabels) {
  const MatrixXd features = normal_matrix(30, 3, 1);
  const RidgeFit fit = fit_ridge(features, noisy_labels(features, 0, 0), VectorXd::Zero(3));
  EXPECT_NEAR(fit.weights[0], 3, 1e-4);
  EXPECT_NEAR(fit.weights[1], -2, 1e-4);
  EXPECT_NEAR(fit.weights[2], 0, 1e-4);
  EXPECT_NEAR(fit.intercept, 7, 1e-4);
  EXPECT_NEAR(fit.degrees_of_freedom, 4, 1e-4);
  EXPECT_LT(fit.mean_square, 1e-8);
}

TEST(Ridge, SolvesItsEquationsWithFewAndWithManyFeatures) {
  for (const Eigen::Index columns : {4, 50}) {
    const MatrixXd features = normal_matrix(20, columns, 2);
    const VectorXd labels = noisy_labels(features, 1, 3);
    const VectorXd prior = normal_matrix(columns, 1, 4).col(0) * 0.3;
    const RidgeFit fit = fit_ridge(features, labels, prior);
    const MatrixXd centred = features.rowwise() - features.colwise().mean();
    const VectorXd residuals =
        labels - features * fit.weights - VectorXd::Constant(20, fit.intercept);
    // The gradient of the penalised sum of squares is zero.
    const VectorXd gradient =
        features.transpose() * residuals - fit.penalty * (fit.weights - prior);
    EXPECT_LT(gradient.cwiseAbs().maxCoeff(), 1e-9 * features.squaredNorm()) << columns;
    EXPECT_NEAR(residuals.sum(), 0, 1e-9);
    EXPECT_NEAR(fit.mean_square, residuals.squaredNorm() / 20, 1e-9);
    // Generalised cross-validation by its definition, and no other penalty has a smaller one.
    const auto gcv = [&](double penalty) {
      const MatrixXd hat =
          centred *
          (centred.transpose() * centred + penalty * MatrixXd::Identity(columns, columns))
              .inverse() *
          centred.transpose();
      const VectorXd start = (labels.array() - labels.mean()).matrix() - centred * prior;
      const double df = 1 + hat.trace();
      return (start - hat * start).squaredNorm() / 20 / std::pow(1 - df / 20, 2);
    };
    EXPECT_NEAR(gcv(fit.penalty), fit.gcv, 1e-6 * fit.gcv);
    const double step = std::pow(10, 0.2);
    EXPECT_GE(gcv(fit.penalty * step), fit.gcv * (1 - 1e-9));
    EXPECT_GE(gcv(fit.penalty / step), fit.gcv * (1 - 1e-9));
  }
}

TEST(Ridge, FeaturesThatAreAllZeroChangeNothing) {
  // Also takes the way through scans x scans instead of features x features.
  const MatrixXd features = normal_matrix(12, 5, 5);
  MatrixXd padded = MatrixXd::Zero(12, 40);
  padded.leftCols(5) = features;
  const VectorXd labels = noisy_labels(features, 2, 6);
  const RidgeFit few = fit_ridge(features, labels, VectorXd::Zero(5));
  const RidgeFit many = fit_ridge(padded, labels, VectorXd::Zero(40));
  EXPECT_LT((few.weights - many.weights.head(5)).norm(), 1e-9 * few.weights.norm());
  EXPECT_EQ(many.weights.tail(35).cwiseAbs().maxCoeff(), 0);
  EXPECT_NEAR(few.penalty, many.penalty, 1e-9 * few.penalty);
}

TEST(Ridge, LabelsThatHaveNothingToDoWithTheFeaturesAreHardlyFitted) {
  double explained = 0;
  constexpr int kTrials = 20;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    const MatrixXd features = normal_matrix(60, 40, 100 + trial);
    const VectorXd labels = normal_matrix(60, 1, 200 + trial).col(0);
    const RidgeFit fit = fit_ridge(features, labels, VectorXd::Zero(40));
    const double variance = (labels.array() - labels.mean()).square().mean();
    explained += (1 - fit.mean_square / variance) / kTrials;
  }
  // Least squares would explain 40/59 = 0.68 of the variance.
  EXPECT_LT(explained, 0.3);
}

TEST(Ridge, ConstantFeaturesLeaveThePriorAndTheMean) {
  const VectorXd prior = VectorXd::Constant(3, 0.5);
  const VectorXd labels = normal_matrix(9, 1, 8).col(0);
  const RidgeFit fit = fit_ridge(MatrixXd::Constant(9, 3, 2.0), labels, prior);
  EXPECT_EQ(fit.weights, prior);
  EXPECT_NEAR(fit.intercept + 3 * 2.0 * 0.5, labels.mean(), 1e-12);
  EXPECT_EQ(fit.degrees_of_freedom, 1);
}

TEST(Ridge, BadInputIsNamed) {
  expect_error<core::InputError>(
      [] { fit_ridge(MatrixXd::Ones(1, 2), VectorXd::Ones(1), VectorXd::Zero(2)); },
      {"ridge regression of 1 scans", "at least 2", "train.output_fit"});
  expect_error<core::RunError>(
      [] {
        MatrixXd features = MatrixXd::Ones(3, 2);
        features(1, 1) = std::numeric_limits<double>::quiet_NaN();
        fit_ridge(features, VectorXd::Ones(3), VectorXd::Zero(2));
      },
      {"not finite", "network.init"});
}

// ---- the output unit of a network

class OutputFit : public ::testing::TestWithParam<models::Architecture> {
 protected:
  OutputFit() : volumes_(torch::rand({14, 1, 8, 8, 8}, at::detail::createCPUGenerator(3))) {
    models::NetworkOptions options;
    options.architecture = GetParam();
    options.first_features = 4;
    if (options.architecture == models::Architecture::kMedia2019) {
      options.blocks = options.convolutions_per_block = 1;
      options.fully_connected = {6};
      options.padding = models::Padding::kSame;
    } else {
      options.pool_scale = 3;
    }
    options.init = models::Init::kHe;
    options.input_zyx = {8, 8, 8};
    network_ = models::make_network(options, 5);
    for (std::size_t row = 0; row < 14; ++row) {
      data::Example example;
      example.participant_id = "sub-" + std::to_string(row);
      example.row = 13 - row;
      examples_.push_back(example);
      labels_.push_back(static_cast<double>(row % 5));
    }
  }
  RidgeFit fit(bool keep_close) {
    for (std::size_t i = 0; i < labels_.size(); ++i) examples_[i].label = labels_[i];
    return fit_output(*network_, models::MemorySource(volumes_), examples_, 4, torch::kCPU,
                      keep_close);
  }
  /// In the order of the examples.
  torch::Tensor scores() const {
    const torch::NoGradGuard no_grad;
    return network_->forward(volumes_.flip(0)).to(torch::kDouble);
  }
  torch::Tensor volumes_;
  std::shared_ptr<models::Network> network_;
  std::vector<data::Example> examples_;
  std::vector<double> labels_;
};

TEST_P(OutputFit, ScoreIsFeaturesTimesWeightsPlusBias) {
  const torch::NoGradGuard no_grad;
  network_->output_bias_tensor().fill_(1.5);
  const torch::Tensor features = network_->features(volumes_);
  const torch::Tensor expected =
      features.matmul(network_->output_weight_tensor().flatten()) + network_->output_bias();
  EXPECT_TRUE(torch::allclose(network_->forward(volumes_), expected, 1e-5, 1e-5));
}

TEST_P(OutputFit, GivesTheResidualsOfTheRegressionAndChangesNothingElse) {
  const auto parameters = network_->named_parameters();
  std::map<std::string, torch::Tensor> before;
  for (const auto& item : parameters) before[item.key()] = item.value().detach().clone();
  const RidgeFit first = fit(false);
  const torch::Tensor residuals = scores() - torch::tensor(labels_, torch::kDouble);
  EXPECT_NEAR(residuals.square().mean().item<double>(), first.mean_square, 1e-3);
  EXPECT_NEAR(residuals.mean().item<double>(), 0, 1e-4);
  for (const auto& item : parameters) {
    const bool is_output = item.value().is_same(network_->output_weight_tensor()) ||
                           item.value().is_same(network_->output_bias_tensor());
    EXPECT_EQ(torch::equal(item.value(), before[item.key()]), !is_output) << item.key();
  }
  const torch::Tensor weights = network_->output_weight_tensor().detach().clone();
  fit(false);
  EXPECT_TRUE(torch::equal(network_->output_weight_tensor(), weights)) << "fitting again";
}

TEST_P(OutputFit, KeepsTrainedWeightsThatFitAlready) {
  const torch::Tensor now = scores();
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    labels_[i] = now[static_cast<std::int64_t>(i)].item<double>() + 2;
  }
  const torch::Tensor weights = network_->output_weight_tensor().detach().clone();
  const double bias = network_->output_bias();
  fit(true);
  EXPECT_TRUE(torch::allclose(network_->output_weight_tensor(), weights, 1e-4, 1e-4));
  EXPECT_NEAR(network_->output_bias(), bias + 2, 1e-3) << "all labels are 2 higher";
  fit(false);
  EXPECT_LE(network_->output_weight_tensor().norm().item<double>(),
            weights.norm().item<double>() * 1.001)
      << "without it the penalty pulls towards zero";
}

INSTANTIATE_TEST_SUITE_P(Networks, OutputFit,
                         testing::Values(models::Architecture::kMedia2019,
                                         models::Architecture::kCnn4,
                                         models::Architecture::kGpUnet));

}  // namespace
}  // namespace epvs::train
