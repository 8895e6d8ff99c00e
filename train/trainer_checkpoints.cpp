// What the trainer writes and reads again: checkpoints, the best weights, the state of rank 0.
#include <fmt/format.h>

#include "core/error.h"
#include "train/trainer.h"
#include "train/training_log.h"

namespace epvs::train {

namespace fs = std::filesystem;

void Trainer::resume() {
  if (group_.is_first()) read_checkpoint();
  resumed_ = true;
  share_state();
  share_weights();
  const NamedTensors state = optimizer_->state();
  for (const auto& [name, tensor] : state) group_.broadcast({tensor});
  optimizer_->load_state(state);
  log_.info("resuming after {} epochs{}", state_.epoch,
            state_.batch > 0 ? fmt::format(" and {} batches", state_.batch) : "");
}

void Trainer::read_checkpoint() {
  const auto last = find_checkpoint(checkpoint_folder("last"));
  if (!last) {
    throw core::UsageError(
        fmt::format("{} has no complete checkpoint to resume", job_.run_folder.string()),
        "check --out; to train anew, leave out --resume (and add --force to overwrite)");
  }
  state_ = read_checkpoint_state(*last);
  load_checkpoint(*last, *network_, *optimizer_);
  restore_scaled_unit(*network_, read_scaled_unit(*last));
  if (state_.has_best()) {
    const auto best = find_checkpoint(checkpoint_folder("best"));
    const std::int64_t best_epoch =
        best ? read_checkpoint_state(*best).best_epoch : TrainerState::kNoEpoch;
    if (best_epoch != state_.best_epoch) {
      // Stopped after `last` and before `best` was written: both are of the same epoch.
      if (state_.best_epoch != state_.epoch || state_.batch != 0) {
        throw core::InputError(
            fmt::format("{} holds epoch {}, but the best epoch was {}",
                        checkpoint_folder("best").string(), best_epoch, state_.best_epoch),
            "files of the run folder were lost: train anew with --force");
      }
      save_best_checkpoint();
    }
  }
  write_training_table(job_.run_folder / "training.tsv", state_.history);
}

void Trainer::checkpoint() {
  require_finite_weights(optimizer_->parameters(), state_.epoch + 1);
  const auto now = Clock::now();
  state_.epoch_seconds += std::chrono::duration<double>(now - epoch_part_start_).count();
  epoch_part_start_ = now;
  if (group_.is_first()) {
    const InCounts in_counts(*network_, target_scale_);
    save_checkpoint(checkpoint_folder("last"), *network_, metadata(), optimizer_.get(), state_,
                    job_.identity, in_counts.scaled_unit());
  }
  // A launcher may end all processes as soon as one has ended: none goes on before it is written.
  group_.barrier();
  last_checkpoint_ = Clock::now();
}

void Trainer::save_best_checkpoint() {
  const InCounts in_counts(*network_, target_scale_);
  save_checkpoint(checkpoint_folder("best"), *network_, metadata(), nullptr, state_, job_.identity);
}

void Trainer::share_weights() {
  group_.broadcast(network_->parameters());
}

void Trainer::share_state() {
  if (!group_.has_others()) return;
  state_ = TrainerState::from_json(core::Json::parse(group_.broadcast(state_.to_json().dump())),
                                   "rank 0");
}

void Trainer::use_best_weights() {
  if (uses_best_weights_) return;
  if (group_.is_first()) {
    const auto best = find_checkpoint(checkpoint_folder("best"));
    EPVS_ASSERT(best);
    models::load_weights_into(*best / "weights.safetensors", *network_);
  }
  share_weights();
  target_scale_ = {};  // these weights give counts
  uses_best_weights_ = true;
}

void Trainer::save_best(const fs::path& path) {
  use_best_weights();
  network_->to(torch::kFloat);  // what others read is float32, after training in float64 too
  if (group_.is_first()) models::save_weights(path, *network_, metadata());
}

models::WeightsMetadata Trainer::metadata() const {
  models::WeightsMetadata metadata;
  metadata.network = network_->options();
  metadata.preprocessing = job_.preprocessing;
  metadata.target = job_.examples.target;
  metadata.provenance = job_.provenance;
  metadata.provenance["epoch"] = uses_best_weights_ ? state_.best_epoch : state_.epoch;
  for (const EpochRow& row : state_.history) {
    if (row.epoch != state_.best_epoch) continue;
    metadata.provenance["best_epoch"] = row.epoch;
    metadata.provenance["train_loss"] = row.train_loss;
    metadata.provenance["validation_loss"] = row.validation_loss;
  }
  return metadata;
}

fs::path Trainer::checkpoint_folder(const char* name) const {
  return job_.run_folder / "checkpoints" / name;
}

}  // namespace epvs::train
