// The layers that the networks are made of. They own uninitialised parameters: torch::nn's layers
// would draw from Torch's global generator when they are built.
#pragma once

#include <torch/torch.h>

namespace epvs::models {

/// 3x3x3 convolution with bias, padded with `padding` zeros on every side.
class Convolution : public torch::nn::Module {
 public:
  Convolution(std::int64_t in_channels, std::int64_t out_channels, std::int64_t padding);
  /// (N, in, Z, Y, X) -> (N, out, Z', Y', X')
  torch::Tensor forward(const torch::Tensor& x) const;

  torch::Tensor weight;  ///< (out, in, 3, 3, 3)
  torch::Tensor bias;    ///< (out)

 private:
  std::int64_t padding_;
};

/// Fully connected layer with bias.
class Dense : public torch::nn::Module {
 public:
  Dense(std::int64_t in_features, std::int64_t out_features);
  /// (N, in) -> (N, out)
  torch::Tensor forward(const torch::Tensor& x) const;

  torch::Tensor weight;  ///< (out, in)
  torch::Tensor bias;    ///< (out)
};

/// Nearest-neighbour upsampling by 2, then zeros at the far end of an axis where `like` is longer
/// by one (its pooling dropped a voxel). (N, C, z, y, x) -> (N, C, Z, Y, X) of `like`.
torch::Tensor upsample_to(const torch::Tensor& maps, const torch::Tensor& like);

}  // namespace epvs::models
