// The recipe of a training: everything that decides its result beside the data and the seed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/parameters.h"
#include "models/network_options.h"
#include "train/augmentation_options.h"
#include "train/loss_options.h"

namespace epvs::train {

/// [train]: order, optimiser, stopping, checkpoints.
struct TrainOptions {
  std::string region;  ///< empty: the only region of the cohort
  std::int64_t epochs = 100;
  std::int64_t batch_size = 1;  ///< P1
  std::int64_t accumulate = 1;  ///< batches per update of the weights
  LossOptions loss;

  std::string optimizer = "adadelta";
  double learning_rate = 1.0;
  double rho = 0.95;      ///< Adadelta
  double epsilon = 1e-8;  ///< Adadelta, AdamW
  double beta1 = 0.9;     ///< AdamW
  double beta2 = 0.999;   ///< AdamW
  double momentum = 0.9;  ///< SGD
  bool nesterov = false;  ///< SGD
  double weight_decay = 0.0;
  double clip_norm = 0.0;  ///< 0: gradients are not clipped
  std::string schedule = "constant";
  double warmup_epochs = 0.0;
  double step_epochs = 30.0;
  double step_factor = 0.1;
  double final_factor = 0.0;
  std::int64_t plateau_epochs = 10;
  std::vector<std::string> freeze;
  std::vector<std::string> learning_rates;  ///< "pattern=factor"

  std::int64_t patience = 0;  ///< epochs without improvement before stopping; 0: never
  double min_delta = 0.0;
  std::string stop_metric = "loss";

  std::string target_scale = "none";
  bool bias_init_from_labels = false;
  std::string output_fit = "none";  ///< none or ridge
  bool pool_scale_from_voxels = false;

  double checkpoint_minutes = 10.0;
  std::int64_t checkpoint_epochs = 1;
  double cache_gb = 4.0;
  std::string precision = "float32";
  bool gradient_checkpointing = false;
  bool deterministic = true;
  bool flush_denormals = true;
  bool tensorboard = true;

  /// Throws UsageError with option, value and violated constraint.
  void validate() const;
  /// Factor of the learning rate after `epoch` epochs (with a fraction), in 0..1 and never
  /// negative. Of `plateau` only the warm-up: the rest depends on the run (train/plateau.h).
  double schedule_factor(double epoch) const;
};

/// [network], [train], [augment].
struct Recipe {
  models::NetworkOptions network;
  TrainOptions train;
  AugmentationOptions augment;

  /// Declares every parameter by its dotted name.
  void declare(core::ParameterTable& table);
  void validate() const;
};

/// Tables of a recipe file that other commands read.
inline const std::vector<std::string> kForeignTables = {"experiment"};

/// `text` against a pattern with * (any text) and ? (one character); the whole text must match.
bool matches_pattern(const std::string& text, const std::string& pattern);

}  // namespace epvs::train
