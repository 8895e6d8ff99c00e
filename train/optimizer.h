// Optimisers whose whole state is a list of named tensors, so that a resumed run is bit-equal:
// LibTorch's own and Adadelta (train/adadelta.h).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/network.h"
#include "models/torch.h"
#include "train/options.h"

namespace epvs::train {

/// A trainable tensor, its name in the network, and the factor of its learning rate.
struct NamedParameter {
  std::string name;
  torch::Tensor value;
  double learning_rate_factor = 1.0;
};

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

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

}  // namespace epvs::train
