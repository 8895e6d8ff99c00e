// Dynamic loss scaling for fp16 (Micikevicius et al., arXiv 1710.03740), with the rule and the
// constants of torch.cuda.amp.GradScaler.
#pragma once

#include <cstdint>
#include <vector>

#include "core/json.h"
#include "train/optimizer.h"

namespace epvs::train {

/// Gradients of fp16 vanish below 6e-8, so the loss is multiplied by `value` before the backward
/// pass and the gradients are divided by it afterwards. The scale is halved when a gradient is not
/// finite (that update is skipped) and doubled after kGrowthInterval good updates in a row.
struct LossScale {
  static constexpr double kStart = 65536;
  static constexpr double kGrowth = 2;
  static constexpr double kBackoff = 0.5;
  static constexpr std::int64_t kGrowthInterval = 2000;
  /// Below this the gradients are at fault, not the scale.
  static constexpr double kSmallest = 1;

  bool on = false;
  double value = 1;               ///< 1 when off
  std::int64_t good_updates = 0;  ///< in a row, since the scale changed
  std::int64_t bad_updates = 0;   ///< in a row

  static LossScale started() { return {true, kStart, 0, 0}; }
  /// After an update (all gradients finite) or a skipped one. Throws core::RunError when the scale
  /// falls below kSmallest: `epoch` (1, 2, ...) is for the message.
  void count(bool finite, std::int64_t epoch);

  core::Json to_json() const;
  static LossScale from_json(const core::Json& document);
};

/// Divides the gradients by `scale`. Returns whether all are finite.
bool unscale_gradients(const std::vector<NamedParameter>& parameters, double scale);

}  // namespace epvs::train
