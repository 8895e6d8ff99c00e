#include "models/layers.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace epvs::models {

namespace {

/// Appends layers; values are numbered as Layer::inputs says.
class Builder {
 public:
  using Value = std::int64_t;
  static constexpr Value kVolume = 0;

  explicit Builder(const NetworkOptions& options)
      : options_(options), shapes_{{1, options.input_zyx}} {}

  Value convolution(Value x, const std::string& name, std::int64_t channels,
                    std::int64_t padding = 1) {
    Layer layer = start(name, LayerKind::kConvolution, {x});
    layer.padding = padding;
    layer.output.channels = channels;
    for (std::int64_t& n : layer.output.zyx) n += 2 * padding - 2;
    const std::int64_t weights = 27 * layer.input.channels * channels;
    layer.parameters = weights + channels;
    layer.flops = 2 * weights * layer.output.elements() / channels;
    return push(layer);
  }
  Value max_pool(Value x, const std::string& name, std::int64_t width, bool ceil = false) {
    Layer layer = start(name, LayerKind::kMaxPool, {x});
    layer.width = width;
    layer.ceil = ceil;
    for (std::int64_t& n : layer.output.zyx) n = (n + (ceil ? width - 1 : 0)) / width;
    return push(layer);
  }
  Value concat(Value a, Value b, const std::string& name) {
    Layer layer = start(name, LayerKind::kConcat, {a, b});
    layer.output.channels += shape(b).channels;
    return push(layer);
  }
  /// To the voxels of `like`, whose pooling may have dropped one along an axis.
  Value upsample(Value x, Value like, const std::string& name) {
    Layer layer = start(name, LayerKind::kUpsample, {x});
    layer.output.zyx = shape(like).zyx;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      layer.pad[axis] = layer.output.zyx[axis] - 2 * layer.input.zyx[axis];
    }
    return push(layer);
  }
  Value global_pool(Value x) {
    Layer layer = start("pool", LayerKind::kGlobalPool, {x});
    layer.output.zyx = {1, 1, 1};
    return push(layer);
  }
  Value flatten(Value x) {
    Layer layer = start("flatten", LayerKind::kFlatten, {x});
    layer.output = {layer.input.elements(), {1, 1, 1}};
    return push(layer);
  }
  Value dense(Value x, const std::string& name, std::int64_t units, bool relu) {
    Layer layer = start(name, LayerKind::kDense, {x});
    layer.output = {units, {1, 1, 1}};
    layer.relu = relu;
    layer.parameters = (layer.input.elements() + 1) * units;
    layer.flops = 2 * layer.input.elements() * units;
    return push(layer);
  }
  /// The features of average or maximum pooling and the output unit.
  void pooled_output(Value maps) { dense(global_pool(maps), "output", 1, false); }
  std::vector<Layer> take() { return std::move(layers_); }

 private:
  const LayerShape& shape(Value value) const { return shapes_[value]; }

  Layer start(const std::string& name, LayerKind kind, std::vector<std::int64_t> inputs) const {
    Layer layer;
    layer.name = name;
    layer.kind = kind;
    layer.inputs = std::move(inputs);
    layer.input = layer.output = shape(layer.inputs.front());
    return layer;
  }
  Value push(const Layer& layer) {
    for (const std::int64_t n : layer.output.zyx) {
      if (n >= 1) continue;
      throw core::UsageError(
          fmt::format("the layer {} ({}) gets {} (channels x z x y x x) and leaves nothing of it",
                      layer.name, layer.kind_text(options_), layer.input.text()),
          "use fewer blocks or convolutions, network.padding = same, network.pool_rounding = "
          "ceil, or a larger crop");
    }
    layers_.push_back(layer);
    shapes_.push_back(layer.output);
    return std::ssize(layers_);
  }

  const NetworkOptions& options_;
  std::vector<LayerShape> shapes_;
  std::vector<Layer> layers_;
};

/// P1 section 2.2: blocks of convolutions and max-poolings, then fully connected layers. Channels
/// double after each block; the last pooling is 4 wide.
void add_media2019(const NetworkOptions& options, Builder& builder) {
  const std::int64_t padding = options.padding == Padding::kSame ? 1 : 0;
  const bool ceil = options.pool_rounding == PoolRounding::kCeil;
  Builder::Value x = Builder::kVolume;
  for (std::int64_t block = 0; block < options.blocks; ++block) {
    const std::int64_t channels = std::int64_t{options.first_features} << block;
    for (std::int64_t i = 0; i < options.convolutions_per_block; ++i) {
      x = builder.convolution(x, fmt::format("block{}_conv{}", block + 1, i + 1), channels,
                              padding);
    }
    const bool last = block + 1 == options.blocks && !options.trailing_convolution;
    x = builder.max_pool(x, fmt::format("block{}_pool", block + 1), last ? 4 : 2, ceil);
  }
  if (options.trailing_convolution) {
    const std::int64_t channels = std::int64_t{options.first_features} << options.blocks;
    x = builder.convolution(x, "trailing_conv", channels, padding);
    x = builder.max_pool(x, "trailing_pool", 4, ceil);
  }
  x = builder.flatten(x);
  for (std::int64_t i = 0; i < std::ssize(options.fully_connected); ++i) {
    x = builder.dense(x, fmt::format("fc{}", i + 1), options.fully_connected[i], true);
  }
  builder.dense(x, "output", 1, false);
}

/// The "CNN" of P2: two pairs of convolutions with a max-pooling between them, global pooling.
void add_cnn4(const NetworkOptions& options, Builder& builder) {
  const std::int64_t features = options.first_features;
  Builder::Value x = builder.convolution(Builder::kVolume, "conv1", features);
  x = builder.convolution(x, "conv2", features);
  if (options.concatenates()) x = builder.concat(x, Builder::kVolume, "concat1");
  const Builder::Value pooled = builder.max_pool(x, "pool1", 2);
  x = builder.convolution(pooled, "conv3", 2 * features);
  x = builder.convolution(x, "conv4", 2 * features);
  if (options.concatenates()) x = builder.concat(x, pooled, "concat2");
  builder.pooled_output(x);
}

/// GP-Unet (P2 section 3.2): down, up, skip connection, global pooling of the last maps.
void add_gp_unet(const NetworkOptions& options, Builder& builder) {
  const std::int64_t features = options.first_features;
  Builder::Value skip = builder.convolution(Builder::kVolume, "down_conv1", features);
  skip = builder.convolution(skip, "down_conv2", features);
  if (options.concatenates()) skip = builder.concat(skip, Builder::kVolume, "down_concat");
  const Builder::Value pooled = builder.max_pool(skip, "down_pool", 2);
  Builder::Value x = builder.convolution(pooled, "bottom_conv1", 2 * features);
  x = builder.convolution(x, "bottom_conv2", 2 * features);
  if (options.concatenates()) x = builder.concat(x, pooled, "bottom_concat");
  x = builder.upsample(x, skip, "upsample");
  x = builder.concat(x, skip, "skip_concat");
  builder.pooled_output(builder.convolution(x, "up_conv", features));
}

}  // namespace

std::string LayerShape::text() const {
  return fmt::format("{}x{}x{}x{}", channels, zyx[0], zyx[1], zyx[2]);
}

std::string Layer::kind_text(const NetworkOptions& options) const {
  switch (kind) {
    case LayerKind::kConvolution:
      return "conv3x3x3";
    case LayerKind::kMaxPool:
      return fmt::format("max_pool{}", width);
    case LayerKind::kConcat:
      return "concat";
    case LayerKind::kUpsample:
      return "upsample2";
    case LayerKind::kGlobalPool:
      return "global_" + core::to_text(options.pool) + "_pool";
    case LayerKind::kFlatten:
      return "flatten";
    case LayerKind::kDense:
      return "dense";
  }
  return {};
}

std::vector<Layer> layers_of(const NetworkOptions& options) {
  options.validate();
  Builder builder(options);
  switch (options.architecture) {
    case Architecture::kMedia2019:
      add_media2019(options, builder);
      break;
    case Architecture::kCnn4:
      add_cnn4(options, builder);
      break;
    case Architecture::kGpUnet:
      add_gp_unet(options, builder);
      break;
  }
  return builder.take();
}

std::int64_t last_maps(const std::vector<Layer>& layers) {
  const auto is_head = [](const Layer& layer) {
    return layer.kind == LayerKind::kGlobalPool || layer.kind == LayerKind::kFlatten;
  };
  const auto head = std::ranges::find_if(layers, is_head);
  EPVS_ASSERT(head != layers.end());
  return head->inputs.front();
}

bool has_attention(const NetworkOptions& options) {
  return options.architecture == Architecture::kGpUnet;
}

std::int64_t total_parameters(const std::vector<Layer>& layers) {
  std::int64_t sum = 0;
  for (const Layer& layer : layers) sum += layer.parameters;
  return sum;
}

std::int64_t total_flops(const std::vector<Layer>& layers) {
  std::int64_t sum = 0;
  for (const Layer& layer : layers) sum += layer.flops;
  return sum;
}

core::Json layers_as_json(const NetworkOptions& options, const std::vector<Layer>& layers) {
  core::Json document = core::Json::array();
  const auto shape = [](const LayerShape& s) {
    return core::Json({s.channels, s.zyx[0], s.zyx[1], s.zyx[2]});
  };
  for (const Layer& layer : layers) {
    document.push_back({{"name", layer.name},
                        {"kind", layer.kind_text(options)},
                        {"input", shape(layer.input)},
                        {"output", shape(layer.output)},
                        {"parameters", layer.parameters},
                        {"flops", layer.flops}});
  }
  return document;
}

}  // namespace epvs::models
