// The layers that the networks are made of.
#pragma once

#include "models/layers.h"
#include "models/torch.h"

namespace epvs::models {

/// Weight and bias of a convolution, (out, in, 3, 3, 3) and (out), or of a dense layer, (out, in)
/// and (out). Uninitialised: torch::nn's layers would draw from Torch's global generator when they
/// are built.
class LayerWeights : public torch::nn::Module {
 public:
  explicit LayerWeights(const Layer& layer);
  torch::Tensor weight;
  torch::Tensor bias;
};

/// 3x3x3 convolution, padded with `padding` zeros on every side: (N, in, Z, Y, X) -> (N, out, Z',
/// Y', X').
torch::Tensor convolve(const torch::Tensor& x, const LayerWeights& weights, std::int64_t padding);

/// (N, in) -> (N, out), in float32 at least.
torch::Tensor dense(const torch::Tensor& x, const LayerWeights& weights);

/// Nearest-neighbour upsampling by 2, then `pad` (z, y, x) planes of zeros at the far ends:
/// (N, C, z, y, x) -> (N, C, Z, Y, X).
torch::Tensor upsample(const torch::Tensor& maps, const std::array<std::int64_t, 3>& pad);

/// (N, C, Z, Y, X) -> (N, C), in float32 at least.
torch::Tensor global_pool(const torch::Tensor& maps, GlobalPool pool);

}  // namespace epvs::models
