#include "train/optimizer.h"

#include <fmt/format.h>
#include <torch/optim.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "core/error.h"
#include "core/text.h"

namespace epvs::train {

namespace {

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
  models::copy_tensors(saved, state(), "the saved state of the optimiser does not fit",
                       "it was written with another optimiser or network");
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

double schedule_factor(const TrainOptions& options, double epoch) {
  if (epoch < options.warmup_epochs) return epoch / options.warmup_epochs;
  const double total = static_cast<double>(options.epochs);
  const double progress =
      total > options.warmup_epochs
          ? std::min(1.0, (epoch - options.warmup_epochs) / (total - options.warmup_epochs))
          : 1.0;
  const double last = options.final_factor;
  switch (options.schedule) {
    case Schedule::kCosine:
      return last + (1 - last) * (1 + std::cos(std::numbers::pi * progress)) / 2;
    case Schedule::kLinear:
      return 1 + (last - 1) * progress;
    case Schedule::kStep:
      return std::pow(options.step_factor, std::floor(epoch / options.step_epochs));
    case Schedule::kConstant:
    case Schedule::kPlateau:
      return 1.0;
  }
  return 1.0;
}

void Plateau::see(double value, const TrainOptions& options) {
  if (value < best - options.min_delta) {
    best = value;
    bad_epochs = 0;
    return;
  }
  if (++bad_epochs <= options.plateau_epochs) return;
  factor = std::max(factor * options.step_factor, options.final_factor);
  bad_epochs = 0;
}

core::Json Plateau::to_json() const {
  return {{"factor", factor},
          {"best", std::isfinite(best) ? core::Json(best) : core::Json()},
          {"bad_epochs", bad_epochs}};
}

Plateau Plateau::from_json(const core::Json& document) {
  Plateau plateau;
  document.at("factor").get_to(plateau.factor);
  if (!document.at("best").is_null()) document.at("best").get_to(plateau.best);
  document.at("bad_epochs").get_to(plateau.bad_epochs);
  return plateau;
}

}  // namespace epvs::train
