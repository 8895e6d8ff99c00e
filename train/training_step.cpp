#include "train/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "core/random.h"
#include "train/augmentation/augmentation.h"
#include "train/loss.h"

namespace epvs::train {

namespace {

bool is_memory_error(const c10::Error& error) {
  const std::string text = error.what();
  return text.find("out of memory") != std::string::npos ||
         text.find("not enough memory") != std::string::npos ||
         text.find("can't allocate memory") != std::string::npos;
}

}  // namespace

EpochPlan::EpochPlan(const std::vector<data::Example>& examples, const TrainOptions& options,
                     std::uint64_t seed, std::int64_t epoch)
    : accumulate_(options.accumulate) {
  core::Random random(core::mix_seed(seed, {"order", epoch}));
  for (const std::size_t i : random.permutation(examples.size())) {
    if (batches_.empty() || std::ssize(batches_.back()) == options.batch_size) {
      batches_.emplace_back();
    }
    batches_.back().push_back(&examples[i]);
  }
}

std::int64_t EpochPlan::batches_of(std::int64_t scans, std::int64_t batch_size) {
  return (scans + batch_size - 1) / batch_size;
}

double EpochPlan::weight(std::int64_t i) const {
  const std::int64_t begin = i / accumulate_ * accumulate_;
  std::int64_t scans = 0;
  for (std::int64_t k = begin; k < std::min(size(), begin + accumulate_); ++k) {
    scans += std::ssize(batches_[k]);
  }
  return static_cast<double>(batches_[i].size()) / static_cast<double>(scans);
}

bool EpochPlan::ends_update(std::int64_t i) const {
  return (i + 1) % accumulate_ == 0 || i + 1 == size();
}

std::vector<std::vector<std::size_t>> EpochPlan::own_rows(const ProcessGroup& group,
                                                          std::int64_t first) const {
  std::vector<std::vector<std::size_t>> rows;
  for (std::int64_t i = first; i < size(); ++i) {
    const ProcessGroup::Share own = group.share(batches_[i].size());
    if (own.size() == 0) continue;
    rows.emplace_back();
    for (std::size_t k = own.begin; k < own.end; ++k) rows.back().push_back(batches_[i][k]->row);
  }
  return rows;
}

TrainingStep::TrainingStep(models::Network& network, Optimizer& optimizer, const Recipe& recipe,
                           std::array<double, 3> spacing_mm, torch::Device device,
                           ProcessGroup& group, models::Profile* profile)
    : network_(network),
      optimizer_(optimizer),
      recipe_(recipe),
      spacing_mm_(spacing_mm),
      device_(device),
      group_(group),
      precision_(recipe.train.precision),
      profile_(profile) {
  models::require_precision(precision_, device);
  const std::vector<models::Layer> layers = models::layers_of(network.options());
  forward_flops_ = static_cast<double>(models::total_flops(layers));
  // Gradients of weights and of inputs cost as much as the layer; the volume itself needs none.
  backward_flops_ = recipe.train.freeze.empty()
                        ? 2 * forward_flops_ - static_cast<double>(layers.front().flops)
                        : 0.0;
}

TrainingStep::Outcome TrainingStep::add_batch(const torch::Tensor& volumes,
                                              const std::vector<const data::Example*>& examples,
                                              double weight, const Moment& moment) {
  const ProcessGroup::Share own = group_.share(examples.size());
  if (own.size() == 0) return forward_backward({}, examples, weight, moment);
  const torch::Tensor on_device = volumes.to(device_);
  try {
    const auto first = examples.begin() + static_cast<std::ptrdiff_t>(own.begin);
    const auto last = examples.begin() + static_cast<std::ptrdiff_t>(own.end);
    return forward_backward(augmented(on_device, {first, last}, moment), examples, weight, moment);
  } catch (const c10::Error& error) {
    if (is_memory_error(error)) explain_memory(error, on_device);
    throw;
  }
}

torch::Tensor TrainingStep::augmented(torch::Tensor volumes,
                                      const std::vector<const data::Example*>& examples,
                                      const Moment& moment) const {
  const models::Timed timed(profile_, "augmentation");
  const AugmentationOptions& augment = recipe_.augment;
  std::vector<SpatialTransform> transforms;
  std::vector<ClinicalTransform> clinical;
  for (const data::Example* example : examples) {
    transforms.push_back(draw_spatial(augment, moment.seed, moment.epoch, example->name()));
    clinical.push_back(draw_clinical(augment, moment.seed, moment.epoch, example->name()));
  }
  volumes = apply_spatial(volumes, transforms, spacing_mm_);
  if (augment.is_clinical()) volumes = apply_clinical(volumes, clinical, spacing_mm_);
  return volumes;
}

torch::Tensor TrainingStep::scores_of(const torch::Tensor& volumes) {
  const models::Timed timed(profile_, "forward",
                            forward_flops_ * static_cast<double>(volumes.size(0)));
  const models::Autocast autocast(precision_, device_);
  // float64 where the weights are
  return network_.forward(volumes.to(optimizer_.parameters().front().value.scalar_type()));
}

TrainingStep::Outcome TrainingStep::forward_backward(
    const torch::Tensor& volumes, const std::vector<const data::Example*>& examples, double weight,
    const Moment& moment) {
  std::vector<float> labels;
  for (const data::Example* example : examples) {
    labels.push_back(static_cast<float>(example->label));
  }
  const torch::Tensor targets = torch::tensor(labels).to(device_);
  const torch::Tensor own_scores = volumes.defined() ? scores_of(volumes) : torch::Tensor();
  const torch::Tensor scores =
      !group_.has_others() ? own_scores : of_all_processes(own_scores, examples.size());
  const torch::Tensor batch_loss = loss(recipe_.train.loss, scores, targets, moment.tukey_scale);
  // On a GPU this is only asked for: the one wait of a step, below, is for all of it.
  {
    const std::int64_t own_scans = own_scores.defined() ? own_scores.size(0) : 0;
    const models::Timed timed(profile_, "backward",
                              backward_flops_ * static_cast<double>(own_scans));
    (batch_loss * weight).backward();
    if (group_.has_others() && own_scores.defined()) {
      const ProcessGroup::Share own = group_.share(examples.size());
      own_scores.backward(scores.grad().narrow(0, static_cast<std::int64_t>(own.begin),
                                               static_cast<std::int64_t>(own.size())));
    }
  }
  const torch::Tensor values =
      torch::cat({scores.detach(), batch_loss.detach().view({1})}).to(torch::kCPU, torch::kDouble);
  Outcome outcome;
  outcome.loss = values[-1].item<double>();
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const double score = values[static_cast<std::int64_t>(i)].item<double>();
    outcome.residuals.push_back(score - static_cast<double>(labels[i]));
    if (std::isfinite(score) && std::isfinite(outcome.loss)) continue;
    throw core::RunError(
        fmt::format("training diverged in epoch {}: the {} of {} is {}", moment.epoch + 1,
                    std::isfinite(score) ? "loss" : "score", examples[i]->name(),
                    std::isfinite(score) ? outcome.loss : score),
        kDivergedHint);
  }
  return outcome;
}

/// A leaf: its gradient is what the loss of the whole batch asks of each score.
torch::Tensor TrainingStep::of_all_processes(const torch::Tensor& own, std::size_t batch_size) {
  std::vector<double> numbers;
  if (own.defined()) {
    const torch::Tensor values = own.detach().to(torch::kCPU, torch::kDouble).contiguous();
    numbers.assign(values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
  }
  const std::vector<double> all = group_.gather(numbers, group_.share(batch_size, 0).size());
  EPVS_ASSERT(all.size() == batch_size);
  const auto type = optimizer_.parameters().front().value.scalar_type();
  return torch::tensor(all, torch::kDouble)
      .to(device_, own.defined() ? own.scalar_type() : type)
      .requires_grad_(true);
}

void TrainingStep::explain_memory(const c10::Error& error, const torch::Tensor& volumes) {
  optimizer_.zero_grad();
  std::int64_t fits = 0;
  for (std::int64_t size = volumes.size(0) / 2; size >= 1 && fits == 0; size /= 2) {
    try {
      scores_of(volumes.narrow(0, 0, size)).sum().backward();
      fits = size;
    } catch (const c10::Error&) {
      // That size does not fit either; the next is half of it.
    }
    optimizer_.zero_grad();
  }
  throw core::RunError(
      fmt::format("a batch of {} volumes of {} voxels does not fit in the memory of {}",
                  volumes.size(0), volumes[0].numel(), device_.str()),
      fits > 0 ? fmt::format("train.batch_size = {} fits; with train.accumulate = {} it gives the "
                             "same updates",
                             fits * group_.size(), (volumes.size(0) + fits - 1) / fits)
               : fmt::format("not even one volume fits ({}); take a smaller network or a device "
                             "with more memory",
                             error.what_without_backtrace()));
}

double TrainingStep::update(double learning_rate, const Moment& moment) {
  const models::Timed timed(profile_, "update");
  group_.sum_gradients(optimizer_.parameters());
  const double norm = clip_gradients(moment);
  optimizer_.step(learning_rate);
  optimizer_.zero_grad();
  return norm;
}

double TrainingStep::clip_gradients(const Moment& moment) const {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  for (const NamedParameter& parameter : optimizer_.parameters()) {
    if (parameter.value.grad().defined()) gradients.push_back(parameter.value.grad());
  }
  if (gradients.empty()) return 0;
  // As PyTorch's clip_grad_norm_, but for gradients that need no clipping, which it multiplies by 1.
  const double norm = torch::stack(at::_foreach_norm(gradients)).norm().item<double>();
  if (!std::isfinite(norm)) throw_diverged_gradient(moment);
  const double factor = recipe_.train.clip_norm / (norm + 1e-6);
  if (recipe_.train.clip_norm > 0 && factor < 1) at::_foreach_mul_(gradients, factor);
  return norm;
}

void TrainingStep::throw_diverged_gradient(const Moment& moment) const {
  const std::string where = fmt::format(
      "training diverged in epoch {}, update {}: ", moment.epoch + 1, moment.update + 1);
  for (const NamedParameter& parameter : optimizer_.parameters()) {
    const torch::Tensor& gradient = parameter.value.grad();
    if (!gradient.defined() || torch::isfinite(gradient).all().item<bool>()) continue;
    throw core::RunError(where + "the gradient of " + parameter.name + " is not finite",
                         kDivergedHint);
  }
  throw core::RunError(where + "the norm of the gradient is beyond the range of its type",
                       kDivergedHint);
}

void require_finite_weights(const std::vector<NamedParameter>& parameters, std::int64_t epoch) {
  const torch::NoGradGuard no_grad;
  for (const NamedParameter& parameter : parameters) {
    if (torch::isfinite(parameter.value).all().item<bool>()) continue;
    throw core::RunError(fmt::format("training diverged in epoch {}: the weights {} are not finite",
                                     epoch, parameter.name),
                         kDivergedHint);
  }
}

}  // namespace epvs::train
