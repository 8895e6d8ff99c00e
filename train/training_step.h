// One step of a training: a batch forward and backward, and the update of the weights; and which
// batches make an epoch.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/cohort/examples.h"
#include "models/network.h"
#include "models/precision.h"
#include "models/profile.h"
#include "models/torch.h"
#include "train/distributed/process_group.h"
#include "train/optimizer.h"
#include "train/options.h"

namespace epvs::train {

/// The batches of one epoch: their order, which make an update together, and who computes what.
class EpochPlan {
 public:
  /// The order is a function of the seed and the epoch (counted from 0) alone. `examples` must
  /// outlive the plan.
  EpochPlan(const std::vector<data::Example>& examples, const TrainOptions& options,
            std::uint64_t seed, std::int64_t epoch);

  /// Batches of an epoch of `scans`.
  static std::int64_t batches_of(std::int64_t scans, std::int64_t batch_size);
  std::int64_t size() const { return std::ssize(batches_); }
  /// The whole batch, that of all processes together.
  const std::vector<const data::Example*>& batch(std::int64_t i) const { return batches_[i]; }
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
  std::vector<std::vector<const data::Example*>> batches_;
};

/// Adds the gradients of batches and updates the weights. Holds nothing between two updates but
/// the gradients.
class TrainingStep {
 public:
  /// Where in the training a batch stands: decides its augmentation and its loss.
  struct Moment {
    std::uint64_t seed = 1;
    std::int64_t epoch = 0;   ///< epochs completed
    std::int64_t update = 0;  ///< updates of this epoch that are done
    double tukey_scale = 1;
  };
  struct Outcome {
    double loss = 0;                ///< of the whole batch
    std::vector<double> residuals;  ///< score - label, one per example of all processes
  };

  /// `network` is on `device`; all references must outlive the step. `profile`, where there is one,
  /// gets the parts augmentation, forward, backward and update.
  TrainingStep(models::Network& network, Optimizer& optimizer, const Recipe& recipe,
               std::array<double, 3> spacing_mm, torch::Device device, ProcessGroup& group,
               models::Profile* profile = nullptr);

  /// Augments the volumes (N, 1, Z, Y, X) and adds `weight` times the gradient of the loss of
  /// `examples`, the whole batch. `volumes` are those of this process's share of them, undefined
  /// when it has none. The scores of all processes are put together before the loss, so that any
  /// loss is that of the whole batch. Throws core::RunError naming the first score or loss that is
  /// not finite, and when memory does not suffice: then the hint names a size that fits.
  Outcome add_batch(const torch::Tensor& volumes, const std::vector<const data::Example*>& examples,
                    double weight, const Moment& moment);
  /// Sums the gradients over all processes, clips, updates the weights, clears the gradients;
  /// returns the norm of the gradient before clipping. Throws core::RunError naming the first
  /// gradient that is not finite.
  double update(double learning_rate, const Moment& moment);

 private:
  torch::Tensor augmented(torch::Tensor volumes, const std::vector<const data::Example*>& examples,
                          const Moment& moment) const;
  torch::Tensor scores_of(const torch::Tensor& volumes);
  Outcome forward_backward(const torch::Tensor& volumes,
                           const std::vector<const data::Example*>& examples, double weight,
                           const Moment& moment);
  /// Returns the norm before clipping to train.clip_norm; 0 does not clip.
  double clip_gradients(const Moment& moment) const;
  [[noreturn]] void throw_diverged_gradient(const Moment& moment) const;
  torch::Tensor of_all_processes(const torch::Tensor& scores, std::size_t batch_size);
  [[noreturn]] void explain_memory(const c10::Error& error, const torch::Tensor& volumes);

  models::Network& network_;
  Optimizer& optimizer_;
  const Recipe& recipe_;
  std::array<double, 3> spacing_mm_;
  torch::Device device_;
  ProcessGroup& group_;
  models::Precision precision_;
  models::Profile* profile_;
  double forward_flops_;   ///< of one volume
  double backward_flops_;  ///< of one volume; 0, not known, where parameters are frozen
};

/// Throws core::RunError naming the first of the parameters that is not finite.
void require_finite_weights(const std::vector<NamedParameter>& parameters, std::int64_t epoch);

/// What to do about values that are not finite: the hint of every such error.
inline constexpr const char* kDivergedHint =
    "the last good checkpoint is kept; lower train.learning_rate or set train.clip_norm";

}  // namespace epvs::train
