// What an epoch's end finds: scores of the validation scans, their figures, and the best epoch.
#pragma once

#include <functional>
#include <vector>

#include "core/log.h"
#include "data/cohort/examples.h"
#include "models/cohort_tensors.h"
#include "models/network.h"
#include "models/precision.h"
#include "models/torch.h"
#include "train/checkpoint.h"
#include "train/options.h"

namespace epvs::train {

/// How well scores agree with labels. The full statistics with intervals are those of `epvs eval`;
/// these few decide the best epoch.
struct ValidationMetrics {
  std::size_t n = 0;
  double mae = 0;
  double pearson = 0;   ///< NaN when either side is constant
  double icc2 = 0;      ///< ICC(2,1) = ICC(A,1), Shrout & Fleiss 1979; NaN with fewer than 2 scans
  double score_sd = 0;  ///< n - 1 in the denominator; NaN with fewer than 2 scans
  double label_sd = 0;
};

/// `scores` and `labels` of equal length, without NaN.
ValidationMetrics validation_metrics(const std::vector<double>& scores,
                                     const std::vector<double>& labels);

std::vector<double> labels_of(const std::vector<data::Example>& examples);

/// Scores of these scans, `batch_size` at a time, without gradients, in `precision`. `after_batch`
/// is called after each batch and may throw. Leaves the network in training mode.
std::vector<double> score_examples(models::Network& network, const models::VolumeSource& source,
                                   const std::vector<data::Example>& examples,
                                   std::int64_t batch_size, torch::Device device,
                                   models::Precision precision,
                                   const std::function<void()>& after_batch);

/// Fills the validation figures of `row` from scores of `examples`; NaN where there are none.
/// Returns the SD of the labels. Throws core::RunError naming a score that is not finite.
double fill_validation(EpochRow& row, const std::vector<data::Example>& examples,
                       const std::vector<double>& scores, const LossOptions& loss,
                       double tukey_scale);

/// The figure that train.stop_metric names, so that smaller is better. Without validation scans
/// every epoch is better than the one before; scores without correlation are the worst possible.
double stop_value(const EpochRow& row, const TrainOptions& options, bool has_validation);

/// Sets row.is_best and the best epoch of `state`.
void decide_best(EpochRow& row, TrainerState& state, const TrainOptions& options,
                 bool has_validation);

/// Warns once when the scores have nearly collapsed to one value for some epochs.
class CollapseWatch {
 public:
  /// `history` is without `row`. `label_sd` is that of the `n` validation labels.
  void look(const EpochRow& row, const std::vector<EpochRow>& history, double label_sd,
            std::size_t n, core::Log& log);

 private:
  bool warned_ = false;
};

}  // namespace epvs::train
