#include "models/export_graph.h"

#include <fmt/format.h>

#include "models/layers.h"

namespace epvs::models {

namespace {

using Value = GraphEmitter::Value;

GraphOutputs emit_media2019(const NetworkOptions& options, GraphEmitter& emitter, Value x) {
  const int padding = options.padding == "same" ? 1 : 0;
  const bool ceil = options.pool_rounding == "ceil";
  for (int block = 0; block < options.blocks; ++block) {
    for (int i = 0; i < options.convolutions_per_block; ++i) {
      x = emitter.convolution(x, fmt::format("block{}_conv{}", block + 1, i + 1), padding);
    }
    x = emitter.max_pool(x, block_pool(options, block), ceil);
  }
  if (options.trailing_convolution) {
    x = emitter.convolution(x, "trailing_conv", padding);
    x = emitter.max_pool(x, block_pool(options, options.blocks), ceil);
  }
  x = emitter.flatten(x);
  for (std::size_t i = 0; i < options.fully_connected.size(); ++i) {
    x = emitter.dense(x, fmt::format("fc{}", i + 1), true);
  }
  return {emitter.squeeze(emitter.dense(x, "output", false)), ""};
}

Value pooled_score(const NetworkOptions& options, GraphEmitter& emitter, const Value& maps) {
  const Value features = emitter.global_pool(maps, options.pool, options.pool_scale);
  return emitter.squeeze(emitter.dense(features, "output", false));
}

GraphOutputs emit_cnn4(const NetworkOptions& options, GraphEmitter& emitter, const Value& x) {
  const bool concat = options.residual == "concat";
  Value maps = emitter.convolution(emitter.convolution(x, "conv1", 1), "conv2", 1);
  if (concat) maps = emitter.concat(maps, x);
  const Value pooled = emitter.max_pool(maps, 2, false);
  maps = emitter.convolution(emitter.convolution(pooled, "conv3", 1), "conv4", 1);
  if (concat) maps = emitter.concat(maps, pooled);
  return {pooled_score(options, emitter, maps), ""};
}

GraphOutputs emit_gp_unet(const NetworkOptions& options, GraphEmitter& emitter, const Value& x) {
  const bool concat = options.residual == "concat";
  Value skip = emitter.convolution(emitter.convolution(x, "down_conv1", 1), "down_conv2", 1);
  if (concat) skip = emitter.concat(skip, x);
  const Value pooled = emitter.max_pool(skip, 2, false);
  Value maps =
      emitter.convolution(emitter.convolution(pooled, "bottom_conv1", 1), "bottom_conv2", 1);
  if (concat) maps = emitter.concat(maps, pooled);
  const auto& [z, y, w] = options.input_zyx;
  const Value up = emitter.upsample(maps, {z % 2, y % 2, w % 2});
  maps = emitter.convolution(emitter.concat(up, skip), "up_conv", 1);
  return {pooled_score(options, emitter, maps), emitter.attention(maps, "output")};
}

}  // namespace

GraphOutputs emit_network(const NetworkOptions& options, GraphEmitter& emitter,
                          const Value& input) {
  layer_table(options);  // throws for options that leave nothing of the input
  if (options.architecture == "media2019") return emit_media2019(options, emitter, input);
  if (options.architecture == "cnn4") return emit_cnn4(options, emitter, input);
  return emit_gp_unet(options, emitter, input);
}

}  // namespace epvs::models
