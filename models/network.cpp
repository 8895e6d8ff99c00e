#include "models/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "models/precision.h"
#include "models/recompute.h"

namespace epvs::models {

using torch::Tensor;

Network::Network(const NetworkOptions& options, std::uint64_t seed)
    : options_(options), layers_(layers_of(options)) {
  last_use_.assign(layers_.size() + 1, std::ssize(layers_));
  for (std::int64_t i = 0; i < std::ssize(layers_); ++i) {
    const Layer& layer = layers_[i];
    for (const std::int64_t value : layer.inputs) last_use_[value] = i;
    if (layer.part >= 0) head_ = i + 1;
    const bool has_weights = layer.parameters > 0;
    weights_.push_back(
        has_weights ? register_module(layer.name, std::make_shared<LayerWeights>(layer)) : nullptr);
  }
  attention_value_ = models::attention_value(options_, layers_);
  EPVS_ASSERT(attention_value_ < 0 || attention_value_ == head_);
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

Tensor Network::compute(const Layer& layer, std::int64_t index,
                        const std::vector<Tensor>& values) const {
  const Tensor& x = values[layer.inputs.front()];
  switch (layer.kind) {
    case LayerKind::kConvolution:
      return convolve(x, *weights_[index], layer.padding).relu_();
    case LayerKind::kMaxPool:
      return max_pool(x, layer.width, layer.ceil);
    case LayerKind::kConcat:
      return beside(x, values[layer.inputs.back()]);
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
    values[i + 1] = compute(layers_[i], i, values);
    for (const std::int64_t value : layers_[i].inputs) {
      if (last_use_[value] == i) values[value] = Tensor();
    }
  }
}

void Network::compute_part(std::int64_t first, std::int64_t end, std::vector<Tensor>& values) {
  if (!gradient_checkpointing_) {
    compute(first, end, values);
    return;
  }
  std::vector<std::int64_t> numbers;
  std::vector<Tensor> inputs;
  std::vector<Tensor> parameters;
  for (std::int64_t i = first; i < end; ++i) {
    for (const std::int64_t value : layers_[i].inputs) {
      if (value > first || std::ranges::find(numbers, value) != numbers.end()) continue;
      numbers.push_back(value);
      inputs.push_back(values[value]);
    }
    if (weights_[i] == nullptr) continue;
    parameters.push_back(weights_[i]->weight);
    parameters.push_back(weights_[i]->bias);
  }
  const auto segment = [this, first, end, numbers](const std::vector<Tensor>& given) {
    std::vector<Tensor> own(layers_.size() + 1);
    for (std::size_t i = 0; i < numbers.size(); ++i) own[numbers[i]] = given[i];
    compute(first, end, own);
    return own[end];
  };
  values[end] = recomputed(segment, inputs, parameters);
}

Tensor Network::last_maps(const Tensor& x) {
  std::vector<Tensor> values(layers_.size() + 1);
  values[0] = x;
  for (std::int64_t first = 0; first < head_;) {
    std::int64_t end = first + 1;
    while (end < head_ && layers_[end].part == layers_[first].part) ++end;
    compute_part(first, end, values);
    first = end;
  }
  return values[head_];
}

Tensor Network::features_of(const Tensor& maps) {
  std::vector<Tensor> values(layers_.size() + 1);
  values[head_] = maps;
  const std::int64_t output = std::ssize(layers_) - 1;
  compute(head_, output, values);
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
