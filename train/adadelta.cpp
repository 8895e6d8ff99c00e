// Adadelta. Compiled with its own flags: its loop is bound by memory only when it is vectorised.

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "train/optimizer.h"

namespace epvs::train {

namespace {

/// The constants of one update; see AdadeltaOptions.
template <class T>
struct AdadeltaStep {
  T rho;
  T epsilon;
  T weight_decay;
  T learning_rate;
};

/// Updates `count` weights and their running averages in one pass over memory. The arrays must not
/// overlap.
template <class T>
void adadelta_update(T* __restrict weight, const T* __restrict gradient,
                     T* __restrict square_average, T* __restrict update_average, std::int64_t count,
                     const AdadeltaStep<T>& step) {
  const T rho = step.rho;
  const T rest = T(1) - rho;
  const T epsilon = step.epsilon;
  const T decay = step.weight_decay;
  const T rate = step.learning_rate;
  for (std::int64_t i = 0; i < count; ++i) {
    const T g = gradient[i] + decay * weight[i];
    const T v = rho * square_average[i] + rest * g * g;
    const T d = g * (std::sqrt(update_average[i] + epsilon) / std::sqrt(v + epsilon));
    square_average[i] = v;
    update_average[i] = rho * update_average[i] + rest * d * d;
    weight[i] -= rate * d;
  }
}

template <class T>
void update_tensor(const torch::Tensor& weight, const torch::Tensor& gradient,
                   const torch::Tensor& square_average, const torch::Tensor& update_average,
                   const AdadeltaOptions& options, double learning_rate) {
  constexpr std::int64_t kGrain = 16384;
  T* w = weight.data_ptr<T>();
  const T* g = gradient.data_ptr<T>();
  T* v = square_average.data_ptr<T>();
  T* u = update_average.data_ptr<T>();
  const AdadeltaStep<T> step{static_cast<T>(options.rho), static_cast<T>(options.epsilon),
                             static_cast<T>(options.weight_decay), static_cast<T>(learning_rate)};
  at::parallel_for(0, weight.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    adadelta_update<T>(w + begin, g + begin, v + begin, u + begin, end - begin, step);
  });
}

}  // namespace

void AdadeltaOptions::validate() const {
  require(rho >= 0 && rho < 1, "rho", rho, "0 <= rho < 1");
  require(epsilon > 0, "epsilon", epsilon, "epsilon > 0");
  require(weight_decay >= 0, "weight_decay", weight_decay, "weight_decay >= 0");
}

Adadelta::Adadelta(std::vector<NamedParameter> parameters, AdadeltaOptions options)
    : Optimizer(std::move(parameters)), options_(options) {
  options_.validate();
  for (const NamedParameter& parameter : parameters_) {
    square_average_.push_back(torch::zeros_like(parameter.value));
    update_average_.push_back(torch::zeros_like(parameter.value));
  }
}

void Adadelta::step(double learning_rate) {
  const torch::NoGradGuard no_grad;
  const bool on_cpu =
      std::all_of(parameters_.begin(), parameters_.end(), [](const NamedParameter& parameter) {
        const auto type = parameter.value.scalar_type();
        return parameter.value.is_cpu() && (type == torch::kFloat || type == torch::kDouble);
      });
  if (!on_cpu) {
    step_foreach(learning_rate);
    return;
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const torch::Tensor& weight = parameters_[i].value;
    if (!weight.grad().defined()) continue;
    const torch::Tensor gradient = weight.grad().contiguous();
    const double rate = learning_rate * parameters_[i].learning_rate_factor;
    if (weight.scalar_type() == torch::kFloat) {
      update_tensor<float>(weight, gradient, square_average_[i], update_average_[i], options_,
                           rate);
    } else {
      update_tensor<double>(weight, gradient, square_average_[i], update_average_[i], options_,
                            rate);
    }
  }
}

void Adadelta::step_foreach(double learning_rate) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> weights;
  std::vector<torch::Tensor> gradients;
  std::vector<torch::Tensor> square;
  std::vector<torch::Tensor> update;
  std::vector<at::Scalar> rates;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].value.grad().defined()) continue;
    weights.push_back(parameters_[i].value);
    gradients.push_back(parameters_[i].value.grad());
    square.push_back(square_average_[i]);
    update.push_back(update_average_[i]);
    rates.emplace_back(-learning_rate * parameters_[i].learning_rate_factor);
  }
  if (weights.empty()) return;
  if (options_.weight_decay != 0) {
    gradients = at::_foreach_add(gradients, weights, options_.weight_decay);
  }
  at::_foreach_mul_(square, options_.rho);
  at::_foreach_addcmul_(square, gradients, gradients, 1 - options_.rho);
  std::vector<torch::Tensor> step = at::_foreach_add(update, options_.epsilon);
  at::_foreach_sqrt_(step);
  std::vector<torch::Tensor> denominator = at::_foreach_add(square, options_.epsilon);
  at::_foreach_sqrt_(denominator);
  at::_foreach_div_(step, denominator);
  at::_foreach_mul_(step, gradients);
  at::_foreach_mul_(update, options_.rho);
  at::_foreach_addcmul_(update, step, step, 1 - options_.rho);
  at::_foreach_mul_(step, rates);
  at::_foreach_add_(weights, step);
}

NamedTensors Adadelta::state() const {
  NamedTensors state;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace_back(parameters_[i].name + ".square_average", square_average_[i]);
    state.emplace_back(parameters_[i].name + ".update_average", update_average_[i]);
  }
  return state;
}

}  // namespace epvs::train
