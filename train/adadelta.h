// Adadelta, which LibTorch's C++ API lacks.
#pragma once

#include "train/optimizer.h"

namespace epvs::train {

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

}  // namespace epvs::train
