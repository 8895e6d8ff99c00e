#include "train/optimizer_setup.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace epvs::train {

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
  if (options.optimizer == "adadelta") {
    return std::make_unique<Adadelta>(
        std::move(parameters), AdadeltaOptions{options.rho, options.epsilon, options.weight_decay});
  }
  if (options.optimizer == "adamw") {
    return std::make_unique<AdamW>(
        std::move(parameters),
        AdamWOptions{options.beta1, options.beta2, options.epsilon, options.weight_decay});
  }
  EPVS_ASSERT(options.optimizer == "sgd");
  return std::make_unique<Sgd>(
      std::move(parameters), SgdOptions{options.momentum, options.nesterov, options.weight_decay});
}

}  // namespace epvs::train
