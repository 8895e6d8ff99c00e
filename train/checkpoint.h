// The run folder of a training and its checkpoints: everything that a training needs to go on as if
// it had never stopped.
//
// A checkpoint is a folder: weights.safetensors, optimizer.safetensors, best.safetensors (the weights
// of the best epoch, once there is one), state.json and, written last, DONE with the sizes of the
// others. It counts only when DONE is there and the sizes are
// right. A new one is built beside the old one and takes its place by renaming, so that at every
// moment one complete checkpoint exists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/log.h"
#include "models/weights.h"
#include "train/optimizer.h"

namespace epvs::train {

/// One row of training.tsv. NaN where there is no validation.
struct EpochRow {
  std::int64_t epoch = 0;  ///< 1, 2, ...; 0: the weights of --init, before training
  double train_loss = 0;
  double validation_loss = 0;
  double validation_mae = 0;
  double validation_pearson = 0;
  double validation_icc2 = 0;
  double validation_score_sd = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  ///< mean over the updates, before clipping
  double seconds = 0;
  bool is_best = false;
};

/// A figure of an epoch: its column in training.tsv and its curve in TensorBoard.
struct EpochFigure {
  const char* column;
  const char* curve;
  double EpochRow::*value;
};
inline constexpr EpochFigure kEpochFigures[] = {
    {"train_loss", "loss/train", &EpochRow::train_loss},
    {"validation_loss", "loss/validation", &EpochRow::validation_loss},
    {"validation_mae", "validation/mae", &EpochRow::validation_mae},
    {"validation_pearson", "validation/pearson", &EpochRow::validation_pearson},
    {"validation_icc2", "validation/icc2", &EpochRow::validation_icc2},
    {"validation_score_sd", "validation/score_sd", &EpochRow::validation_score_sd},
    {"learning_rate", "optimiser/learning_rate", &EpochRow::learning_rate},
    {"gradient_norm", "optimiser/gradient_norm", &EpochRow::gradient_norm},
    {"seconds", "seconds", &EpochRow::seconds}};

/// Where a training stands. Order, augmentation and initial weights are functions of the seed and
/// of `epoch`, so these figures, the weights and the optimiser's tensors are the whole state.
struct TrainerState {
  std::int64_t epoch = 0;  ///< epochs completed
  std::int64_t batch = 0;  ///< batches of the epoch in progress that are done
  double loss_sum = 0;     ///< of the epoch in progress, weighted by scans
  std::int64_t loss_scans = 0;
  double norm_sum = 0;
  std::int64_t updates = 0;
  Plateau plateau;  ///< schedule plateau
  double epoch_seconds = 0;
  double tukey_scale = 1;
  std::vector<double> residuals;  ///< of the epoch in progress
  static constexpr std::int64_t kNoEpoch = -1;
  std::int64_t best_epoch = kNoEpoch;
  double best_value = 0;  ///< of the stop metric; smaller is better
  std::int64_t epochs_without_improvement = 0;
  bool finished = false;
  std::vector<EpochRow> history;

  bool has_best() const { return best_epoch != kNoEpoch; }
  /// Appends the row of the epoch that ended and starts the counts of the next one.
  void begin_next_epoch(const EpochRow& row);

  core::Json to_json() const;
  /// Throws core::InputError naming `source` when the document is not a state.
  static TrainerState from_json(const core::Json& document, const std::string& source);
};

/// Weights, and what their file says of them.
struct DescribedWeights {
  const models::Network& network;
  models::WeightsMetadata metadata;
};

/// Is it time for a checkpoint, `seconds` after the last one, which took `seconds_to_write`? After
/// `most_minutes` (0: never), and at an epoch's end when writing takes at most 2% of the time.
bool is_checkpoint_due(double seconds, double seconds_to_write, double most_minutes,
                       bool epoch_ends);

/// Replaces `folder` by a checkpoint. `best`: nothing before the first epoch has ended. `identity`
/// says what the training is (recipe, data, seed).
void save_checkpoint(const std::filesystem::path& folder, const DescribedWeights& now,
                     const std::optional<DescribedWeights>& best, const Optimizer& optimizer,
                     const TrainerState& state, const core::Json& identity);

/// The complete checkpoint at `folder`, or the older one that a kill left beside it; nothing when
/// there is none.
std::optional<std::filesystem::path> find_checkpoint(const std::filesystem::path& folder);

/// Reads state.json of a complete checkpoint.
TrainerState read_checkpoint_state(const std::filesystem::path& checkpoint);
core::Json read_checkpoint_identity(const std::filesystem::path& checkpoint);

/// Restores weights and optimiser. Throws core::InputError naming a tensor that does not fit.
void load_checkpoint(const std::filesystem::path& checkpoint, models::Network& network,
                     Optimizer& optimizer);
/// Restores the weights of the best epoch.
void load_best_weights(const std::filesystem::path& checkpoint, models::Network& network);

/// The folder of a run folder that holds its checkpoint.
std::filesystem::path last_checkpoint(const std::filesystem::path& run);

/// --resume: true when `run` has a checkpoint to go on from, false in a folder without a training.
/// Throws core::UsageError when there is a training without a complete checkpoint.
bool find_training_to_resume(const std::filesystem::path& run, core::Log& log);
/// Without --resume: throws core::UsageError when `run` holds a training; with `force` removes it,
/// unless `dry_run`.
void make_room(const std::filesystem::path& run, bool force, bool dry_run);
/// Throws core::UsageError naming every setting in which the training of the last checkpoint of
/// `run` differs from `now`, with both values; with `force` warns. What changes last bits only
/// (threads, device, LibTorch, number of processes) is warned of.
void require_same_training(const std::filesystem::path& run, const core::Json& now, bool force,
                           core::Log& log);

}  // namespace epvs::train
