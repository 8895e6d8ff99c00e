#include "models/network_layers.h"

#include "models/precision.h"

namespace epvs::models {

namespace {

using torch::Tensor;

/// LibTorch 1.13 leaves oneDNN for a convolution that is four to fifty times slower when all of
/// this holds (aten/src/ATen/native/Convolution.cpp, use_mkldnn). Later versions differ,
/// harmlessly.
bool leaves_onednn(const Tensor& x) {
  constexpr std::int64_t kLimit = 20480;
  const bool in_float32 =
      x.scalar_type() == torch::kFloat && !AutocastState::current(c10::kCPU).enabled;
  return x.device().is_cpu() && in_float32 && x.size(0) == 1 &&
         x.size(1) * x.size(2) * x.size(3) <= kLimit;
}

}  // namespace

Convolution::Convolution(std::int64_t in_channels, std::int64_t out_channels, std::int64_t padding)
    : padding_(padding) {
  weight = register_parameter("weight", torch::empty({out_channels, in_channels, 3, 3, 3}));
  bias = register_parameter("bias", torch::empty({out_channels}));
}

Tensor Convolution::forward(const Tensor& x) const {
  const std::vector<std::int64_t> padding(3, padding_);
  if (weight.size(0) % 2 == 0 && leaves_onednn(x)) {
    // Two groups that see the same input are the same convolution, and groups stay in oneDNN.
    // Measured on two cores, float32, forward: 1x84x128x168 to 32 channels 0.66 s -> 0.16 s;
    // 32x16x24x32 to 32 channels 104 ms -> 1.7 ms. Forward and backward: 2.1 s -> 0.41 s.
    return torch::conv3d(torch::cat({x, x}, 1), weight, bias, /*stride=*/1, padding,
                         /*dilation=*/1, /*groups=*/2);
  }
  return torch::conv3d(x, weight, bias, /*stride=*/1, padding);
}

Dense::Dense(std::int64_t in_features, std::int64_t out_features) {
  weight = register_parameter("weight", torch::empty({out_features, in_features}));
  bias = register_parameter("bias", torch::empty({out_features}));
}

Tensor Dense::forward(const Tensor& x) const {
  const Float32 exactly;
  return torch::linear(widened(x), weight, bias);
}

Tensor upsample_to(const Tensor& maps, const Tensor& like) {
  // Expanding and copying instead of interpolate(): its backward is a plain sum, which is
  // deterministic on CUDA too.
  const auto s = maps.sizes();
  const Tensor up = maps.view({s[0], s[1], s[2], 1, s[3], 1, s[4], 1})
                        .expand({s[0], s[1], s[2], 2, s[3], 2, s[4], 2})
                        .reshape({s[0], s[1], 2 * s[2], 2 * s[3], 2 * s[4]});
  if (up.sizes().slice(2) == like.sizes().slice(2)) return up;
  return torch::constant_pad_nd(up, {0, like.size(4) - up.size(4), 0, like.size(3) - up.size(3), 0,
                                     like.size(2) - up.size(2)});
}

}  // namespace epvs::models
