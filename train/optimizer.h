// Optimisers whose whole state is a list of named tensors, so that a resumed run is bit-equal:
// LibTorch's own, and Adadelta, which its C++ API lacks. The learning rate over the epochs.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "models/weights.h"
#include "train/options.h"

namespace epvs::train {

/// A trainable tensor, its name in the network, and the factor of its learning rate.
struct NamedParameter {
  std::string name;
  torch::Tensor value;
  double learning_rate_factor = 1.0;
};

using models::NamedTensors;

class Optimizer {
 public:
  /// The parameters must be leaves; their gradients are read by step().
  explicit Optimizer(std::vector<NamedParameter> parameters);
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update from the gradients. Parameters without gradient are left alone.
  /// `learning_rate` multiplies the update; each parameter has its own factor beside it.
  virtual void step(double learning_rate) = 0;
  /// Sets all gradients to none.
  void zero_grad();

  const std::vector<NamedParameter>& parameters() const { return parameters_; }

  /// The state as "<parameter>.<quantity>", in parameter order. Shares memory with the optimiser.
  virtual NamedTensors state() const = 0;
  /// Copies a state written by state(). Throws core::InputError naming a missing, extra or
  /// misshapen tensor; the optimiser is unchanged then.
  virtual void load_state(const NamedTensors& saved);

 protected:
  std::vector<NamedParameter> parameters_;
};

/// The network's parameters that are trained, with their learning-rate factors. Throws
/// core::UsageError for a pattern that matches nothing, or when all are frozen.
std::vector<NamedParameter> trained_parameters(models::Network& network,
                                               const TrainOptions& options);
/// Adadelta, torch::optim::AdamW or torch::optim::SGD. Their settings must be valid.
std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options,
                                          std::vector<NamedParameter> parameters);

/// Adadelta (Zeiler, arXiv 1212.5701) as Keras 1.2 - 2.2 and PyTorch have it, element by element:
///
///   v <- rho v + (1 - rho) g^2
///   d  = g sqrt(u + epsilon) / sqrt(v + epsilon)
///   u <- rho u + (1 - rho) d^2
///   w <- w - learning_rate d
///
/// The learning rate multiplies the update only and does not enter u.
struct AdadeltaOptions {
  double rho = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  ///< adds weight_decay * w to the gradient

  /// Keras 1.2 - 2.2.3: learning rate 1.0, rho 0.95, epsilon 1e-8. What P1 trained with.
  static AdadeltaOptions keras() { return {0.95, 1e-8, 0.0}; }
  /// Keras 2.2.4 and later: epsilon 1e-7.
  static AdadeltaOptions keras_2_2_4() { return {0.95, 1e-7, 0.0}; }
  /// PyTorch: rho 0.9, epsilon 1e-6.
  static AdadeltaOptions pytorch() { return {0.9, 1e-6, 0.0}; }
  /// Throws core::UsageError with option, value and violated constraint.
  void validate() const;
};

/// One pass over memory per parameter on the CPU, foreach operations on other devices.
class Adadelta : public Optimizer {
 public:
  Adadelta(std::vector<NamedParameter> parameters, AdadeltaOptions options);
  void step(double learning_rate) override;
  NamedTensors state() const override;
  /// The same update by foreach tensor operations, on any device. For other devices and for tests.
  void step_foreach(double learning_rate);

 private:
  AdadeltaOptions options_;
  std::vector<torch::Tensor> square_average_;
  std::vector<torch::Tensor> update_average_;
};

/// Factor of the learning rate after `epoch` epochs (with a fraction), in 0..1 and never negative.
/// Of the schedule `plateau` only the warm-up: the rest depends on the run (Plateau).
double schedule_factor(const TrainOptions& options, double epoch);

/// The schedule `plateau`, smaller steps when the validation figure stands still:
/// torch.optim.lr_scheduler.ReduceLROnPlateau (mode min, threshold_mode abs, cooldown 0): after
/// more than train.plateau_epochs epochs in a row whose stop value is not below the best by
/// train.min_delta, the rate is multiplied by train.step_factor, down to train.final_factor.
struct Plateau {
  double factor = 1;  ///< of the learning rate
  double best = std::numeric_limits<double>::infinity();
  std::int64_t bad_epochs = 0;

  /// `value` is smaller where better (stop_value, train/validation.h).
  void see(double value, const TrainOptions& options);

  core::Json to_json() const;
  static Plateau from_json(const core::Json& document);
};

}  // namespace epvs::train
