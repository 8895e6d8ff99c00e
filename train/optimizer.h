// Optimisers whose whole state is a list of named tensors, so that a resumed run is bit-equal.
//
// LibTorch's C++ API has no Adadelta, and its own optimisers keep state that is awkward to check
// when it is read back; the three that the papers and fine-tuning need are written out here.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  void load_state(const NamedTensors& saved);

 protected:
  std::vector<NamedParameter> parameters_;
};

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

/// AdamW (Loshchilov & Hutter 2019), as torch.optim.AdamW.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;  ///< decoupled: w <- w (1 - learning_rate weight_decay)
  void validate() const;
};

class AdamW : public Optimizer {
 public:
  AdamW(std::vector<NamedParameter> parameters, AdamWOptions options);
  void step(double learning_rate) override;
  NamedTensors state() const override;

 private:
  AdamWOptions options_;
  std::vector<torch::Tensor> average_;
  std::vector<torch::Tensor> square_average_;
  std::vector<torch::Tensor> steps_;  ///< one int64 each: parameters may be frozen for a while
};

/// Stochastic gradient descent with momentum, as torch.optim.SGD: b <- momentum b + g;
/// w <- w - learning_rate b (nesterov: g + momentum b).
struct SgdOptions {
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0.0;
  void validate() const;
};

class Sgd : public Optimizer {
 public:
  Sgd(std::vector<NamedParameter> parameters, SgdOptions options);
  void step(double learning_rate) override;
  NamedTensors state() const override;

 private:
  SgdOptions options_;
  std::vector<torch::Tensor> momentum_;
};

/// Euclidean norm of all gradients, in double. NaN or infinite when any gradient is.
double gradient_norm(const std::vector<NamedParameter>& parameters);
/// Scales all gradients so that their norm is at most `maximum`; `norm` is their present norm.
void clip_gradients(const std::vector<NamedParameter>& parameters, double norm, double maximum);

}  // namespace epvs::train
