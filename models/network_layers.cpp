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

LayerWeights::LayerWeights(const Layer& layer) {
  const std::int64_t out = layer.output.channels;
  const bool is_dense = layer.kind == LayerKind::kDense;
  weight =
      register_parameter("weight", is_dense ? torch::empty({out, layer.input.elements()})
                                            : torch::empty({out, layer.input.channels, 3, 3, 3}));
  bias = register_parameter("bias", torch::empty({out}));
}

Tensor convolve(const Tensor& x, const LayerWeights& weights, std::int64_t padding) {
  const std::vector<std::int64_t> paddings(3, padding);
  if (weights.weight.size(0) % 2 == 0 && leaves_onednn(x)) {
    // Two groups that see the same input are the same convolution, and groups stay in oneDNN.
    // Measured on two cores, float32, forward: 1x84x128x168 to 32 channels 0.66 s -> 0.16 s;
    // 32x16x24x32 to 32 channels 104 ms -> 1.7 ms. Forward and backward: 2.1 s -> 0.41 s.
    return torch::conv3d(torch::cat({x, x}, 1), weights.weight, weights.bias, /*stride=*/1,
                         paddings, /*dilation=*/1, /*groups=*/2);
  }
  return torch::conv3d(x, weights.weight, weights.bias, /*stride=*/1, paddings);
}

Tensor dense(const Tensor& x, const LayerWeights& weights) {
  const Float32 exactly;
  return torch::linear(widened(x), weights.weight, weights.bias);
}

Tensor upsample(const Tensor& maps, const std::array<std::int64_t, 3>& pad) {
  // Expanding and copying instead of interpolate(): its backward is a plain sum, which is
  // deterministic on CUDA too.
  const auto s = maps.sizes();
  const Tensor up = maps.view({s[0], s[1], s[2], 1, s[3], 1, s[4], 1})
                        .expand({s[0], s[1], s[2], 2, s[3], 2, s[4], 2})
                        .reshape({s[0], s[1], 2 * s[2], 2 * s[3], 2 * s[4]});
  if (pad == std::array<std::int64_t, 3>{0, 0, 0}) return up;
  return torch::constant_pad_nd(up, {0, pad[2], 0, pad[1], 0, pad[0]});
}

Tensor global_pool(const Tensor& maps, GlobalPool pool) {
  const Tensor flat = widened(maps).flatten(2);
  return pool == GlobalPool::kAverage ? flat.mean(2) : flat.amax(2);
}

}  // namespace epvs::models
