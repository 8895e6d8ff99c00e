#include "models/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "models/layers.h"
#include "models/network_layers.h"
#include "models/precision.h"

namespace epvs::models {

namespace {

using torch::Tensor;

bool wants_concat(const NetworkOptions& options) {
  return options.residual == "concat";
}

/// (N, C, Z, Y, X) -> (N, C), in float32 at least
Tensor global_pool(const Tensor& maps, const std::string& kind) {
  const Tensor flat = widened(maps).flatten(2);
  return kind == "avg" ? flat.mean(2) : flat.amax(2);
}

using Convolutions = std::vector<std::shared_ptr<Convolution>>;

Tensor convolve(const Convolutions& layers, Tensor maps) {
  for (const auto& layer : layers) maps = layer->forward(maps).relu_();
  return maps;
}

std::vector<Tensor> parameters_of(const Convolutions& layers) {
  std::vector<Tensor> parameters;
  for (const auto& layer : layers) {
    parameters.push_back(layer->weight);
    parameters.push_back(layer->bias);
  }
  return parameters;
}

/// P1 section 2.2: blocks of convolutions and max-poolings, then fully connected layers.
class Media2019 : public Network {
 public:
  explicit Media2019(const NetworkOptions& options) : Network(options) {
    std::int64_t channels = 1;
    for (int block = 0; block < options.blocks; ++block) {
      Convolutions layers;
      for (int i = 0; i < options.convolutions_per_block; ++i) {
        layers.push_back(new_convolution(fmt::format("block{}_conv{}", block + 1, i + 1), channels,
                                         block_features(options, block)));
        channels = block_features(options, block);
      }
      blocks_.push_back(std::move(layers));
    }
    if (options.trailing_convolution) {
      blocks_.push_back(
          {new_convolution("trailing_conv", channels, block_features(options, options.blocks))});
    }
    for (const LayerRow& row : layer_table(options)) {
      if (row.kind != "dense") continue;
      dense_.push_back(register_module(
          row.name, std::make_shared<Dense>(row.input.elements(), row.output.channels)));
    }
  }

  Tensor forward(const Tensor& x) override {
    return dense_.back()->forward(features(x)).squeeze(1);
  }

  Tensor features(const Tensor& x) override {
    Tensor maps = x;
    for (std::size_t block = 0; block < blocks_.size(); ++block) {
      maps = run_block(static_cast<int>(block), maps);
    }
    Tensor features = maps.flatten(1);
    for (std::size_t i = 0; i + 1 < dense_.size(); ++i) {
      features = dense_[i]->forward(features).relu_();
    }
    return features;
  }

  Tensor output_weight_tensor() const override { return dense_.back()->weight; }
  Tensor output_bias_tensor() const override { return dense_.back()->bias; }

 private:
  std::shared_ptr<Convolution> new_convolution(const std::string& name, std::int64_t in,
                                               std::int64_t out) {
    const std::int64_t padding = options().padding == "same" ? 1 : 0;
    return register_module(name, std::make_shared<Convolution>(in, out, padding));
  }

  /// Pairs of convolutions are kept or computed again together: of the four large maps of the first
  /// block one is kept then, and at most two more are there at once.
  Tensor run_block(int block, Tensor maps) {
    const Convolutions& layers = blocks_[static_cast<std::size_t>(block)];
    const bool ceil = options().pool_rounding == "ceil";
    for (std::size_t first = 0; first < layers.size(); first += 2) {
      const std::size_t end = std::min(first + 2, layers.size());
      const Convolutions pair(layers.begin() + static_cast<std::ptrdiff_t>(first),
                              layers.begin() + static_cast<std::ptrdiff_t>(end));
      const std::int64_t pool = end == layers.size() ? block_pool(options(), block) : 0;
      const auto body = [pair, pool, ceil](const std::vector<Tensor>& inputs) {
        const Tensor out = convolve(pair, inputs[0]);
        return pool > 0 ? max_pool(out, pool, ceil) : out;
      };
      maps = part(body, {maps}, parameters_of(pair));
    }
    return maps;
  }

  std::vector<Convolutions> blocks_;  ///< the trailing convolution is a block of one
  std::vector<std::shared_ptr<Dense>> dense_;
};

/// The "CNN" of P2: two pairs of convolutions with a max-pooling between them, global pooling.
class Cnn4 : public Network {
 public:
  explicit Cnn4(const NetworkOptions& options) : Network(options) {
    const std::int64_t features = options.first_features;
    const std::int64_t pooled = features + (wants_concat(options) ? 1 : 0);
    first_ = {register_module("conv1", std::make_shared<Convolution>(1, features, 1)),
              register_module("conv2", std::make_shared<Convolution>(features, features, 1))};
    second_ = {
        register_module("conv3", std::make_shared<Convolution>(pooled, 2 * features, 1)),
        register_module("conv4", std::make_shared<Convolution>(2 * features, 2 * features, 1))};
    output_ = register_module(
        "output", std::make_shared<Dense>(2 * features + (wants_concat(options) ? pooled : 0), 1));
  }

  Tensor forward(const Tensor& x) override { return output_->forward(features(x)).squeeze(1); }

  Tensor features(const Tensor& x) override {
    const bool concat = wants_concat(options());
    const auto upper = [this, concat](const std::vector<Tensor>& inputs) {
      const Tensor maps = convolve(first_, inputs[0]);
      return max_pool(concat ? beside(maps, inputs[0]) : maps, 2);
    };
    const auto lower = [this, concat](const std::vector<Tensor>& inputs) {
      const Tensor maps = convolve(second_, inputs[0]);
      return concat ? beside(maps, inputs[0]) : maps;
    };
    const Tensor pooled = part(upper, {x}, parameters_of(first_));
    const Tensor maps = part(lower, {pooled}, parameters_of(second_));
    return global_pool(maps, options().pool) * options().pool_scale;
  }

  Tensor output_weight_tensor() const override { return output_->weight; }
  Tensor output_bias_tensor() const override { return output_->bias; }

 private:
  Convolutions first_, second_;
  std::shared_ptr<Dense> output_;
};

/// GP-Unet (P2 section 3.2): down, up, skip connection, global pooling of the last maps.
class GpUnet : public Network {
 public:
  explicit GpUnet(const NetworkOptions& options) : Network(options) {
    const std::int64_t features = options.first_features;
    const std::int64_t skip = features + (wants_concat(options) ? 1 : 0);
    const std::int64_t bottom = 2 * features + (wants_concat(options) ? skip : 0);
    down_ = {register_module("down_conv1", std::make_shared<Convolution>(1, features, 1)),
             register_module("down_conv2", std::make_shared<Convolution>(features, features, 1))};
    bottom_ = {
        register_module("bottom_conv1", std::make_shared<Convolution>(skip, 2 * features, 1)),
        register_module("bottom_conv2",
                        std::make_shared<Convolution>(2 * features, 2 * features, 1))};
    up_ = {register_module("up_conv", std::make_shared<Convolution>(bottom + skip, features, 1))};
    output_ = register_module("output", std::make_shared<Dense>(features, 1));
  }

  Tensor forward(const Tensor& x) override { return scores_of(last_maps(x)); }
  Tensor features(const Tensor& x) override { return features_of(last_maps(x)); }
  bool has_attention() const override { return true; }
  Tensor attention(const Tensor& x) override { return attention_of(last_maps(x)); }
  ScoresAndAttention forward_with_attention(const Tensor& x) override {
    const Tensor maps = last_maps(x);
    return {scores_of(maps), attention_of(maps)};
  }

  Tensor output_weight_tensor() const override { return output_->weight; }
  Tensor output_bias_tensor() const override { return output_->bias; }

 private:
  Tensor features_of(const Tensor& maps) {
    return global_pool(maps, options().pool) * options().pool_scale;
  }
  Tensor scores_of(const Tensor& maps) { return output_->forward(features_of(maps)).squeeze(1); }
  /// Sums over channels without a copy of the maps: (N, 1, C) times (N, C, V) is (N, 1, V).
  Tensor attention_of(const Tensor& maps) {
    const Float32 exactly;
    const Tensor weights =
        output_->weight.view({1, 1, maps.size(1)}).expand({maps.size(0), -1, -1});
    return torch::bmm(weights, widened(maps).flatten(2))
        .view({maps.size(0), 1, maps.size(2), maps.size(3), maps.size(4)});
  }
  /// Feature maps of the last convolution, (N, first_features, Z, Y, X).
  Tensor last_maps(const Tensor& x) {
    const bool concat = wants_concat(options());
    const auto down = [this, concat](const std::vector<Tensor>& inputs) {
      const Tensor maps = convolve(down_, inputs[0]);
      return concat ? beside(maps, inputs[0]) : maps;
    };
    const auto bottom = [this, concat](const std::vector<Tensor>& inputs) {
      const Tensor pooled = max_pool(inputs[0], 2);
      const Tensor maps = convolve(bottom_, pooled);
      return concat ? beside(maps, pooled) : maps;
    };
    const auto up = [this](const std::vector<Tensor>& inputs) {
      return convolve(up_, beside(upsample_to(inputs[0], inputs[1]), inputs[1]));
    };
    const Tensor skip = part(down, {x}, parameters_of(down_));
    const Tensor maps = part(bottom, {skip}, parameters_of(bottom_));
    return part(up, {maps, skip}, parameters_of(up_));
  }

  Convolutions down_, bottom_, up_;
  std::shared_ptr<Dense> output_;
};

void initialise(Network& network, std::uint64_t seed) {
  torch::NoGradGuard no_grad;
  const NetworkOptions& options = network.options();
  for (auto& item : network.named_parameters()) {
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
    if (options.init == "normal") {
      parameter.normal_(0.0, 0.05, generator);
    } else if (options.init == "he") {
      parameter.normal_(0.0, std::sqrt(2.0 / fan_in), generator);
    } else {
      const double bound = std::sqrt(6.0 / (fan_in + fan_out));
      parameter.uniform_(-bound, bound, generator);
    }
  }
  network.output_bias_tensor().fill_(options.bias_init);
}

}  // namespace

Tensor Network::attention(const Tensor&) {
  throw core::UsageError(fmt::format("the network {} has no attention map", options().architecture),
                         "attention maps come from gp_unet; every network has --maps saliency");
}

Tensor Network::part(const Segment& body, const std::vector<Tensor>& inputs,
                     const std::vector<Tensor>& parameters) const {
  return gradient_checkpointing_ ? recomputed(body, inputs, parameters) : body(inputs);
}

Network::ScoresAndAttention Network::forward_with_attention(const Tensor& x) {
  return {forward(x), attention(x)};
}

double Network::output_bias() const {
  return output_bias_tensor().item().toDouble();
}

std::shared_ptr<Network> make_network(const NetworkOptions& options, std::uint64_t seed) {
  layer_table(options);  // names the layer that leaves nothing of its input
  std::shared_ptr<Network> network;
  if (options.architecture == "media2019") {
    network = std::make_shared<Media2019>(options);
  } else if (options.architecture == "cnn4") {
    network = std::make_shared<Cnn4>(options);
  } else {
    network = std::make_shared<GpUnet>(options);
  }
  initialise(*network, seed);
  return network;
}

}  // namespace epvs::models
