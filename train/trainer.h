// The training loop.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/stop.h"
#include "data/cohort/examples.h"
#include "models/cohort_tensors.h"
#include "models/profile.h"
#include "models/weights.h"
#include "train/checkpoint.h"
#include "train/distributed/process_group.h"
#include "train/monitor.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/training_log.h"
#include "train/training_step.h"
#include "train/validation.h"

namespace epvs::train {

/// All that decides a training. `recipe` is resolved: input size, bias_init and pool_scale are set.
struct TrainingJob {
  Recipe recipe;
  data::Examples examples;
  data::PreprocessingOptions preprocessing;
  std::filesystem::path run_folder;
  std::optional<std::filesystem::path> init;  ///< weights to start from
  std::uint64_t seed = 1;
  torch::Device device = torch::kCPU;
  core::Json identity;         ///< kept in each checkpoint
  core::Json provenance;       ///< kept in the weights
  std::int64_t log_steps = 0;  ///< train/training_log.h
  models::Profile* profile = nullptr;
};

struct TrainingSummary {
  std::int64_t epochs = 0;
  std::int64_t best_epoch = 0;  ///< 0: the weights of --init
  std::string stopped_because;  ///< "all epochs done", "no improvement in 10 epochs"
  double seconds = 0;           ///< of training, over all resumed parts
  std::int64_t steps = 0;       ///< batches, the resumed parts left out
};

/// Trains, writing checkpoints/last and training.tsv into the run folder.
///
/// Sample order, augmentation and initial weights are functions of (seed, epoch, scan), so that
/// (weights, optimiser tensors, TrainerState) is the whole state. On the CPU with equal threads a
/// resumed training is bit-equal to an uninterrupted one, also from a checkpoint within an epoch.
///
/// In a process group every process has a trainer and calls the same functions. A batch is that of
/// all processes together; each computes its share of it. Rank 0 alone reads and writes the run
/// folder and decides when to stop.
class Trainer {
 public:
  /// Builds the network and the optimiser. All references must outlive the trainer.
  Trainer(TrainingJob job, const models::VolumeSource& source, core::Log& log,
          core::StopSignals& signals, ProcessGroup& group);

  /// Goes on from the last checkpoint, which holds the weights of the best epoch too. Throws core::UsageError when there is none.
  void resume();
  /// Runs to the end. Throws core::Interrupted after a checkpoint when a signal asked to stop, and
  /// core::RunError naming the first value that is not finite; the last checkpoint is kept then.
  TrainingSummary run();

  /// Scores of these scans with the weights of the best epoch, after run(), in float32 as `epvs
  /// infer` gives them.
  std::vector<double> predict(const std::vector<data::Example>& examples);
  /// Writes the best weights.
  void save_best(const std::filesystem::path& path);

  models::Network& network() { return *network_; }
  const TrainerState& state() const { return state_; }

 private:
  using Clock = std::chrono::steady_clock;

  void start();
  void fit_output_unit();
  void train_epoch(StepReport& steps);
  void count(const TrainingStep::Outcome& outcome, std::int64_t scans);
  void end_epoch();
  void write_epoch(const EpochRow& row);
  void show_network(const EpochRow& row);
  void validate(EpochRow& row);
  TrainingSummary summary() const;
  double learning_rate(double epoch) const;
  TrainingStep::Moment moment() const;
  void answer_signals();
  std::vector<double> scores_of(models::Network& network,
                                const std::vector<data::Example>& examples,
                                models::Precision precision);

  // What is written and read again.
  std::filesystem::path read_checkpoint();
  bool wants_checkpoint(bool epoch_ends) const;
  void checkpoint();
  /// `best_`, made where there is none, with the weights of now.
  void keep_best();
  void share_weights();
  void share_state();
  models::WeightsMetadata metadata(std::int64_t epoch) const;

  TrainingJob job_;
  const models::VolumeSource& source_;
  core::Log& log_;
  core::StopSignals& signals_;
  ProcessGroup& group_;
  std::shared_ptr<models::Network> network_;
  std::shared_ptr<models::Network> best_;  ///< weights of the best epoch; null before there is one
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<TrainingStep> step_;
  TrainerState state_;
  std::unique_ptr<Monitor> monitor_;
  CollapseWatch collapse_;
  bool resumed_ = false;
  std::int64_t steps_ = 0;  ///< TrainingSummary::steps
  Clock::time_point epoch_part_start_;
  Clock::time_point last_checkpoint_;
  double checkpoint_seconds_ = 0;  ///< that writing it took
};

}  // namespace epvs::train
