// Training on scaled labels: the output unit of the network in training gives scaled counts; what
// is saved, scored and shown gives counts.
#pragma once

#include <vector>

#include "core/json.h"
#include "models/network.h"
#include "models/torch.h"
#include "train/optimizer.h"
#include "train/options.h"

namespace epvs::train {

/// scaled = (count - offset) / factor.
struct TargetScale {
  double offset = 0;
  double factor = 1;

  double scaled(double count) const { return (count - offset) / factor; }
  bool is_identity() const { return offset == 0 && factor == 1; }
  /// standardize: the mean and the standard deviation (n - 1) of the training labels;
  /// maximum: 0 and the largest |label|. Throws core::InputError when the labels have no spread
  /// (all zero for maximum).
  static TargetScale of(TargetScaling kind, const std::vector<double>& labels);
};

/// The output unit of a network that gives counts becomes that of one that gives scaled counts.
/// With `bias_only` the weights are taken as drawn for scaled counts already.
void scale_output(models::Network& network, const TargetScale& scale, bool bias_only);

/// While it lives, a network that gives scaled counts gives counts: with score = w . f + b the unit
/// becomes factor w, factor b + offset. Afterwards the unit is what it was, to the last bit.
class InCounts {
 public:
  InCounts(models::Network& network, const TargetScale& scale);
  ~InCounts();
  InCounts(const InCounts&) = delete;
  InCounts& operator=(const InCounts&) = delete;

  /// The unit for scaled counts, for a checkpoint; empty when the scale is the identity.
  const NamedTensors& scaled_unit() const { return scaled_unit_; }

 private:
  models::Network& network_;
  NamedTensors scaled_unit_;
};

/// Puts back what scaled_unit() gave.
void restore_scaled_unit(models::Network& network, const NamedTensors& unit);

}  // namespace epvs::train
