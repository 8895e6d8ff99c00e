#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "train/loss.h"
#include "train/optimizer_setup.h"
#include "train/output_fit.h"
#include "train/training_table.h"

namespace epvs::train {

namespace fs = std::filesystem;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Trainer::Trainer(TrainingJob job, const models::VolumeSource& source, core::Log& log,
                 core::StopSignals& signals, ProcessGroup& group)
    : job_(std::move(job)),
      source_(source),
      log_(log),
      signals_(signals),
      group_(group),
      epoch_part_start_(Clock::now()),
      last_checkpoint_(Clock::now()) {
  job_.recipe.validate();
  network_ = models::make_network(job_.recipe.network, core::mix_seed(job_.seed, {"network"}));
  if (job_.init) models::load_weights_into(*job_.init, *network_);
  network_->to(job_.device);
  if (job_.recipe.train.precision == "float64") network_->to(torch::kDouble);
  scale_targets();
  network_->train();
  optimizer_ = make_optimizer(job_.recipe.train, trained_parameters(*network_, job_.recipe.train));
  require_trained_output();
  step_ = std::make_unique<TrainingStep>(*network_, *optimizer_, job_.recipe,
                                         job_.preprocessing.spacing_mm, job_.device, group_);
  for (std::size_t i = 0; i < job_.examples.train.size(); ++i) {
    example_by_row_[job_.examples.train[i].row] = i;
  }
  // Before the first epoch the residuals are those of a network that scores a constant.
  state_.tukey_scale = median_absolute_deviation(scaled_labels());
}

/// From here to the end of the training the output unit gives scaled counts; InCounts undoes it
/// wherever scores or weights leave the training.
void Trainer::scale_targets() {
  target_scale_ = TargetScale::of(job_.recipe.train.target_scale, labels_of(job_.examples.train));
  scale_output(*network_, target_scale_, /*bias_only=*/!job_.init.has_value());
  if (target_scale_.is_identity()) return;
  job_.provenance["target_scale"] = {{"offset", target_scale_.offset},
                                     {"factor", target_scale_.factor}};
  log_.info("labels are scaled for the loss: (count - {:.6g}) / {:.6g}", target_scale_.offset,
            target_scale_.factor);
}

std::vector<double> Trainer::scaled_labels() const {
  std::vector<double> labels = labels_of(job_.examples.train);
  for (double& label : labels) label = target_scale_.scaled(label);
  return labels;
}

void Trainer::require_trained_output() const {
  if (target_scale_.is_identity()) return;
  for (const auto& item : network_->named_parameters()) {
    const bool of_output = item.value().is_same(network_->output_weight_tensor()) ||
                           item.value().is_same(network_->output_bias_tensor());
    if (!of_output || item.value().requires_grad()) continue;
    throw core::UsageError(
        fmt::format("train.target_scale = {}, but train.freeze keeps {}, which is scaled with the "
                    "labels",
                    job_.recipe.train.target_scale, item.key()),
        "set train.target_scale = \"none\", or do not freeze the output unit");
  }
}

void Trainer::resume() {
  if (group_.is_first()) read_checkpoint();
  resumed_ = true;
  share_state();
  share_weights();
  for (const auto& [name, tensor] : optimizer_->state()) group_.broadcast({tensor});
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
  if (state_.best_epoch > 0) {
    const auto best = find_checkpoint(checkpoint_folder("best"));
    const std::int64_t best_epoch = best ? read_checkpoint_state(*best).best_epoch : 0;
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

void Trainer::fit_output_unit() {
  if (job_.recipe.train.output_fit != "ridge") return;
  const RidgeFit fit =
      fit_output(*network_, source_, job_.examples.train, scaled_labels(),
                 job_.recipe.train.batch_size, job_.device, job_.init.has_value(), [this] {
                   if (!group_.has_others()) signals_.throw_if_stopped();
                 });
  log_.info(
      "output unit fitted by ridge regression to {} scans: penalty {:.3g}, {:.1f} degrees of "
      "freedom, root mean square error {:.3g}, cross-validated {:.3g}",
      job_.examples.train.size(), fit.penalty, fit.degrees_of_freedom,
      target_scale_.factor * std::sqrt(fit.mean_square), target_scale_.factor * std::sqrt(fit.gcv));
}

TrainingSummary Trainer::run() {
  const TrainOptions& options = job_.recipe.train;
  epoch_part_start_ = Clock::now();
  if (!resumed_ && group_.is_first()) fit_output_unit();
  share_weights();
  if (state_.epoch == 0 && state_.batch == 0) checkpoint();
  if (options.tensorboard && group_.is_first()) {
    monitor_ = std::make_unique<Monitor>(job_.run_folder, state_.history);
  }
  TrainingSummary summary;
  {
    const std::int64_t batches = batches_per_epoch();
    StepReport steps(log_, job_.log_steps, options.epochs, batches,
                     batches * state_.epoch + state_.batch);
    while (!state_.finished) {
      train_epoch(steps);
      end_epoch();
    }
  }
  summary.epochs = state_.epoch;
  summary.best_epoch = state_.best_epoch;
  summary.stopped_because =
      state_.epoch < options.epochs
          ? fmt::format("no improvement in {} epochs", state_.epochs_without_improvement)
          : "all epochs done";
  for (const EpochRow& row : state_.history) {
    summary.seconds += row.seconds;
    if (row.epoch == state_.best_epoch) summary.best = row;
  }
  return summary;
}

std::int64_t Trainer::batches_per_epoch() const {
  const auto scans = static_cast<std::int64_t>(job_.examples.train.size());
  return (scans + job_.recipe.train.batch_size - 1) / job_.recipe.train.batch_size;
}

void Trainer::train_epoch(StepReport& steps) {
  const TrainOptions& options = job_.recipe.train;
  const std::int64_t total = batches_per_epoch();
  core::Random random(core::mix_seed(job_.seed, {"order", state_.epoch}));
  std::vector<std::size_t> rows;
  for (const std::size_t i : random.permutation(job_.examples.train.size())) {
    rows.push_back(job_.examples.train[i].row);
  }
  auto batches = models::make_batches(rows, static_cast<std::size_t>(options.batch_size));
  EPVS_ASSERT(static_cast<std::int64_t>(batches.size()) == total && state_.batch <= total);
  const auto group_scans = [&](std::int64_t batch) {
    const std::int64_t begin = batch / options.accumulate * options.accumulate;
    std::size_t scans = 0;
    for (std::int64_t i = begin; i < std::min(total, begin + options.accumulate); ++i) {
      scans += batches[static_cast<std::size_t>(i)].size();
    }
    return static_cast<double>(scans);
  };
  std::vector<std::vector<std::size_t>> own_batches;
  for (auto rows_of = batches.begin() + state_.batch; rows_of != batches.end(); ++rows_of) {
    const ProcessGroup::Share own = group_.share(rows_of->size());
    if (own.size() == 0) continue;
    own_batches.emplace_back(rows_of->begin() + static_cast<std::ptrdiff_t>(own.begin),
                             rows_of->begin() + static_cast<std::ptrdiff_t>(own.end));
  }
  models::BatchLoader loader(source_, std::move(own_batches));
  step_->clear_gradients();
  for (std::int64_t batch = state_.batch; batch < total; ++batch) {
    const std::vector<std::size_t>& in_batch = batches[static_cast<std::size_t>(batch)];
    const auto scans = static_cast<std::int64_t>(in_batch.size());
    const torch::Tensor volumes =
        group_.share(in_batch.size()).size() > 0 ? loader.next()->volumes : torch::Tensor();
    const double value =
        train_batch(in_batch, volumes, static_cast<double>(scans) / group_scans(batch));
    state_.loss_sum += value * static_cast<double>(scans);
    state_.loss_scans += scans;
    if ((batch + 1) % options.accumulate == 0 || batch + 1 == total) {
      update_weights(static_cast<double>(state_.epoch) +
                     static_cast<double>(batch + 1) / static_cast<double>(total));
      state_.batch = batch + 1;
      answer_signals();
    }
    steps.step({state_.epoch + 1, batch + 1, value,
                state_.loss_sum / static_cast<double>(state_.loss_scans),
                learning_rate(static_cast<double>(state_.epoch) +
                              static_cast<double>(batch + 1) / static_cast<double>(total))});
  }
}

double Trainer::train_batch(const std::vector<std::size_t>& rows, const torch::Tensor& volumes,
                            double weight) {
  std::vector<const Example*> examples;
  for (const std::size_t row : rows) {
    examples.push_back(&job_.examples.train[example_by_row_.at(row)]);
  }
  const TrainingStep::Outcome outcome = step_->add_batch(volumes, examples, weight, moment());
  if (job_.recipe.train.loss.kind == "tukey") {
    state_.residuals.insert(state_.residuals.end(), outcome.residuals.begin(),
                            outcome.residuals.end());
  }
  return outcome.loss;
}

double Trainer::learning_rate(double epoch) const {
  const TrainOptions& options = job_.recipe.train;
  return options.learning_rate * options.schedule_factor(epoch) * state_.plateau.factor;
}

void Trainer::update_weights(double progress_in_epochs) {
  state_.norm_sum += step_->update(learning_rate(progress_in_epochs), moment());
  ++state_.updates;
}

TrainingStep::Moment Trainer::moment() const {
  return {job_.seed, state_.epoch, state_.updates, state_.tukey_scale, target_scale_};
}

void Trainer::answer_signals() {
  const double minutes = job_.recipe.train.checkpoint_minutes;
  const bool due = minutes > 0 && seconds_since(last_checkpoint_) > 60 * minutes;
  const bool requested = signals_.take_checkpoint_request();
  // What one process wishes, all do.
  const std::vector<double> wishes =
      group_.largest({due || requested ? 1.0 : 0.0, static_cast<double>(signals_.stop_signal())});
  const int stop_signal = static_cast<int>(wishes[1]);
  if (wishes[0] > 0 || stop_signal != 0) {
    checkpoint();
    log_.info("checkpoint written after {} epochs and {} batches", state_.epoch, state_.batch);
  }
  if (stop_signal != 0) throw core::Interrupted(stop_signal);
}

void Trainer::end_epoch() {
  const TrainOptions& options = job_.recipe.train;
  EpochRow row;
  row.epoch = state_.epoch + 1;
  row.train_loss = state_.loss_sum / static_cast<double>(state_.loss_scans);
  row.gradient_norm = state_.norm_sum / static_cast<double>(state_.updates);
  row.learning_rate = learning_rate(static_cast<double>(row.epoch));
  validate(row);
  require_finite_weights(optimizer_->parameters(), row.epoch);
  const bool has_validation = !job_.examples.validation.empty();
  decide_best(row, state_, options, has_validation);
  if (options.schedule == "plateau" && static_cast<double>(row.epoch) > options.warmup_epochs) {
    state_.plateau.see(stop_value(row, options, has_validation), options);
  }
  row.seconds = state_.epoch_seconds + seconds_since(epoch_part_start_);
  if (!state_.residuals.empty()) {
    state_.tukey_scale = median_absolute_deviation(state_.residuals);
  }
  state_.residuals.clear();
  state_.history.push_back(row);
  state_.epoch = row.epoch;
  state_.batch = 0;
  state_.loss_sum = state_.norm_sum = state_.epoch_seconds = 0;
  state_.loss_scans = state_.updates = 0;
  state_.finished = state_.epoch >= options.epochs ||
                    (options.patience > 0 && state_.epochs_without_improvement >= options.patience);
  share_state();
  row = state_.history.back();
  epoch_part_start_ = Clock::now();
  if (row.is_best || state_.finished || state_.epoch % options.checkpoint_epochs == 0) {
    checkpoint();
  }
  if (row.is_best && group_.is_first()) {
    // After `last`: when a kill comes between the two, resume() takes the weights from there.
    save_best_checkpoint();
  }
  if (group_.is_first()) {
    write_training_table(job_.run_folder / "training.tsv", state_.history);
  }
  log_.info("{}", epoch_line(state_.history, options.epochs, has_validation));
  show_in_tensorboard(row);
}

void Trainer::show_in_tensorboard(const EpochRow& row) {
  if (!monitor_) return;
  monitor_->epoch(row);
  if (!row.is_best) return;
  const InCounts in_counts(*network_, target_scale_);
  monitor_->weights(*network_, row.epoch);
  const Example& shown = job_.examples.validation.empty() ? job_.examples.train.front()
                                                          : job_.examples.validation.front();
  const auto type = network_->parameters().front().scalar_type();
  monitor_->attention(*network_, source_.volume(shown.row).to(job_.device, type),
                      job_.preprocessing.spacing_mm, row.epoch);
}

void Trainer::validate(EpochRow& row) {
  const std::vector<Example>& examples = job_.examples.validation;
  const models::Precision precision = models::parse_precision(job_.recipe.train.precision);
  const double label_sd =
      fill_validation(row, examples, scores_of(examples, precision), job_.recipe.train.loss,
                      state_.tukey_scale, target_scale_);
  collapse_.look(row, state_.history, label_sd, examples.size(), log_);
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

void Trainer::stop(int signal_number) {
  if (!state_.finished) checkpoint();
  throw core::Interrupted(signal_number);
}

std::vector<double> Trainer::scores_of(const std::vector<Example>& examples,
                                       models::Precision precision) {
  const auto size = static_cast<std::size_t>(job_.recipe.train.batch_size);
  // Whole batches are dealt out, so that each score is computed as one process would.
  const std::size_t batches = (examples.size() + size - 1) / size;
  const ProcessGroup::Share own = group_.share(batches);
  const auto at = [&](std::size_t batch) {
    return examples.begin() + static_cast<std::ptrdiff_t>(std::min(batch * size, examples.size()));
  };
  std::vector<double> scores;
  try {
    const InCounts in_counts(*network_, target_scale_);
    scores = score_examples(*network_, source_, {at(own.begin), at(own.end)},
                            job_.recipe.train.batch_size, job_.device, precision, [this] {
                              if (!group_.has_others()) signals_.throw_if_stopped();
                            });
  } catch (const core::Interrupted&) {
    if (!state_.finished) checkpoint();  // the output unit is the one in training again
    throw;
  }
  if (!group_.has_others()) return scores;
  const auto stop_signal = group_.largest({static_cast<double>(signals_.stop_signal())}).front();
  if (stop_signal > 0) stop(static_cast<int>(stop_signal));
  return group_.gather(scores, group_.share(batches, 0).size() * size);
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

std::vector<double> Trainer::predict(const std::vector<Example>& examples) {
  use_best_weights();
  return scores_of(examples, models::Precision::kFloat32);
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
