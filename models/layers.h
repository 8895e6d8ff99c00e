// The networks as lists of layers, from their options alone, without Torch: the one description
// from which the Torch module (models/network.h), the layer table of `epvs inspect` and the exports
// (models/export_writers.h) are made.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/table.h"
#include "models/network_options.h"

namespace epvs::models {

/// Channels, then voxels along z, y, x. A vector of features has voxels {1, 1, 1}.
struct LayerShape {
  std::int64_t channels = 1;
  std::array<std::int64_t, 3> zyx = {1, 1, 1};
  std::int64_t elements() const { return channels * zyx[0] * zyx[1] * zyx[2]; }
  /// "32x82x126x166"
  std::string text() const;
  bool operator==(const LayerShape&) const = default;
};

enum class LayerKind {
  kConvolution,  ///< 3x3x3 with bias, padded with `padding` zeros on every side, then ReLU
  kMaxPool,      ///< of `width` voxels without overlap; `ceil` pools the voxels left over too
  kConcat,       ///< two inputs beside each other along the channels
  kUpsample,     ///< nearest by 2, then `pad` (z, y, x) planes of zeros at the far ends
  kGlobalPool,   ///< (C, Z, Y, X) -> (C), times NetworkOptions::pool_scale
  kFlatten,      ///< (C, Z, Y, X) -> (C Z Y X)
  kDense,        ///< with bias; then ReLU where `relu`
};

struct Layer {
  std::string name;  ///< of the Torch module where the layer has weights: "block1_conv1"
  LayerKind kind = LayerKind::kConvolution;
  /// The values that go in: 0 is the volume, i + 1 the result of layer i.
  std::vector<std::int64_t> inputs;
  LayerShape input;  ///< of the first of them
  LayerShape output;
  std::int64_t parameters = 0;
  /// Floating point operations of one forward pass of one volume; a multiply-add counts as 2.
  /// Convolutions and dense layers only: the rest is below one percent.
  std::int64_t flops = 0;

  std::int64_t padding = 0;                     ///< convolution
  std::int64_t width = 0;                       ///< max-pooling
  bool ceil = false;                            ///< max-pooling
  std::array<std::int64_t, 3> pad = {0, 0, 0};  ///< upsampling
  bool relu = false;                            ///< dense

  /// "conv3x3x3", "max_pool2", "global_avg_pool", ...
  std::string kind_text(const NetworkOptions& options) const;
};

/// In the order of computation; the last layer is the dense layer "output". Throws UsageError
/// naming the layer and its input when a convolution or pooling leaves nothing of an axis.
std::vector<Layer> layers_of(const NetworkOptions& options);

/// The last feature maps, counted as Layer::inputs does: what global pooling or flattening takes.
std::int64_t last_maps(const std::vector<Layer>& layers);

/// Only gp_unet has an attention map: the channels of last_maps() weighted by the output layer.
bool has_attention(const NetworkOptions& options);

std::int64_t total_parameters(const std::vector<Layer>& layers);
std::int64_t total_flops(const std::vector<Layer>& layers);

/// name, kind, input, output, parameters, flops of every layer.
core::Json layers_as_json(const NetworkOptions& options, const std::vector<Layer>& layers);

}  // namespace epvs::models
