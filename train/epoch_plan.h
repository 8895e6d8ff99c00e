// The batches of one epoch: their order, which make an update together, and who computes what.
#pragma once

#include <cstdint>
#include <vector>

#include "train/distributed/process_group.h"
#include "train/examples.h"
#include "train/options.h"

namespace epvs::train {

class EpochPlan {
 public:
  /// The order is a function of the seed and the epoch (counted from 0) alone. `examples` must
  /// outlive the plan.
  EpochPlan(const std::vector<Example>& examples, const TrainOptions& options, std::uint64_t seed,
            std::int64_t epoch);

  /// Batches of an epoch of `scans`.
  static std::int64_t batches_of(std::int64_t scans, std::int64_t batch_size);
  std::int64_t size() const { return std::ssize(batches_); }
  /// The whole batch, that of all processes together.
  const std::vector<const Example*>& batch(std::int64_t i) const { return batches_[i]; }
  /// Scans of the batch over the scans of all batches that make the same update.
  double weight(std::int64_t i) const;
  /// Is batch i the last of its update?
  bool ends_update(std::int64_t i) const;
  /// The cohort's rows of this process's part of the batches from `first` on; batches of which it
  /// has no part are left out.
  std::vector<std::vector<std::size_t>> own_rows(const ProcessGroup& group,
                                                 std::int64_t first) const;

 private:
  std::int64_t accumulate_;
  std::vector<std::vector<const Example*>> batches_;
};

}  // namespace epvs::train
