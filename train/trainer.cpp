#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "core/table.h"
#include "core/text.h"
#include "train/agreement.h"
#include "train/augmentation.h"
#include "train/clinical_augmentation.h"
#include "train/loss.h"
#include "train/optimizer_setup.h"

namespace epvs::train {

namespace fs = std::filesystem;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<double> labels_of(const std::vector<Example>& examples) {
  std::vector<double> labels;
  for (const Example& example : examples) labels.push_back(example.label);
  return labels;
}

bool is_memory_error(const c10::Error& error) {
  const std::string text = error.what();
  return text.find("out of memory") != std::string::npos ||
         text.find("not enough memory") != std::string::npos ||
         text.find("can't allocate memory") != std::string::npos;
}

}  // namespace

Trainer::Trainer(TrainingJob job, const models::VolumeSource& source, core::Log& log,
                 core::StopSignals& signals)
    : job_(std::move(job)),
      source_(source),
      log_(log),
      signals_(signals),
      epoch_part_start_(Clock::now()),
      last_checkpoint_(Clock::now()) {
  job_.recipe.validate();
  network_ = models::make_network(job_.recipe.network, core::mix_seed(job_.seed, {"network"}));
  if (job_.init) models::load_weights_into(*job_.init, *network_);
  network_->to(job_.device);
  network_->train();
  optimizer_ = make_optimizer(job_.recipe.train, trained_parameters(*network_, job_.recipe.train));
  for (std::size_t i = 0; i < job_.examples.train.size(); ++i) {
    example_by_row_[job_.examples.train[i].row] = i;
  }
  // Before the first epoch the residuals are those of a network that scores a constant.
  state_.tukey_scale = median_absolute_deviation(labels_of(job_.examples.train));
}

void Trainer::resume() {
  const auto last = find_checkpoint(checkpoint_folder("last"));
  if (!last) {
    throw core::UsageError(
        fmt::format("{} has no complete checkpoint to resume", job_.run_folder.string()),
        "check --out; to train anew, leave out --resume (and add --force to overwrite)");
  }
  state_ = read_checkpoint_state(*last);
  load_checkpoint(*last, *network_, *optimizer_);
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
      save_checkpoint(checkpoint_folder("best"), *network_, metadata(), nullptr, state_,
                      job_.identity);
    }
  }
  write_history();
  log_.info("resuming after {} epochs{}", state_.epoch,
            state_.batch > 0 ? fmt::format(" and {} batches", state_.batch) : "");
}

TrainingSummary Trainer::run() {
  const TrainOptions& options = job_.recipe.train;
  epoch_part_start_ = Clock::now();
  if (state_.epoch == 0 && state_.batch == 0) checkpoint();
  if (options.tensorboard) {
    monitor_ = std::make_unique<Monitor>(job_.run_folder, state_.history);
  }
  TrainingSummary summary;
  {
    const auto batches = static_cast<std::size_t>(batches_per_epoch());
    core::Progress progress(log_, "training", batches * static_cast<std::size_t>(options.epochs),
                            "step");
    progress.skip(batches * static_cast<std::size_t>(state_.epoch) +
                  static_cast<std::size_t>(state_.batch));
    while (!state_.finished) {
      train_epoch(progress);
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

void Trainer::train_epoch(core::Progress& progress) {
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
  models::BatchLoader loader(source_, {batches.begin() + state_.batch, batches.end()});
  std::vector<std::string> group_names;
  optimizer_->zero_grad();
  for (std::int64_t batch = state_.batch; batch < total; ++batch) {
    const auto volumes = loader.next();
    const auto scans = static_cast<std::int64_t>(volumes->rows.size());
    const double value = train_batch(*volumes, static_cast<double>(scans) / group_scans(batch));
    state_.loss_sum += value * static_cast<double>(scans);
    state_.loss_scans += scans;
    if ((batch + 1) % options.accumulate == 0 || batch + 1 == total) {
      update_weights(static_cast<double>(state_.epoch) +
                     static_cast<double>(batch + 1) / static_cast<double>(total));
      state_.batch = batch + 1;
      answer_signals();
    }
    progress.advance(1, fmt::format("epoch {} loss {:.4g}", state_.epoch + 1,
                                    state_.loss_sum / static_cast<double>(state_.loss_scans)));
  }
}

const Example& Trainer::example_of_row(std::size_t row) const {
  return job_.examples.train[example_by_row_.at(row)];
}

double Trainer::train_batch(const models::Batch& batch, double weight) {
  torch::Tensor volumes = batch.volumes.to(job_.device);
  const AugmentationOptions& augment = job_.recipe.augment;
  std::vector<SpatialTransform> transforms;
  std::vector<ClinicalTransform> clinical;
  std::vector<float> labels;
  for (const std::size_t row : batch.rows) {
    const Example& example = example_of_row(row);
    labels.push_back(static_cast<float>(example.label));
    transforms.push_back(draw_spatial(augment, job_.seed, state_.epoch, example.name()));
    clinical.push_back(draw_clinical(augment, job_.seed, state_.epoch, example.name()));
  }
  const torch::Tensor targets = torch::tensor(labels).to(job_.device);
  double value = 0;
  try {
    volumes = apply_spatial(volumes, transforms, job_.preprocessing.spacing_mm);
    if (augment.is_clinical()) {
      volumes = apply_clinical(volumes, clinical, job_.preprocessing.spacing_mm);
    }
    const torch::Tensor scores = network_->forward(volumes);
    const torch::Tensor batch_loss =
        loss(job_.recipe.train.loss, scores, targets, state_.tukey_scale);
    value = batch_loss.item<double>();
    const torch::Tensor values = scores.detach().to(torch::kCPU, torch::kDouble);
    for (std::size_t i = 0; i < batch.rows.size(); ++i) {
      const double score = values[static_cast<std::int64_t>(i)].item<double>();
      if (job_.recipe.train.loss.kind == "tukey") {
        state_.residuals.push_back(score - static_cast<double>(labels[i]));
      }
      if (std::isfinite(score) && std::isfinite(value)) continue;
      throw core::RunError(
          fmt::format("training diverged in epoch {}: the {} of {} is {}", state_.epoch + 1,
                      std::isfinite(score) ? "loss" : "score", example_of_row(batch.rows[i]).name(),
                      std::isfinite(score) ? value : score),
          "the last good checkpoint is kept; lower train.learning_rate or set train.clip_norm");
    }
    (batch_loss * weight).backward();
  } catch (const c10::Error& error) {
    if (is_memory_error(error)) explain_memory(error, volumes);
    throw;
  }
  return value;
}

void Trainer::explain_memory(const c10::Error& error, const torch::Tensor& volumes) {
  optimizer_->zero_grad();
  std::int64_t fits = 0;
  for (std::int64_t size = volumes.size(0) / 2; size >= 1 && fits == 0; size /= 2) {
    try {
      network_->forward(volumes.narrow(0, 0, size)).sum().backward();
      fits = size;
    } catch (const c10::Error&) {
      // That size does not fit either; the next is half of it.
    }
    optimizer_->zero_grad();
  }
  throw core::RunError(
      fmt::format("a batch of {} volumes of {} voxels does not fit in the memory of {}",
                  volumes.size(0), volumes[0].numel(), job_.device.str()),
      fits > 0 ? fmt::format("train.batch_size = {} fits; with train.accumulate = {} it gives the "
                             "same updates",
                             fits, (volumes.size(0) + fits - 1) / fits)
               : fmt::format("not even one volume fits ({}); take a smaller network or device with "
                             "more memory",
                             error.what_without_backtrace()));
}

void Trainer::update_weights(double progress_in_epochs) {
  const TrainOptions& options = job_.recipe.train;
  const double norm = gradient_norm(optimizer_->parameters());
  if (!std::isfinite(norm)) {
    for (const NamedParameter& parameter : optimizer_->parameters()) {
      const torch::Tensor& gradient = parameter.value.grad();
      if (!gradient.defined() || torch::isfinite(gradient).all().item<bool>()) continue;
      throw core::RunError(
          fmt::format("training diverged in epoch {}, update {}: the gradient of {} is not finite",
                      state_.epoch + 1, state_.updates + 1, parameter.name),
          "the last good checkpoint is kept; lower train.learning_rate or set train.clip_norm");
    }
  }
  state_.norm_sum += norm;
  ++state_.updates;
  if (options.clip_norm > 0) {
    clip_gradients(optimizer_->parameters(), norm, options.clip_norm);
  }
  optimizer_->step(options.learning_rate * options.schedule_factor(progress_in_epochs));
  optimizer_->zero_grad();
}

void Trainer::answer_signals() {
  const double minutes = job_.recipe.train.checkpoint_minutes;
  const bool due = minutes > 0 && seconds_since(last_checkpoint_) > 60 * minutes;
  const bool requested = signals_.take_checkpoint_request();
  const bool stop = signals_.stop_signal() != 0;
  if (due || requested || stop) {
    checkpoint();
    log_.info("checkpoint written after {} epochs and {} batches", state_.epoch, state_.batch);
  }
  if (stop) signals_.throw_if_stopped();
}

void Trainer::end_epoch() {
  const TrainOptions& options = job_.recipe.train;
  EpochRow row;
  row.epoch = state_.epoch + 1;
  row.train_loss = state_.loss_sum / static_cast<double>(state_.loss_scans);
  row.gradient_norm = state_.norm_sum / static_cast<double>(state_.updates);
  row.learning_rate =
      options.learning_rate * options.schedule_factor(static_cast<double>(row.epoch));
  validate(row);
  check_finite_weights();
  decide(row);
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
  epoch_part_start_ = Clock::now();
  if (row.is_best || state_.finished || state_.epoch % options.checkpoint_epochs == 0) {
    checkpoint();
  }
  if (row.is_best) {
    // After `last`: when a kill comes between the two, resume() takes the weights from there.
    save_checkpoint(checkpoint_folder("best"), *network_, metadata(), nullptr, state_,
                    job_.identity);
  }
  write_history();
  report(row);
  show_in_tensorboard(row);
}

void Trainer::show_in_tensorboard(const EpochRow& row) {
  if (!monitor_) return;
  monitor_->epoch(row);
  if (!row.is_best) return;
  monitor_->weights(*network_, row.epoch);
  const Example& shown = job_.examples.validation.empty() ? job_.examples.train.front()
                                                          : job_.examples.validation.front();
  monitor_->attention(*network_, source_.volume(shown.row).to(job_.device),
                      job_.preprocessing.spacing_mm, row.epoch);
}

void Trainer::validate(EpochRow& row) {
  row.validation_loss = row.validation_mae = row.validation_pearson = row.validation_icc2 =
      row.validation_score_sd = kNaN;
  const std::vector<Example>& examples = job_.examples.validation;
  if (examples.empty()) return;
  const std::vector<double> scores = scores_of(examples);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    throw core::RunError(
        fmt::format("training diverged in epoch {}: the score of {} is {}", row.epoch,
                    examples[i].name(), scores[i]),
        "the last good checkpoint is kept; lower train.learning_rate or set train.clip_norm");
  }
  const std::vector<double> labels = labels_of(examples);
  const Agreement result = agreement(scores, labels);
  row.validation_loss = loss(job_.recipe.train.loss, torch::tensor(scores, torch::kDouble),
                             torch::tensor(labels, torch::kDouble), state_.tukey_scale)
                            .item<double>();
  row.validation_mae = result.mae;
  row.validation_pearson = result.pearson;
  row.validation_icc2 = result.icc2;
  row.validation_score_sd = result.score_sd;
  warn_of_collapse(row, result.label_sd);
}

void Trainer::warn_of_collapse(const EpochRow& row, double label_sd) {
  // Adadelta starts slowly, so one flat epoch means nothing; a run of them does.
  constexpr std::size_t kEpochs = 5;
  constexpr std::int64_t kFirstEpoch = 10;
  constexpr double kFraction = 0.05;
  if (warned_of_collapse_ || row.epoch < kFirstEpoch) return;
  const auto is_flat = [&](const EpochRow& epoch) {
    return epoch.validation_score_sd < kFraction * label_sd;
  };
  const auto& history = state_.history;
  if (!is_flat(row) || history.size() + 1 < kEpochs) return;
  if (!std::all_of(history.end() - (kEpochs - 1), history.end(), is_flat)) return;
  warned_of_collapse_ = true;
  log_.warning(
      "epoch {}: the scores have nearly collapsed to one value for {} epochs: their SD is {:.3g}, "
      "that of the labels {:.3g} (n {}). Try train.bias_init_from_labels, "
      "train.pool_scale_from_voxels, network.init = \"he\" or another learning rate",
      row.epoch, kEpochs, row.validation_score_sd, label_sd, job_.examples.validation.size());
}

void Trainer::decide(EpochRow& row) {
  const TrainOptions& options = job_.recipe.train;
  // Smaller is better; without validation scans every epoch is the best so far.
  double value = -static_cast<double>(row.epoch);
  if (!job_.examples.validation.empty()) {
    if (options.stop_metric == "loss") value = row.validation_loss;
    if (options.stop_metric == "mae") value = row.validation_mae;
    if (options.stop_metric == "pearson") value = -row.validation_pearson;
    if (options.stop_metric == "icc2") value = -row.validation_icc2;
    // Scores that are all equal have no correlation: the worst possible value.
    if (std::isnan(value)) value = 1;
  }
  const double margin = job_.examples.validation.empty() ? 0 : options.min_delta;
  row.is_best = state_.best_epoch == 0 || value < state_.best_value - margin;
  if (row.is_best) {
    state_.best_epoch = row.epoch;
    state_.best_value = value;
    state_.epochs_without_improvement = 0;
  } else {
    ++state_.epochs_without_improvement;
  }
}

void Trainer::report(const EpochRow& row) {
  double recent = 0;
  const std::size_t count = std::min<std::size_t>(5, state_.history.size());
  for (std::size_t i = state_.history.size() - count; i < state_.history.size(); ++i) {
    recent += state_.history[i].seconds / static_cast<double>(count);
  }
  const double left = recent * static_cast<double>(job_.recipe.train.epochs - row.epoch);
  std::string validation;
  if (!job_.examples.validation.empty()) {
    validation = fmt::format(" | validation loss {:10.4f} r {:6.3f} ICC {:6.3f}",
                             row.validation_loss, row.validation_pearson, row.validation_icc2);
  }
  log_.info("epoch {:4d}/{} | train loss {:10.4f}{} | lr {:.3g} | {:7.2f} s | {} left{}", row.epoch,
            job_.recipe.train.epochs, row.train_loss, validation, row.learning_rate, row.seconds,
            core::format_duration(left), row.is_best ? " | best" : "");
}

void Trainer::checkpoint() {
  check_finite_weights();
  const auto now = Clock::now();
  state_.epoch_seconds += std::chrono::duration<double>(now - epoch_part_start_).count();
  epoch_part_start_ = now;
  save_checkpoint(checkpoint_folder("last"), *network_, metadata(), optimizer_.get(), state_,
                  job_.identity);
  last_checkpoint_ = Clock::now();
}

void Trainer::check_finite_weights() const {
  const torch::NoGradGuard no_grad;
  for (const NamedParameter& parameter : optimizer_->parameters()) {
    if (torch::isfinite(parameter.value).all().item<bool>()) continue;
    throw core::RunError(
        fmt::format("training diverged in epoch {}: the weights {} are not finite",
                    state_.epoch + 1, parameter.name),
        "the last good checkpoint is kept; lower train.learning_rate or set train.clip_norm");
  }
}

void Trainer::write_history() const {
  core::Table table({"epoch", "train_loss", "validation_loss", "validation_mae",
                     "validation_pearson", "validation_icc2", "validation_score_sd",
                     "learning_rate", "gradient_norm", "seconds", "is_best"});
  for (const EpochRow& row : state_.history) {
    std::vector<std::string> cells = {std::to_string(row.epoch)};
    for (const double value :
         {row.train_loss, row.validation_loss, row.validation_mae, row.validation_pearson,
          row.validation_icc2, row.validation_score_sd, row.learning_rate, row.gradient_norm}) {
      cells.push_back(core::format_number(value));
    }
    cells.push_back(fmt::format("{:.3f}", row.seconds));
    cells.push_back(row.is_best ? "1" : "0");
    table.add_row(std::move(cells));
  }
  table.write(job_.run_folder / "training.tsv");
}

std::vector<double> Trainer::scores_of(const std::vector<Example>& examples) {
  const torch::NoGradGuard no_grad;
  network_->eval();
  std::vector<std::size_t> rows;
  for (const Example& example : examples) rows.push_back(example.row);
  models::BatchLoader loader(
      source_, models::make_batches(rows, static_cast<std::size_t>(job_.recipe.train.batch_size)));
  std::vector<double> scores;
  while (const auto batch = loader.next()) {
    const torch::Tensor values =
        network_->forward(batch->volumes.to(job_.device)).to(torch::kCPU, torch::kDouble);
    for (std::int64_t i = 0; i < values.size(0); ++i) {
      scores.push_back(values[i].item<double>());
    }
    if (signals_.stop_signal() != 0) {
      if (!state_.finished) checkpoint();
      signals_.throw_if_stopped();
    }
  }
  network_->train();
  return scores;
}

void Trainer::use_best_weights() {
  if (uses_best_weights_) return;
  const auto best = find_checkpoint(checkpoint_folder("best"));
  EPVS_ASSERT(best);
  models::load_weights_into(*best / "weights.safetensors", *network_);
  uses_best_weights_ = true;
}

std::vector<double> Trainer::predict(const std::vector<Example>& examples) {
  use_best_weights();
  return scores_of(examples);
}

void Trainer::save_best(const fs::path& path) {
  use_best_weights();
  models::save_weights(path, *network_, metadata());
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
