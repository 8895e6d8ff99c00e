// What a training says of itself: training.tsv, a line per epoch, and while an epoch runs a bar or
// a line every ten seconds, or a line per step.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/log.h"
#include "train/checkpoint.h"

namespace epvs::train {

/// Atomic; one row per epoch.
void write_training_table(const std::filesystem::path& path, const std::vector<EpochRow>& history);

/// The line of the last epoch of `history` (not empty), with the time left of `epochs`.
std::string epoch_line(const std::vector<EpochRow>& history, std::int64_t epochs,
                       bool has_validation);

/// A step is a batch.
struct StepFigures {
  std::int64_t epoch = 0;  ///< 1, 2, ...
  std::int64_t batch = 0;  ///< of the epoch: 1, 2, ...
  double loss = 0;         ///< of the batch
  double mean_loss = 0;    ///< of the epoch so far
  double learning_rate = 0;
};

/// Counts the steps of a training. With `every` = 0 it is core::Progress; otherwise every
/// `every`-th step and the last one are a line of the log with the time that is left.
class StepReport {
 public:
  StepReport(core::Log& log, std::int64_t every, std::int64_t epochs,
             std::int64_t batches_per_epoch, std::int64_t done);
  void step(const StepFigures& figures);

 private:
  using Clock = std::chrono::steady_clock;
  core::Log& log_;
  std::int64_t every_;
  std::int64_t epochs_;
  std::int64_t batches_;
  std::int64_t first_;
  std::int64_t done_;
  Clock::time_point start_ = Clock::now();
  std::optional<core::Progress> progress_;
};

/// "step 12/400 | epoch 2/50 batch 4/8 | loss 3.21, epoch 3.5 | lr 1 | 0.53 s each | 3 min left"
std::string step_line(const StepFigures& figures, std::int64_t step, std::int64_t steps,
                      std::int64_t epochs, std::int64_t batches, double seconds_each);

}  // namespace epvs::train
