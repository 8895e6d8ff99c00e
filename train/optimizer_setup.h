// From a recipe to an optimiser of a network.
#pragma once

#include <memory>
#include <vector>

#include "models/network.h"
#include "train/optimizer.h"
#include "train/options.h"

namespace epvs::train {

/// The network's parameters that are trained, with their learning-rate factors. Throws
/// core::UsageError for a pattern that matches nothing, or when all are frozen.
std::vector<NamedParameter> trained_parameters(models::Network& network,
                                               const TrainOptions& options);
/// Adadelta, torch::optim::AdamW or torch::optim::SGD. Their settings must be valid.
std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options,
                                          std::vector<NamedParameter> parameters);

}  // namespace epvs::train
