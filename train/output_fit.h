// The start of the output unit: fitted to the labels instead of drawn at random.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <vector>

#include "models/cohort_tensors.h"
#include "models/network.h"
#include "train/examples.h"
#include "train/ridge.h"

namespace epvs::train {

/// Sets the weights and bias of the output unit to the ridge regression (train/ridge.h) of
/// `labels` on the features that the network has for `examples`, not augmented, in double
/// precision. With `keep_close` the penalty pulls towards the weights that the unit has, for
/// networks that were trained before, else towards zero. The result depends on the other layers,
/// the examples and the labels only; without `keep_close`, fitting again changes nothing.
/// `after_batch` is called after each batch of `batch_size` and may throw.
RidgeFit fit_output(
    models::Network& network, const models::VolumeSource& source,
    const std::vector<Example>& examples, const std::vector<double>& labels,
    std::int64_t batch_size, torch::Device device, bool keep_close,
    const std::function<void()>& after_batch = [] {});

}  // namespace epvs::train
