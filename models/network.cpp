#include "models/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "models/blocked.h"
#include "models/precision.h"

namespace epvs::models {

using torch::Tensor;

namespace {

/// (N, in) -> (N, out), in float32 at least.
Tensor dense(const Tensor& x, const LayerWeights& weights) {
  const Float32 exactly;
  return torch::linear(widened(x), weights.weight, weights.bias);
}

/// Without overlap. bfloat16 maps are widened: LibTorch 1.13 has no kernel for them on the CPU, and
/// on CUDA none that could be tested.
Tensor max_pool(const Tensor& maps, std::int64_t width, bool ceil) {
  return torch::max_pool3d(widened(maps), width, {}, 0, 1, ceil);
}

/// (N, C, Z, Y, X) -> (N, C), in float32 at least.
Tensor global_pool(const Tensor& maps, GlobalPool pool) {
  const Tensor flat = widened(maps).flatten(2);
  return pool == GlobalPool::kAverage ? flat.mean(2) : flat.amax(2);
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
  // The weights in the layout of the maps.
  const Tensor weight = weights.weight.contiguous(x.suggest_memory_format());
  return torch::conv3d(x, weight, weights.bias, /*stride=*/1, padding);
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

Network::Network(const NetworkOptions& options, std::uint64_t seed)
    : options_(options), layers_(layers_of(options)) {
  last_use_.assign(layers_.size() + 1, std::ssize(layers_));
  for (std::int64_t i = 0; i < std::ssize(layers_); ++i) {
    const Layer& layer = layers_[i];
    for (const std::int64_t value : layer.inputs) last_use_[value] = i;
    const bool has_weights = layer.parameters > 0;
    weights_.push_back(
        has_weights ? register_module(layer.name, std::make_shared<LayerWeights>(layer)) : nullptr);
  }
  last_maps_ = models::last_maps(layers_);
  initialise(seed);
}

void Network::initialise(std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for (auto& item : named_parameters()) {
    Tensor& parameter = item.value();
    if (parameter.dim() < 2) {
      parameter.zero_();
      continue;
    }
    // Every tensor has its own generator, so that equal layers of two variants start equally.
    at::Generator generator =
        at::detail::createCPUGenerator(core::mix_seed(seed, {"init", item.key()}));
    const std::int64_t field = parameter.numel() / (parameter.size(0) * parameter.size(1));
    const auto fan_in = static_cast<double>(parameter.size(1) * field);
    const auto fan_out = static_cast<double>(parameter.size(0) * field);
    if (options_.init == Init::kNormal) {
      parameter.normal_(0.0, 0.05, generator);
    } else if (options_.init == Init::kHe) {
      parameter.normal_(0.0, std::sqrt(2.0 / fan_in), generator);
    } else {
      const double bound = std::sqrt(6.0 / (fan_in + fan_out));
      parameter.uniform_(-bound, bound, generator);
    }
  }
  output_bias_tensor().fill_(options_.bias_init);
}

Tensor Network::compute(std::int64_t index, const std::vector<Tensor>& values) const {
  const Layer& layer = layers_[index];
  const Tensor& x = values[layer.inputs.front()];
  switch (layer.kind) {
    case LayerKind::kConvolution: {
      const bool last = layout_ == Layout::kChannelsLast;
      return convolve(last ? x.contiguous(at::MemoryFormat::ChannelsLast3d) : x, *weights_[index],
                      layer.padding)
          .relu_();
    }
    case LayerKind::kMaxPool:
      return max_pool(x, layer.width, layer.ceil);
    case LayerKind::kConcat:
      return torch::cat({x, values[layer.inputs.back()].to(x.scalar_type())}, 1);
    case LayerKind::kUpsample:
      return upsample(x, layer.pad);
    case LayerKind::kGlobalPool:
      return global_pool(x, options_.pool) * options_.pool_scale;
    case LayerKind::kFlatten:
      return x.flatten(1);
    case LayerKind::kDense: {
      const Tensor y = dense(x, *weights_[index]);
      return layer.relu ? y.relu_() : y;
    }
  }
  return {};
}

void Network::compute(std::int64_t first, std::int64_t end, std::vector<Tensor>& values) const {
  for (std::int64_t i = first; i < end; ++i) {
    values[i + 1] = compute(i, values);
    for (const std::int64_t value : layers_[i].inputs) {
      if (last_use_[value] == i) values[value] = Tensor();
    }
  }
}

Tensor Network::last_maps(const Tensor& x) {
  if (layout_ == Layout::kBlocked && can_block(x, *weights_.front())) {
    return blocked_maps(layers_, weights_, last_maps_, x,
                        Autocast::is_on(c10::kCPU) ? torch::kBFloat16 : torch::kFloat);
  }
  std::vector<Tensor> values(layers_.size() + 1);
  values[0] = x;
  compute(0, last_maps_, values);
  return values[last_maps_];
}

Tensor Network::features_of(const Tensor& maps) {
  std::vector<Tensor> values(layers_.size() + 1);
  values[last_maps_] = maps;
  const std::int64_t output = std::ssize(layers_) - 1;
  compute(last_maps_, output, values);
  return values[output];
}

Tensor Network::scores_of(const Tensor& maps) {
  return dense(features_of(maps), *weights_.back()).squeeze(1);
}

/// Sums over channels without a copy of the maps: (N, 1, C) times (N, C, V) is (N, 1, V).
Tensor Network::attention_of(const Tensor& maps) {
  if (!has_attention()) {
    throw core::UsageError(
        fmt::format("the network {} has no attention map", core::to_text(options_.architecture)),
        "attention maps come from gp_unet; every network has --maps saliency");
  }
  const Float32 exactly;
  const Tensor weights =
      output_weight_tensor().view({1, 1, maps.size(1)}).expand({maps.size(0), -1, -1});
  return torch::bmm(weights, widened(maps).flatten(2))
      .view({maps.size(0), 1, maps.size(2), maps.size(3), maps.size(4)});
}

Tensor Network::forward(const Tensor& x) {
  return scores_of(last_maps(x));
}

Tensor Network::features(const Tensor& x) {
  return features_of(last_maps(x));
}

Tensor Network::attention(const Tensor& x) {
  return attention_of(last_maps(x));
}

Network::ScoresAndAttention Network::forward_with_attention(const Tensor& x) {
  const Tensor maps = last_maps(x);
  return {scores_of(maps), attention_of(maps)};
}

double Network::output_bias() const {
  return output_bias_tensor().item().toDouble();
}

std::shared_ptr<Network> make_network(const NetworkOptions& options, std::uint64_t seed) {
  return std::make_shared<Network>(options, seed);
}

}  // namespace epvs::models
