#include "models/layers.h"

#include <fmt/format.h>

#include "core/error.h"

namespace epvs::models {

namespace {

using Row = LayerRow;

/// Appends rows and keeps the shape that flows through the network.
class Builder {
 public:
  explicit Builder(const NetworkOptions& options) : current_{1, options.input_zyx} {}

  const LayerShape& current() const { return current_; }
  void set_current(const LayerShape& shape) { current_ = shape; }

  void convolution(const std::string& name, std::int64_t channels, bool valid) {
    LayerShape out{channels, current_.zyx};
    for (std::int64_t& n : out.zyx) n -= valid ? 2 : 0;
    const std::int64_t weights = 27 * current_.channels * channels;
    push(name, "conv3x3x3", out, weights + channels,
         2 * weights * out.zyx[0] * out.zyx[1] * out.zyx[2]);
  }
  void max_pool(const std::string& name, std::int64_t width, bool ceil) {
    LayerShape out = current_;
    for (std::int64_t& n : out.zyx) n = (n + (ceil ? width - 1 : 0)) / width;
    push(name, fmt::format("max_pool{}", width), out, 0, 0);
  }
  /// Puts `other` (same voxels) beside the current maps.
  void concat(const std::string& name, const LayerShape& other) {
    push(name, "concat", {current_.channels + other.channels, current_.zyx}, 0, 0);
  }
  void upsample(const std::string& name, const std::array<std::int64_t, 3>& target) {
    push(name, "upsample2", {current_.channels, target}, 0, 0);
  }
  void global_pool(const std::string& kind) {
    push("pool", "global_" + kind + "_pool", {current_.channels, {1, 1, 1}}, 0, 0);
  }
  void flatten() { push("flatten", "flatten", {current_.elements(), {1, 1, 1}}, 0, 0); }
  void dense(const std::string& name, std::int64_t units) {
    const std::int64_t weights = current_.elements() * units;
    push(name, "dense", {units, {1, 1, 1}}, weights + units, 2 * weights);
  }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  void push(const std::string& name, const std::string& kind, const LayerShape& out,
            std::int64_t parameters, std::int64_t flops) {
    for (const std::int64_t n : out.zyx) {
      if (n < 1) {
        throw core::UsageError(
            fmt::format("the layer {} ({}) gets {} (channels x z x y x x) and leaves nothing of it",
                        name, kind, current_.text()),
            "use fewer blocks or convolutions, network.padding = same, network.pool_rounding = "
            "ceil, or a larger crop");
      }
    }
    rows_.push_back({name, kind, current_, out, parameters, flops});
    current_ = out;
  }

  LayerShape current_;
  std::vector<Row> rows_;
};

std::vector<Row> media2019_table(const NetworkOptions& options) {
  Builder builder(options);
  const bool valid = options.padding == "valid";
  const bool ceil = options.pool_rounding == "ceil";
  for (int block = 0; block < options.blocks; ++block) {
    for (int i = 0; i < options.convolutions_per_block; ++i) {
      builder.convolution(fmt::format("block{}_conv{}", block + 1, i + 1),
                          block_features(options, block), valid);
    }
    builder.max_pool(fmt::format("block{}_pool", block + 1), block_pool(options, block), ceil);
  }
  if (options.trailing_convolution) {
    builder.convolution("trailing_conv", block_features(options, options.blocks), valid);
    builder.max_pool("trailing_pool", block_pool(options, options.blocks), ceil);
  }
  builder.flatten();
  for (std::size_t i = 0; i < options.fully_connected.size(); ++i) {
    builder.dense(fmt::format("fc{}", i + 1), options.fully_connected[i]);
  }
  builder.dense("output", 1);
  return builder.take();
}

std::vector<Row> cnn4_table(const NetworkOptions& options) {
  Builder builder(options);
  const std::int64_t features = options.first_features;
  const bool concat = options.residual == "concat";
  const LayerShape input = builder.current();
  builder.convolution("conv1", features, false);
  builder.convolution("conv2", features, false);
  if (concat) builder.concat("concat1", input);
  builder.max_pool("pool1", 2, false);
  const LayerShape pooled = builder.current();
  builder.convolution("conv3", 2 * features, false);
  builder.convolution("conv4", 2 * features, false);
  if (concat) builder.concat("concat2", pooled);
  builder.global_pool(options.pool);
  builder.dense("output", 1);
  return builder.take();
}

std::vector<Row> gp_unet_table(const NetworkOptions& options) {
  Builder builder(options);
  const std::int64_t features = options.first_features;
  const bool concat = options.residual == "concat";
  const LayerShape input = builder.current();
  builder.convolution("down_conv1", features, false);
  builder.convolution("down_conv2", features, false);
  if (concat) builder.concat("down_concat", input);
  const LayerShape skip = builder.current();
  builder.max_pool("down_pool", 2, false);
  const LayerShape pooled = builder.current();
  builder.convolution("bottom_conv1", 2 * features, false);
  builder.convolution("bottom_conv2", 2 * features, false);
  if (concat) builder.concat("bottom_concat", pooled);
  builder.upsample("upsample", skip.zyx);
  builder.concat("skip_concat", skip);
  builder.convolution("up_conv", features, false);
  builder.global_pool(options.pool);
  builder.dense("output", 1);
  return builder.take();
}

}  // namespace

std::string LayerShape::text() const {
  return fmt::format("{}x{}x{}x{}", channels, zyx[0], zyx[1], zyx[2]);
}

std::int64_t block_features(const NetworkOptions& options, int block) {
  return static_cast<std::int64_t>(options.first_features) << block;
}

std::int64_t block_pool(const NetworkOptions& options, int block) {
  const int last = options.trailing_convolution ? options.blocks : options.blocks - 1;
  return block == last ? 4 : 2;
}

std::vector<LayerRow> layer_table(const NetworkOptions& options) {
  options.validate();
  if (options.architecture == "media2019") return media2019_table(options);
  if (options.architecture == "cnn4") return cnn4_table(options);
  EPVS_ASSERT(options.architecture == "gp_unet");
  return gp_unet_table(options);
}

std::int64_t total_parameters(const std::vector<LayerRow>& rows) {
  std::int64_t sum = 0;
  for (const LayerRow& row : rows) sum += row.parameters;
  return sum;
}

std::int64_t total_flops(const std::vector<LayerRow>& rows) {
  std::int64_t sum = 0;
  for (const LayerRow& row : rows) sum += row.flops;
  return sum;
}

core::Table layers_as_table(const std::vector<LayerRow>& rows) {
  core::Table table({"layer", "kind", "input", "output", "parameters", "flops"});
  for (const LayerRow& row : rows) {
    table.add_row({row.name, row.kind, row.input.text(), row.output.text(),
                   std::to_string(row.parameters), std::to_string(row.flops)});
  }
  return table;
}

core::Json layers_as_json(const std::vector<LayerRow>& rows) {
  core::Json document = core::Json::array();
  const auto shape = [](const LayerShape& s) {
    return core::Json({s.channels, s.zyx[0], s.zyx[1], s.zyx[2]});
  };
  for (const LayerRow& row : rows) {
    document.push_back({{"name", row.name},
                        {"kind", row.kind},
                        {"input", shape(row.input)},
                        {"output", shape(row.output)},
                        {"parameters", row.parameters},
                        {"flops", row.flops}});
  }
  return document;
}

}  // namespace epvs::models
