// The layer table of a network from its options alone, without Torch: shapes, parameters, FLOPs.
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

struct LayerRow {
  std::string name;  ///< of the Torch module where the layer has parameters: "block1_conv1"
  std::string kind;  ///< conv, max_pool, concat, upsample, avg_pool, flatten, dense, ...
  LayerShape input;
  LayerShape output;
  std::int64_t parameters = 0;
  /// Floating point operations of one forward pass of one volume; a multiply-add counts as 2.
  /// Convolutions and dense layers only: the rest is below one percent.
  std::int64_t flops = 0;
};

/// Rows in the order of computation. Throws UsageError naming the layer and its input when a
/// convolution or pooling leaves nothing of an axis.
std::vector<LayerRow> layer_table(const NetworkOptions& options);

std::int64_t total_parameters(const std::vector<LayerRow>& rows);
std::int64_t total_flops(const std::vector<LayerRow>& rows);

/// Columns layer, kind, input, output, parameters, flops.
core::Table layers_as_table(const std::vector<LayerRow>& rows);
core::Json layers_as_json(const std::vector<LayerRow>& rows);

/// Channels of block `block` (0-based) of media2019; block == blocks is the trailing convolution.
std::int64_t block_features(const NetworkOptions& options, int block);
/// Width of the max-pooling after block `block` (0-based): 2, or 4 at the end (P1).
std::int64_t block_pool(const NetworkOptions& options, int block);

}  // namespace epvs::models
