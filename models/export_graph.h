// A network as a sequence of operations, for exports to other formats. No Torch.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "models/network_options.h"

namespace epvs::models {

/// Writes one operation at a time into some format; values are names.
class GraphEmitter {
 public:
  using Value = std::string;
  virtual ~GraphEmitter() = default;
  /// ReLU of the 3x3x3 convolution with the weights `layer`, `padding` zeros on every side.
  virtual Value convolution(const Value& x, const std::string& layer, int padding) = 0;
  virtual Value max_pool(const Value& x, std::int64_t width, bool ceil) = 0;
  /// Along the channels.
  virtual Value concat(const Value& a, const Value& b) = 0;
  /// Nearest by 2, then `pad` (z, y, x) planes of zeros at the far ends.
  virtual Value upsample(const Value& x, const std::array<std::int64_t, 3>& pad) = 0;
  /// (N, C, Z, Y, X) -> (N, C), times `scale`.
  virtual Value global_pool(const Value& x, const std::string& kind, double scale) = 0;
  virtual Value flatten(const Value& x) = 0;
  virtual Value dense(const Value& x, const std::string& layer, bool relu) = 0;
  /// (N, 1) -> (N)
  virtual Value squeeze(const Value& x) = 0;
  /// sum_k w_k f_k with the weights of the dense layer: (N, C, Z, Y, X) -> (N, 1, Z, Y, X)
  virtual Value attention(const Value& maps, const std::string& layer) = 0;
};

struct GraphOutputs {
  GraphEmitter::Value score;      ///< (N)
  GraphEmitter::Value attention;  ///< (N, 1, Z, Y, X); empty where the network has none
};

/// Emits the whole network. The input is (N, 1, Z, Y, X) with the options' voxels.
GraphOutputs emit_network(const NetworkOptions& options, GraphEmitter& emitter,
                          const GraphEmitter::Value& input);

}  // namespace epvs::models
