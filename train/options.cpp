#include "train/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace epvs::train {

namespace {

void declare_train(TrainOptions& train, core::ParameterTable& table) {
  table.add("train.region", &train.region, "region to train on; empty takes the cohort's only one");
  table.add("train.epochs", &train.epochs, "passes over the training scans").range(1, 1e7);
  table.add("train.batch_size", &train.batch_size, "volumes per batch")
      .range(1, 4096)
      .unit("scans");
  table.add("train.accumulate", &train.accumulate, "batches whose gradients make one update")
      .range(1, 4096);
  table.add("train.loss", &train.loss.kind, "training loss");
  table.add("train.huber_delta", &train.loss.huber_delta, "where the Huber loss becomes linear")
      .unit("label units");
  table.add("train.tukey_constant", &train.loss.tukey_constant,
            "Tukey's biweight: residuals beyond this many scales count alike");
  table.add("train.optimizer", &train.optimizer, "optimiser");
  table.add("train.learning_rate", &train.learning_rate, "multiplies each update").range(0, 1e6);
  table.add("train.rho", &train.rho, "Adadelta: decay of the running averages").range(0, 1);
  table.add("train.epsilon", &train.epsilon, "Adadelta, AdamW: added under the root").range(0, 1);
  table.add("train.beta1", &train.beta1, "AdamW: decay of the mean gradient").range(0, 1);
  table.add("train.beta2", &train.beta2, "AdamW: decay of the mean square").range(0, 1);
  table.add("train.momentum", &train.momentum, "SGD: momentum").range(0, 1);
  table.add("train.nesterov", &train.nesterov, "SGD: Nesterov's form of the momentum");
  table.add("train.weight_decay", &train.weight_decay, "pull of the weights to zero").range(0, 1e6);
  table.add("train.clip_norm", &train.clip_norm, "largest norm of the gradient; 0 does not clip")
      .range(0);
  table.add("train.schedule", &train.schedule, "learning rate over the epochs");
  table.add("train.warmup_epochs", &train.warmup_epochs, "the learning rate grows linearly from 0")
      .range(0)
      .unit("epochs");
  table.add("train.step_epochs", &train.step_epochs, "schedule step: epochs between two steps")
      .range(1e-6)
      .unit("epochs");
  table
      .add("train.step_factor", &train.step_factor,
           "schedules step and plateau: factor at each step")
      .range(0, 1);
  table
      .add(
          "train.plateau_epochs", &train.plateau_epochs,
          "schedule plateau: epochs without improvement of the stop metric by train.min_delta that "
          "are borne; one more is a step")
      .range(0, 1e7)
      .unit("epochs");
  table
      .add("train.final_factor", &train.final_factor,
           "schedules cosine and linear: factor at the last epoch; plateau: the smallest factor")
      .range(0, 1);
  table.add("train.freeze", &train.freeze,
            "parameters that stay as they are, by name with * and ?: conv1*");
  table.add("train.learning_rates", &train.learning_rates,
            "own factors of the learning rate, pattern=factor; the last match counts");
}

void declare_stopping(TrainOptions& train, core::ParameterTable& table) {
  table
      .add("train.patience", &train.patience,
           "stop after this many epochs without improvement; 0 never stops early")
      .range(0, 1e7)
      .unit("epochs");
  table.add("train.min_delta", &train.min_delta, "smallest change that is an improvement").range(0);
  table.add("train.stop_metric", &train.stop_metric,
            "validation figure that decides the best epoch and early stopping");
  table.add("train.bias_init_from_labels", &train.bias_init_from_labels,
            "start the last bias at the mean training label, not at network.bias_init");
  table.add("train.output_fit", &train.output_fit,
            "ridge: before the first epoch the output unit is set to the ridge regression of the "
            "labels on the features of the training scans; with --init the penalty pulls towards "
            "the weights it had");
  table.add("train.pool_scale_from_voxels", &train.pool_scale_from_voxels,
            "set network.pool_scale to the voxels of the input / 1000: counts are diluted over all "
            "voxels by an average, and plain average pooling learns slowly");
  table
      .add("train.checkpoint_minutes", &train.checkpoint_minutes,
           "longest time between checkpoints, also within an epoch; 0 writes them between epochs "
           "only. An epoch's end writes one sooner where that takes less than 2% of the time")
      .range(0)
      .unit("min");
  table
      .add("train.cache_gb", &train.cache_gb,
           "memory that keeps volumes between epochs, on a GPU where half of its memory suffices; "
           "the other volumes are read ahead")
      .range(0)
      .unit("GB");
  table.add("train.precision", &train.precision,
            "of the convolutions: bf16 (CPU with AVX-512, GPU), while weights, optimiser, pooling, "
            "dense layers and loss stay float32; tf32 (GPU): of convolutions and dense layers; "
            "float64: of all of them, for comparisons, the final weights.safetensors is float32");
  table.add("train.deterministic", &train.deterministic,
            "take deterministic kernels where there are some; false lets cuDNN choose the fastest");
  table.add("train.flush_denormals", &train.flush_denormals,
            "treat numbers below 1e-38 as zero; they make a CPU slow");
  table.add("train.tensorboard", &train.tensorboard,
            "write curves, and at each best epoch histograms of the weights and an attention map, "
            "for TensorBoard");
}

void declare_augmentation(AugmentationOptions& augment, core::ParameterTable& table) {
  table.add("augment.enabled", &augment.enabled, "transform the training volumes randomly");
  table.add("augment.flips", &augment.flips, "axes to flip");
  table.add("augment.flip_probability", &augment.flip_probability, "probability of each flip")
      .range(0, 1);
  table.add("augment.rotation_rad", &augment.rotation_rad, "largest rotation about each axis, +-")
      .range(0, 3.2)
      .unit("rad");
  table
      .add("augment.translation_voxels", &augment.translation_voxels,
           "largest shift along each axis, +-")
      .range(0)
      .unit("voxels");
}

void declare_clinical(AugmentationOptions& augment, core::ParameterTable& table) {
  table
      .add("augment.clinical_probability", &augment.clinical_probability,
           "probability of each of the following parts, which imitate clinical scans")
      .range(0, 1);
  table
      .add("augment.slice_thickness_mm", &augment.slice_thickness_mm,
           "smallest and largest thickness of imitated slices; 0, 0 leaves them")
      .length(2)
      .range(0, 50)
      .unit("mm");
  table
      .add("augment.slice_gap_fraction", &augment.slice_gap_fraction,
           "largest gap between imitated slices, as a fraction of their thickness")
      .range(0, 5);
  table.add("augment.contrast", &augment.contrast, "largest change of log contrast, +-")
      .range(0, 3);
  table.add("augment.gamma", &augment.gamma, "largest change of log gamma, +-").range(0, 3);
  table
      .add("augment.bias_field", &augment.bias_field,
           "largest coefficients of the log bias field, a quadratic, +-")
      .range(0, 3);
  table.add("augment.blur_mm", &augment.blur_mm, "largest sigma of a Gaussian blur")
      .range(0, 20)
      .unit("mm");
  table.add("augment.noise", &augment.noise, "largest SD of Rician noise; volumes are 0..1")
      .range(0, 1);
}

}  // namespace

void require(bool holds, std::string_view name, double value, std::string_view constraint) {
  if (holds) return;
  throw core::UsageError(fmt::format("{} = {}. Violated constraint: {}", name, value, constraint));
}

bool matches_pattern(const std::string& text, const std::string& pattern) {
  return ::fnmatch(pattern.c_str(), text.c_str(), FNM_NOESCAPE) == 0;
}

void LossOptions::validate() const {
  require(huber_delta > 0, "huber_delta", huber_delta, "huber_delta > 0");
  require(tukey_constant > 0, "tukey_constant", tukey_constant, "tukey_constant > 0");
}

void AugmentationOptions::validate() const {
  require(flip_probability >= 0 && flip_probability <= 1, "flip_probability", flip_probability,
          "0 <= flip_probability <= 1");
  require(rotation_rad >= 0 && rotation_rad <= 3.2, "rotation_rad", rotation_rad,
          "0 <= rotation_rad <= 3.2");
  require(translation_voxels >= 0, "translation_voxels", translation_voxels,
          "translation_voxels >= 0");
  if (slice_thickness_mm.size() == 2 && slice_thickness_mm[0] >= 0 &&
      slice_thickness_mm[0] <= slice_thickness_mm[1] &&
      (slice_thickness_mm[0] > 0 || slice_thickness_mm[1] == 0)) {
    return;
  }
  throw core::UsageError(
      fmt::format("slice_thickness_mm = [{}]. Violated constraint: two numbers, 0 < first <= "
                  "second, or 0, 0 for none",
                  fmt::join(slice_thickness_mm, ", ")));
}

void TrainOptions::validate() const {
  loss.validate();
  require(learning_rate > 0, "train.learning_rate", learning_rate, "train.learning_rate > 0");
  require(rho < 1, "train.rho", rho, "train.rho < 1");
  require(beta1 < 1, "train.beta1", beta1, "train.beta1 < 1");
  require(beta2 < 1, "train.beta2", beta2, "train.beta2 < 1");
  require(momentum < 1, "train.momentum", momentum, "train.momentum < 1");
  require(!nesterov || momentum > 0, "train.nesterov = true with train.momentum", momentum,
          "train.momentum > 0");
  for (const std::string& entry : learning_rates) {
    const std::size_t equals = entry.rfind('=');
    const auto factor = equals == std::string::npos
                            ? std::nullopt
                            : core::parse_number(std::string_view(entry).substr(equals + 1));
    if (!factor || !(*factor >= 0) || !std::isfinite(*factor)) {
      throw core::UsageError(fmt::format(
          "train.learning_rates has '{}', expected pattern=factor such as conv1*=0.1", entry));
    }
  }
}

void Recipe::declare(core::ParameterTable& table) {
  network.declare(table);
  declare_train(train, table);
  declare_stopping(train, table);
  declare_augmentation(augment, table);
  declare_clinical(augment, table);
}

void Recipe::validate() const {
  network.validate();
  train.validate();
  augment.validate();
}

}  // namespace epvs::train
