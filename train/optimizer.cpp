#include "train/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <map>

#include "core/error.h"

namespace epvs::train {

namespace {

void require_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value < high)) {
    throw core::UsageError(
        fmt::format("{} = {}. Violated constraint: {} <= {} < {}", name, value, low, name, high));
  }
}

std::vector<torch::Tensor> zeros_like(const std::vector<NamedParameter>& parameters) {
  std::vector<torch::Tensor> zeros;
  for (const NamedParameter& parameter : parameters) {
    zeros.push_back(torch::zeros_like(parameter.value, torch::MemoryFormat::Contiguous));
  }
  return zeros;
}

void append(NamedTensors& state, const std::vector<NamedParameter>& parameters,
            const std::vector<torch::Tensor>& tensors, const char* quantity) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    state.emplace_back(parameters[i].name + "." + quantity, tensors[i]);
  }
}

std::string shape_text(const torch::Tensor& tensor) {
  return fmt::format("({}) {}", fmt::join(tensor.sizes().vec(), ", "),
                     std::string(tensor.dtype().name()));
}

}  // namespace

Optimizer::Optimizer(std::vector<NamedParameter> parameters) : parameters_(std::move(parameters)) {
  for (const NamedParameter& parameter : parameters_) {
    EPVS_ASSERT(parameter.value.is_leaf() && parameter.value.is_contiguous());
  }
}

void Optimizer::zero_grad() {
  for (NamedParameter& parameter : parameters_) parameter.value.mutable_grad() = torch::Tensor();
}

void Optimizer::load_state(const NamedTensors& saved) {
  const NamedTensors own = state();
  std::map<std::string, torch::Tensor> by_name(saved.begin(), saved.end());
  for (const auto& [name, tensor] : own) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      throw core::InputError(fmt::format("the saved optimiser state lacks {}", name),
                             "it was written with another optimiser or network");
    }
    if (found->second.sizes() != tensor.sizes() || found->second.dtype() != tensor.dtype()) {
      throw core::InputError(fmt::format("the saved optimiser state {} is {}, expected {}", name,
                                         shape_text(found->second), shape_text(tensor)));
    }
  }
  if (by_name.size() != own.size()) {
    for (const auto& [name, tensor] : own) by_name.erase(name);
    throw core::InputError(fmt::format("the saved optimiser state has {} that this optimiser lacks",
                                       by_name.begin()->first),
                           "it was written with another optimiser or network");
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : own) {
    torch::Tensor target = tensor;
    target.copy_(by_name.at(name));
  }
}

void AdamWOptions::validate() const {
  require_range("beta1", beta1, 0, 1);
  require_range("beta2", beta2, 0, 1);
  require_range("epsilon", epsilon, 0, 1);
  require_range("weight_decay", weight_decay, 0, 1e6);
}

AdamW::AdamW(std::vector<NamedParameter> parameters, AdamWOptions options)
    : Optimizer(std::move(parameters)), options_(options) {
  options_.validate();
  average_ = zeros_like(parameters_);
  square_average_ = zeros_like(parameters_);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    steps_.push_back(torch::zeros({1}, torch::kInt64));
  }
}

void AdamW::step(double learning_rate) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor weight = parameters_[i].value;
    const torch::Tensor gradient = weight.grad();
    if (!gradient.defined()) continue;
    const double rate = learning_rate * parameters_[i].learning_rate_factor;
    const double steps = static_cast<double>(++*steps_[i].data_ptr<std::int64_t>());
    weight.mul_(1 - rate * options_.weight_decay);
    average_[i].mul_(options_.beta1).add_(gradient, 1 - options_.beta1);
    square_average_[i].mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    const double correction1 = 1 - std::pow(options_.beta1, steps);
    const double correction2 = 1 - std::pow(options_.beta2, steps);
    const torch::Tensor denominator =
        square_average_[i].sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon);
    weight.addcdiv_(average_[i], denominator, -rate / correction1);
  }
}

NamedTensors AdamW::state() const {
  NamedTensors state;
  append(state, parameters_, average_, "average");
  append(state, parameters_, square_average_, "square_average");
  append(state, parameters_, steps_, "steps");
  return state;
}

void SgdOptions::validate() const {
  require_range("momentum", momentum, 0, 1);
  require_range("weight_decay", weight_decay, 0, 1e6);
  if (nesterov && momentum == 0) {
    throw core::UsageError("nesterov = true with momentum = 0. Violated constraint: momentum > 0");
  }
}

Sgd::Sgd(std::vector<NamedParameter> parameters, SgdOptions options)
    : Optimizer(std::move(parameters)), options_(options) {
  options_.validate();
  momentum_ = zeros_like(parameters_);
}

void Sgd::step(double learning_rate) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor weight = parameters_[i].value;
    torch::Tensor gradient = weight.grad();
    if (!gradient.defined()) continue;
    if (options_.weight_decay != 0) gradient = gradient.add(weight, options_.weight_decay);
    momentum_[i].mul_(options_.momentum).add_(gradient);
    const torch::Tensor update =
        options_.nesterov ? gradient.add(momentum_[i], options_.momentum) : momentum_[i];
    weight.add_(update, -learning_rate * parameters_[i].learning_rate_factor);
  }
}

NamedTensors Sgd::state() const {
  NamedTensors state;
  append(state, parameters_, momentum_, "momentum");
  return state;
}

double gradient_norm(const std::vector<NamedParameter>& parameters) {
  const torch::NoGradGuard no_grad;
  double sum = 0;
  for (const NamedParameter& parameter : parameters) {
    if (!parameter.value.grad().defined()) continue;
    const double norm = parameter.value.grad().norm().item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

void clip_gradients(const std::vector<NamedParameter>& parameters, double norm, double maximum) {
  if (!(norm > maximum)) return;
  const torch::NoGradGuard no_grad;
  for (const NamedParameter& parameter : parameters) {
    torch::Tensor gradient = parameter.value.grad();
    if (gradient.defined()) gradient.mul_(maximum / norm);
  }
}

}  // namespace epvs::train
