#include "train/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "train/loss.h"
#include "train/training_step.h"

namespace epvs::train {

ValidationMetrics validation_metrics(const std::vector<double>& scores,
                                     const std::vector<double>& labels) {
  EPVS_ASSERT(scores.size() == labels.size());
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  ValidationMetrics result{scores.size(), kNaN, kNaN, kNaN, kNaN, kNaN};
  if (scores.empty()) return result;
  const double n = static_cast<double>(scores.size());
  double score_mean = 0;
  double label_mean = 0;
  double absolute = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    score_mean += scores[i] / n;
    label_mean += labels[i] / n;
    absolute += std::abs(scores[i] - labels[i]);
  }
  result.mae = absolute / n;
  if (scores.size() < 2) return result;
  double ss = 0;
  double ll = 0;
  double sl = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double s = scores[i] - score_mean;
    const double l = labels[i] - label_mean;
    ss += s * s;
    ll += l * l;
    sl += s * l;
  }
  result.score_sd = std::sqrt(ss / (n - 1));
  result.label_sd = std::sqrt(ll / (n - 1));
  if (ss > 0 && ll > 0) result.pearson = sl / std::sqrt(ss * ll);
  // Two-way analysis of variance with k = 2 raters: mean squares of rows, columns and error.
  const double shift = score_mean - label_mean;
  const double rows = (ss + ll + 2 * sl) / 2 / (n - 1);
  const double columns = n * shift * shift / 2;
  const double error = (ss + ll - 2 * sl) / 2 / (n - 1);
  const double denominator = rows + error + 2 * (columns - error) / n;
  if (denominator != 0) result.icc2 = (rows - error) / denominator;
  return result;
}

std::vector<double> labels_of(const std::vector<data::Example>& examples) {
  std::vector<double> labels;
  for (const data::Example& example : examples) labels.push_back(example.label);
  return labels;
}

std::vector<double> score_examples(models::Network& network, const models::VolumeSource& source,
                                   const std::vector<data::Example>& examples,
                                   std::int64_t batch_size, torch::Device device,
                                   models::Precision precision,
                                   const std::function<void()>& after_batch) {
  const torch::NoGradGuard no_grad;
  network.eval();
  std::vector<std::size_t> rows;
  for (const data::Example& example : examples) rows.push_back(example.row);
  models::BatchLoader loader(
      source, models::make_batches(rows, static_cast<std::size_t>(batch_size)), device);
  std::vector<double> scores;
  const torch::ScalarType type = network.parameters().front().scalar_type();
  const models::Autocast autocast(precision, device);
  while (const auto batch = loader.next()) {
    const torch::Tensor values =
        network.forward(batch->volumes.to(device, type)).to(torch::kCPU, torch::kDouble);
    for (std::int64_t i = 0; i < values.size(0); ++i) {
      scores.push_back(values[i].item<double>());
    }
    after_batch();
  }
  network.train();
  return scores;
}

double fill_validation(EpochRow& row, const std::vector<data::Example>& examples,
                       const std::vector<double>& scores, const LossOptions& options,
                       double tukey_scale) {
  row.validation_loss = row.validation_mae = row.validation_pearson = row.validation_icc2 =
      row.validation_score_sd = std::numeric_limits<double>::quiet_NaN();
  if (examples.empty()) return row.validation_score_sd;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    throw core::RunError(fmt::format("training diverged in epoch {}: the score of {} is {}",
                                     row.epoch, examples[i].name(), scores[i]),
                         kDivergedHint);
  }
  const std::vector<double> labels = labels_of(examples);
  const ValidationMetrics result = validation_metrics(scores, labels);
  row.validation_loss = loss(options, torch::tensor(scores, torch::kDouble),
                             torch::tensor(labels, torch::kDouble), tukey_scale)
                            .item<double>();
  row.validation_mae = result.mae;
  row.validation_pearson = result.pearson;
  row.validation_icc2 = result.icc2;
  row.validation_score_sd = result.score_sd;
  return result.label_sd;
}

double stop_value(const EpochRow& row, const TrainOptions& options, bool has_validation) {
  if (!has_validation) return -static_cast<double>(row.epoch);
  double value = row.validation_loss;
  if (options.stop_metric == StopMetric::kMae) value = row.validation_mae;
  if (options.stop_metric == StopMetric::kPearson) value = -row.validation_pearson;
  if (options.stop_metric == StopMetric::kIcc2) value = -row.validation_icc2;
  return std::isnan(value) ? 1 : value;
}

void decide_best(EpochRow& row, TrainerState& state, const TrainOptions& options,
                 bool has_validation) {
  const double value = stop_value(row, options, has_validation);
  const double margin = has_validation ? options.min_delta : 0;
  row.is_best = !state.has_best() || value < state.best_value - margin;
  if (row.is_best) {
    state.best_epoch = row.epoch;
    state.best_value = value;
    state.epochs_without_improvement = 0;
  } else {
    ++state.epochs_without_improvement;
  }
}

void CollapseWatch::look(const EpochRow& row, const std::vector<EpochRow>& history, double label_sd,
                         std::size_t n, core::Log& log) {
  // Adadelta starts slowly, so one flat epoch means nothing; a run of them does.
  constexpr std::size_t kEpochs = 5;
  constexpr std::int64_t kFirstEpoch = 10;
  constexpr double kFraction = 0.05;
  if (warned_ || row.epoch < kFirstEpoch) return;
  const auto is_flat = [&](const EpochRow& epoch) {
    return epoch.validation_score_sd < kFraction * label_sd;
  };
  if (!is_flat(row) || history.size() + 1 < kEpochs) return;
  if (!std::all_of(history.end() - (kEpochs - 1), history.end(), is_flat)) return;
  warned_ = true;
  log.warning(
      "epoch {}: the scores have nearly collapsed to one value for {} epochs: their SD is {:.3g}, "
      "that of the labels {:.3g} (n {}). Try train.bias_init_from_labels, "
      "train.pool_scale_from_voxels, network.init = \"he\" or another learning rate",
      row.epoch, kEpochs, row.validation_score_sd, label_sd, n);
}

}  // namespace epvs::train
