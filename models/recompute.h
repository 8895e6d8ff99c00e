// Gradient checkpointing: a part of a network whose feature maps are computed again in the backward
// pass instead of being kept (Chen et al., arXiv 1604.06174).
#pragma once

#include <functional>
#include <vector>

#include "models/torch.h"

namespace epvs::models {

/// A part of a network: a function of its inputs and of parameters that it holds itself. It must
/// not change its inputs and gives the same values each time.
using Segment = std::function<torch::Tensor(const std::vector<torch::Tensor>& inputs)>;

/// segment(inputs). Only the inputs and the result are kept for the backward pass, which runs the
/// segment once more, with the autocast of now, and gives the same gradients to the bit.
/// `parameters` are all that the segment uses. Without gradients it just runs. Second derivatives
/// through it are an error.
torch::Tensor recomputed(const Segment& segment, const std::vector<torch::Tensor>& inputs,
                         const std::vector<torch::Tensor>& parameters);

}  // namespace epvs::models
