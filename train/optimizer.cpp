#include "train/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/optim.h>
#include <torch/version.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/text.h"
#include "models/torch.h"
#include "train/adadelta.h"

namespace epvs::train {

namespace {

std::string shape_text(const torch::Tensor& tensor) {
  return fmt::format("({}) {}", fmt::join(tensor.sizes().vec(), ", "),
                     std::string(tensor.dtype().name()));
}

/// LibTorch names the state of a parameter by its address, as text before 2.1.
auto state_key(const torch::Tensor& parameter) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 1)
  return static_cast<void*>(parameter.unsafeGetTensorImpl());
#else
  return c10::guts::to_string(parameter.unsafeGetTensorImpl());
#endif
}

/// An optimiser of torch::optim with a group for each parameter, so that each has its own learning
/// rate. The state is made before the first step: zeros, which the first step takes alike.
template <class Torch, class State>
class TorchOptimizer : public Optimizer {
 public:
  template <class Options>
  TorchOptimizer(std::vector<NamedParameter> parameters, const Options& options)
      : Optimizer(std::move(parameters)),
        optimizer_(std::vector<torch::optim::OptimizerParamGroup>(), options) {
    for (const NamedParameter& parameter : parameters_) {
      optimizer_.add_param_group(torch::optim::OptimizerParamGroup({parameter.value}));
      optimizer_.state()[state_key(parameter.value)] = std::make_unique<State>();
    }
  }

  void step(double learning_rate) override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      optimizer_.param_groups()[i].options().set_lr(learning_rate *
                                                    parameters_[i].learning_rate_factor);
    }
    optimizer_.step();
  }

 protected:
  State& state_of(const NamedParameter& parameter) const {
    return static_cast<State&>(*optimizer_.state().at(state_key(parameter.value)));
  }
  static torch::Tensor zeros(const NamedParameter& parameter) {
    return torch::zeros_like(parameter.value, torch::MemoryFormat::Contiguous);
  }

 private:
  Torch optimizer_;
};

class AdamW : public TorchOptimizer<torch::optim::AdamW, torch::optim::AdamWParamState> {
 public:
  AdamW(std::vector<NamedParameter> parameters, const TrainOptions& options)
      : TorchOptimizer(std::move(parameters), torch::optim::AdamWOptions(options.learning_rate)
                                                  .betas({options.beta1, options.beta2})
                                                  .eps(options.epsilon)
                                                  .weight_decay(options.weight_decay)) {
    for (const NamedParameter& parameter : parameters_) {
      state_of(parameter).step(0).exp_avg(zeros(parameter)).exp_avg_sq(zeros(parameter));
    }
  }
  NamedTensors state() const override {
    NamedTensors state;
    for (const NamedParameter& parameter : parameters_) {
      const auto& own = state_of(parameter);
      state.emplace_back(parameter.name + ".average", own.exp_avg());
      state.emplace_back(parameter.name + ".square_average", own.exp_avg_sq());
      state.emplace_back(parameter.name + ".steps", torch::full({1}, own.step(), torch::kInt64));
    }
    return state;
  }
  void load_state(const NamedTensors& saved) override {
    Optimizer::load_state(saved);
    const std::map<std::string, torch::Tensor> by_name(saved.begin(), saved.end());
    for (const NamedParameter& parameter : parameters_) {
      state_of(parameter).step(by_name.at(parameter.name + ".steps").item<std::int64_t>());
    }
  }
};

class Sgd : public TorchOptimizer<torch::optim::SGD, torch::optim::SGDParamState> {
 public:
  Sgd(std::vector<NamedParameter> parameters, const TrainOptions& options)
      : TorchOptimizer(std::move(parameters), torch::optim::SGDOptions(options.learning_rate)
                                                  .momentum(options.momentum)
                                                  .nesterov(options.nesterov)
                                                  .weight_decay(options.weight_decay)) {
    for (const NamedParameter& parameter : parameters_) {
      state_of(parameter).momentum_buffer(zeros(parameter));
    }
  }
  NamedTensors state() const override {
    NamedTensors state;
    for (const NamedParameter& parameter : parameters_) {
      state.emplace_back(parameter.name + ".momentum", state_of(parameter).momentum_buffer());
    }
    return state;
  }
};

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

std::vector<NamedParameter> trained_parameters(models::Network& network,
                                               const TrainOptions& options) {
  std::vector<std::string> names;
  for (const auto& item : network.named_parameters()) names.push_back(item.key());
  const auto require_match = [&](const std::string& pattern, const char* option) {
    const bool matches = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return matches_pattern(name, pattern);
    });
    if (matches) return;
    throw core::UsageError(fmt::format("{}: no parameter is named {}", option, pattern),
                           "the parameters are " + core::join(names, ", "));
  };
  std::vector<std::pair<std::string, double>> factors;
  for (const std::string& entry : options.learning_rates) {
    const std::size_t equals = entry.rfind('=');
    factors.emplace_back(entry.substr(0, equals),
                         *core::parse_number(std::string_view(entry).substr(equals + 1)));
    require_match(factors.back().first, "train.learning_rates");
  }
  for (const std::string& pattern : options.freeze) require_match(pattern, "train.freeze");
  std::vector<NamedParameter> parameters;
  for (auto& item : network.named_parameters()) {
    const bool frozen = std::any_of(
        options.freeze.begin(), options.freeze.end(),
        [&](const std::string& pattern) { return matches_pattern(item.key(), pattern); });
    item.value().set_requires_grad(!frozen);
    if (frozen) continue;
    NamedParameter parameter{item.key(), item.value(), 1.0};
    for (const auto& [pattern, factor] : factors) {
      if (matches_pattern(item.key(), pattern)) parameter.learning_rate_factor = factor;
    }
    parameters.push_back(std::move(parameter));
  }
  if (parameters.empty()) {
    throw core::UsageError("train.freeze leaves no parameter to train");
  }
  return parameters;
}

std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options,
                                          std::vector<NamedParameter> parameters) {
  switch (options.optimizer) {
    case OptimizerKind::kAdadelta:
      return std::make_unique<Adadelta>(
          std::move(parameters),
          AdadeltaOptions{options.rho, options.epsilon, options.weight_decay});
    case OptimizerKind::kAdamW:
      return std::make_unique<AdamW>(std::move(parameters), options);
    case OptimizerKind::kSgd:
      return std::make_unique<Sgd>(std::move(parameters), options);
  }
  return nullptr;
}

}  // namespace epvs::train
