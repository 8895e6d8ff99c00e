#include "train/output_fit.h"

#include "core/error.h"

namespace epvs::train {

namespace {

/// (examples, K), double.
Eigen::MatrixXd features_of(models::Network& network, const models::VolumeSource& source,
                            const std::vector<Example>& examples, std::int64_t batch_size,
                            torch::Device device, const std::function<void()>& after_batch) {
  const torch::NoGradGuard no_grad;
  network.eval();
  std::vector<std::size_t> rows;
  for (const Example& example : examples) rows.push_back(example.row);
  models::BatchLoader loader(source,
                             models::make_batches(rows, static_cast<std::size_t>(batch_size)));
  Eigen::MatrixXd features(static_cast<Eigen::Index>(rows.size()),
                           network.output_weight_tensor().numel());
  const torch::ScalarType type = network.parameters().front().scalar_type();
  Eigen::Index row = 0;
  while (const auto batch = loader.next()) {
    const torch::Tensor values = network.features(batch->volumes.to(device, type))
                                     .to(torch::kCPU, torch::kDouble)
                                     .contiguous();
    EPVS_ASSERT(values.dim() == 2 && values.size(1) == features.cols());
    const auto numbers = values.accessor<double, 2>();
    for (std::int64_t i = 0; i < values.size(0); ++i, ++row) {
      for (std::int64_t k = 0; k < values.size(1); ++k) features(row, k) = numbers[i][k];
    }
    after_batch();
  }
  network.train();
  return features;
}

}  // namespace

RidgeFit fit_output(models::Network& network, const models::VolumeSource& source,
                    const std::vector<Example>& examples, const std::vector<double>& labels,
                    std::int64_t batch_size, torch::Device device, bool keep_close,
                    const std::function<void()>& after_batch) {
  const Eigen::MatrixXd features =
      features_of(network, source, examples, batch_size, device, after_batch);
  const torch::NoGradGuard no_grad;
  torch::Tensor weight = network.output_weight_tensor();
  Eigen::VectorXd prior = Eigen::VectorXd::Zero(features.cols());
  if (keep_close) {
    const torch::Tensor now = weight.to(torch::kCPU, torch::kDouble).flatten();
    for (std::int64_t k = 0; k < now.numel(); ++k) prior[k] = now[k].item<double>();
  }
  const RidgeFit fit = fit_ridge(
      features,
      Eigen::Map<const Eigen::VectorXd>(labels.data(), static_cast<Eigen::Index>(labels.size())),
      prior);
  torch::Tensor fitted = torch::empty({1, fit.weights.size()}, torch::kDouble);
  auto numbers = fitted.accessor<double, 2>();
  for (Eigen::Index k = 0; k < fit.weights.size(); ++k) numbers[0][k] = fit.weights[k];
  weight.copy_(fitted.view_as(weight));
  network.output_bias_tensor().fill_(fit.intercept);
  return fit;
}

}  // namespace epvs::train
