#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "train/loss.h"
#include "train/output_fit.h"
#include "train/training_log.h"

namespace epvs::train {

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
  if (job_.recipe.train.precision == models::Precision::kFloat64) network_->to(torch::kDouble);
  network_->train();
  optimizer_ = make_optimizer(job_.recipe.train, trained_parameters(*network_, job_.recipe.train));
  step_ = std::make_unique<TrainingStep>(*network_, *optimizer_, job_.recipe,
                                         job_.preprocessing.spacing_mm, job_.device, group_,
                                         job_.profile);
  // Before the first epoch the residuals are those of a network that scores a constant.
  state_.tukey_scale = median_absolute_deviation(labels_of(job_.examples.train));
}

TrainingSummary Trainer::run() {
  const TrainOptions& options = job_.recipe.train;
  epoch_part_start_ = Clock::now();
  if (!resumed_) start();
  share_weights();
  if (state_.epoch == 0 && state_.batch == 0) checkpoint();
  if (options.tensorboard && group_.is_first()) {
    monitor_ = std::make_unique<Monitor>(job_.run_folder, state_.history);
  }
  {
    const std::int64_t batches =
        EpochPlan::batches_of(std::ssize(job_.examples.train), options.batch_size);
    StepReport steps(log_, job_.log_steps, options.epochs, batches,
                     batches * state_.epoch + state_.batch);
    while (!state_.finished) {
      train_epoch(steps);
      end_epoch();
    }
  }
  return summary();
}

/// What comes before the first epoch: the weights of --init are a candidate like those of any
/// epoch, so that fine-tuning cannot make things worse; then the output unit is fitted.
void Trainer::start() {
  if (job_.init && !job_.examples.validation.empty()) {
    EpochRow row;
    row.train_loss = row.gradient_norm = row.learning_rate = std::nan("");
    validate(row);
    decide_best(row, state_, job_.recipe.train, true);
    row.seconds = seconds_since(epoch_part_start_);
    state_.history.push_back(row);
    share_state();
    keep_best();
    log_.info("{}", epoch_line(state_.history, job_.recipe.train.epochs, true));
  }
  if (group_.is_first()) fit_output_unit();
}

void Trainer::fit_output_unit() {
  if (job_.recipe.train.output_fit != OutputFit::kRidge) return;
  const RidgeFit fit =
      fit_output(*network_, source_, job_.examples.train, job_.recipe.train.batch_size, job_.device,
                 job_.init.has_value(), [this] {
                   if (!group_.has_others()) signals_.throw_if_stopped();
                 });
  log_.info(
      "output unit fitted by ridge regression to {} scans: penalty {:.3g}, {:.1f} degrees of "
      "freedom, root mean square error {:.3g}, cross-validated {:.3g}",
      job_.examples.train.size(), fit.penalty, fit.degrees_of_freedom, std::sqrt(fit.mean_square),
      std::sqrt(fit.gcv));
}

void Trainer::train_epoch(StepReport& steps) {
  const EpochPlan plan(job_.examples.train, job_.recipe.train, job_.seed, state_.epoch);
  models::BatchLoader loader(source_, plan.own_rows(group_, state_.batch), job_.device);
  optimizer_->zero_grad();
  for (std::int64_t i = state_.batch; i < plan.size(); ++i) {
    const std::vector<const data::Example*>& batch = plan.batch(i);
    torch::Tensor volumes;
    if (group_.share(batch.size()).size() > 0) {
      const models::Timed timed(job_.profile, "data");
      volumes = loader.next()->volumes;
    }
    const TrainingStep::Outcome outcome =
        step_->add_batch(volumes, batch, plan.weight(i), moment());
    count(outcome, std::ssize(batch));
    ++steps_;
    const double progress = static_cast<double>(state_.epoch) +
                            static_cast<double>(i + 1) / static_cast<double>(plan.size());
    if (plan.ends_update(i)) {
      state_.norm_sum += step_->update(learning_rate(progress), moment());
      ++state_.updates;
      state_.batch = i + 1;
      answer_signals();
    }
    steps.step({state_.epoch + 1, i + 1, outcome.loss,
                state_.loss_sum / static_cast<double>(state_.loss_scans), learning_rate(progress)});
  }
}

void Trainer::count(const TrainingStep::Outcome& outcome, std::int64_t scans) {
  state_.loss_sum += outcome.loss * static_cast<double>(scans);
  state_.loss_scans += scans;
  if (job_.recipe.train.loss.kind != Loss::kTukey) return;
  state_.residuals.insert(state_.residuals.end(), outcome.residuals.begin(),
                          outcome.residuals.end());
}

void Trainer::end_epoch() {
  const TrainOptions& options = job_.recipe.train;
  const bool has_validation = !job_.examples.validation.empty();
  EpochRow row;
  row.epoch = state_.epoch + 1;
  row.train_loss = state_.loss_sum / static_cast<double>(state_.loss_scans);
  row.gradient_norm = state_.norm_sum / static_cast<double>(state_.updates);
  row.learning_rate = learning_rate(static_cast<double>(row.epoch));
  validate(row);
  require_finite_weights(optimizer_->parameters(), row.epoch);
  decide_best(row, state_, options, has_validation);
  if (options.schedule == Schedule::kPlateau &&
      static_cast<double>(row.epoch) > options.warmup_epochs) {
    state_.plateau.see(stop_value(row, options, has_validation), options);
  }
  row.seconds = state_.epoch_seconds + seconds_since(epoch_part_start_);
  state_.begin_next_epoch(row);
  state_.finished = state_.epoch >= options.epochs ||
                    (options.patience > 0 && state_.epochs_without_improvement >= options.patience);
  share_state();
  epoch_part_start_ = Clock::now();
  write_epoch(state_.history.back());
}

void Trainer::write_epoch(const EpochRow& row) {
  const TrainOptions& options = job_.recipe.train;
  if (row.is_best) keep_best();
  const bool due = group_.largest({wants_checkpoint(true) ? 1.0 : 0.0}).front() > 0;
  if (due || state_.finished) checkpoint();
  const models::Timed timed(job_.profile, "files");
  if (group_.is_first()) write_training_table(job_.run_folder / "training.tsv", state_.history);
  log_.info("{}", epoch_line(state_.history, options.epochs, !job_.examples.validation.empty()));
  if (!monitor_) return;
  monitor_->epoch(row);
  if (row.is_best) show_network(row);
}

void Trainer::show_network(const EpochRow& row) {
  monitor_->weights(*network_, row.epoch);
  const data::Example& shown = job_.examples.validation.empty() ? job_.examples.train.front()
                                                                : job_.examples.validation.front();
  const auto type = network_->parameters().front().scalar_type();
  monitor_->attention(*network_, source_.volume(shown.row).to(job_.device, type),
                      job_.preprocessing.spacing_mm, row.epoch);
}

void Trainer::validate(EpochRow& row) {
  const models::Timed timed(job_.profile, "validation");
  const std::vector<data::Example>& examples = job_.examples.validation;
  const double label_sd =
      fill_validation(row, examples, scores_of(*network_, examples, job_.recipe.train.precision),
                      job_.recipe.train.loss, state_.tukey_scale);
  collapse_.look(row, state_.history, label_sd, examples.size(), log_);
}

TrainingSummary Trainer::summary() const {
  TrainingSummary summary;
  summary.epochs = state_.epoch;
  summary.best_epoch = state_.best_epoch;
  summary.stopped_because =
      state_.epoch < job_.recipe.train.epochs
          ? fmt::format("no improvement in {} epochs", state_.epochs_without_improvement)
          : "all epochs done";
  for (const EpochRow& row : state_.history) summary.seconds += row.seconds;
  summary.steps = steps_;
  return summary;
}

double Trainer::learning_rate(double epoch) const {
  const TrainOptions& options = job_.recipe.train;
  return options.learning_rate * schedule_factor(options, epoch) * state_.plateau.factor;
}

TrainingStep::Moment Trainer::moment() const {
  return {job_.seed, state_.epoch, state_.updates, state_.tukey_scale};
}

void Trainer::answer_signals() {
  const bool wanted = signals_.take_checkpoint_request() || wants_checkpoint(false);
  // What one process was asked for, all do.
  const std::vector<double> asked =
      group_.largest({wanted ? 1.0 : 0.0, static_cast<double>(signals_.stop_signal())});
  const int stop_signal = static_cast<int>(asked[1]);
  if (asked[0] > 0 || stop_signal != 0) {
    checkpoint();
    log_.info("checkpoint written after {} epochs and {} batches", state_.epoch, state_.batch);
  }
  if (stop_signal != 0) throw core::Interrupted(stop_signal);
}

std::vector<double> Trainer::scores_of(models::Network& network,
                                       const std::vector<data::Example>& examples,
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
    scores = score_examples(network, source_, {at(own.begin), at(own.end)},
                            job_.recipe.train.batch_size, job_.device, precision, [this] {
                              if (!group_.has_others()) signals_.throw_if_stopped();
                            });
  } catch (const core::Interrupted&) {
    if (!state_.finished) checkpoint();  // the output unit is the one in training again
    throw;
  }
  if (!group_.has_others()) return scores;
  const auto stop_signal = group_.largest({static_cast<double>(signals_.stop_signal())}).front();
  if (stop_signal > 0) {
    if (!state_.finished) checkpoint();
    throw core::Interrupted(static_cast<int>(stop_signal));
  }
  return group_.gather(scores, group_.share(batches, 0).size() * size);
}

std::vector<double> Trainer::predict(const std::vector<data::Example>& examples) {
  EPVS_ASSERT(best_);
  return scores_of(*best_, examples, models::Precision::kFloat32);
}

void Trainer::resume() {
  std::filesystem::path checkpoint;
  if (group_.is_first()) checkpoint = read_checkpoint();
  resumed_ = true;
  share_state();
  share_weights();
  if (state_.has_best()) {
    keep_best();
    if (group_.is_first()) load_best_weights(checkpoint, *best_);
    group_.broadcast(best_->parameters());
  }
  const NamedTensors state = optimizer_->state();
  for (const auto& [name, tensor] : state) group_.broadcast({tensor});
  optimizer_->load_state(state);
  log_.info("resuming after {} epochs{}", state_.epoch,
            state_.batch > 0 ? fmt::format(" and {} batches", state_.batch) : "");
}

std::filesystem::path Trainer::read_checkpoint() {
  const auto last = find_checkpoint(last_checkpoint(job_.run_folder));
  if (!last) {
    throw core::UsageError(
        fmt::format("{} has no complete checkpoint to resume", job_.run_folder.string()),
        "check --out; to train anew, leave out --resume (and add --force to overwrite)");
  }
  state_ = read_checkpoint_state(*last);
  load_checkpoint(*last, *network_, *optimizer_);
  write_training_table(job_.run_folder / "training.tsv", state_.history);
  return *last;
}

bool Trainer::wants_checkpoint(bool epoch_ends) const {
  return is_checkpoint_due(seconds_since(last_checkpoint_), checkpoint_seconds_,
                           job_.recipe.train.checkpoint_minutes, epoch_ends);
}

void Trainer::checkpoint() {
  const models::Timed timed(job_.profile, "files");
  require_finite_weights(optimizer_->parameters(), state_.epoch + 1);
  state_.epoch_seconds += seconds_since(epoch_part_start_);
  const auto start = epoch_part_start_ = Clock::now();
  if (group_.is_first()) {
    std::optional<DescribedWeights> best;
    if (best_) best.emplace(DescribedWeights{*best_, metadata(state_.best_epoch)});
    save_checkpoint(last_checkpoint(job_.run_folder), {*network_, metadata(state_.epoch)}, best,
                    *optimizer_, state_, job_.identity);
  }
  // A launcher may end all processes as soon as one has ended: none goes on before it is written.
  group_.barrier();
  last_checkpoint_ = Clock::now();
  checkpoint_seconds_ = seconds_since(start);
}

void Trainer::keep_best() {
  if (!best_) {
    best_ = models::make_network(job_.recipe.network, 0);
    best_->to(job_.device, network_->parameters().front().scalar_type());
  }
  const torch::NoGradGuard no_grad;
  const std::vector<torch::Tensor> now = network_->parameters();
  const std::vector<torch::Tensor> best = best_->parameters();
  for (std::size_t i = 0; i < now.size(); ++i) best[i].copy_(now[i]);
}

void Trainer::share_weights() {
  group_.broadcast(network_->parameters());
}

void Trainer::share_state() {
  if (!group_.has_others()) return;
  state_ = TrainerState::from_json(core::Json::parse(group_.broadcast(state_.to_json().dump())),
                                   "rank 0");
}

void Trainer::save_best(const std::filesystem::path& path) {
  EPVS_ASSERT(best_);
  best_->to(torch::kFloat);  // what others read is float32, after training in float64 too
  if (group_.is_first()) models::save_weights(path, *best_, metadata(state_.best_epoch));
}

models::WeightsMetadata Trainer::metadata(std::int64_t epoch) const {
  models::WeightsMetadata metadata;
  metadata.network = network_->options();
  metadata.preprocessing = job_.preprocessing;
  metadata.target = job_.examples.target;
  metadata.provenance = job_.provenance;
  metadata.provenance["epoch"] = epoch;
  for (const EpochRow& row : state_.history) {
    if (row.epoch != state_.best_epoch) continue;
    metadata.provenance["best_epoch"] = row.epoch;
    metadata.provenance["train_loss"] = row.train_loss;
    metadata.provenance["validation_loss"] = row.validation_loss;
  }
  return metadata;
}

}  // namespace epvs::train
