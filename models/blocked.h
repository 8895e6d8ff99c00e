// The feature maps of a network on the CPU, in oneDNN's own memory layout from the first convolution
// to the last: several times faster than layer by layer in LibTorch's layout, the same result but
// for rounding (1e-6 relative), with gradients.
#pragma once

#include <memory>
#include <vector>

#include "models/network.h"
#include "models/torch.h"

namespace epvs::models {

/// Whether blocked_maps can compute this: x and the weights float32 on the CPU, LibTorch built with
/// oneDNN.
bool can_block(const torch::Tensor& x, const LayerWeights& weights);

/// The value `head` (counted as Layer::inputs) of a network of convolutions, max-poolings,
/// concatenations and upsamplings: x (N, 1, Z, Y, X) -> (N, C, Z', Y', X'), float32. `weights`: one
/// per layer, null where it has none. Convolutions compute in `type`, float32 or bfloat16.
///
/// Two identities spare work. A convolution of maps beside each other is the sum of convolutions of
/// each, so that nothing is copied together. And a 3x3x3 convolution of maps that were upsampled by
/// 2 (nearest neighbour) is, for each of the eight parities of the output voxel, a 2x2x2 convolution
/// of the small maps with summed weights: 8/27 of the multiplications.
torch::Tensor blocked_maps(const std::vector<Layer>& layers,
                           const std::vector<std::shared_ptr<LayerWeights>>& weights,
                           std::int64_t head, const torch::Tensor& x, torch::ScalarType type);

}  // namespace epvs::models
