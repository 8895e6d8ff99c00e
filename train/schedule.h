// The learning rate over the epochs.
#pragma once

#include <cstdint>
#include <limits>

#include "core/json.h"
#include "train/options.h"

namespace epvs::train {

/// Factor of the learning rate after `epoch` epochs (with a fraction), in 0..1 and never negative.
/// Of the schedule `plateau` only the warm-up: the rest depends on the run (Plateau).
double schedule_factor(const TrainOptions& options, double epoch);

/// The schedule `plateau`, smaller steps when the validation figure stands still:
/// torch.optim.lr_scheduler.ReduceLROnPlateau (mode min, threshold_mode abs, cooldown 0): after
/// more than train.plateau_epochs epochs in a row whose stop value is not below the best by
/// train.min_delta, the rate is multiplied by train.step_factor, down to train.final_factor.
struct Plateau {
  double factor = 1;  ///< of the learning rate
  double best = std::numeric_limits<double>::infinity();
  std::int64_t bad_epochs = 0;

  /// `value` is smaller where better (stop_value, train/validation.h).
  void see(double value, const TrainOptions& options);

  core::Json to_json() const;
  static Plateau from_json(const core::Json& document);
};

}  // namespace epvs::train
