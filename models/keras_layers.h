// The layers of a Keras file beside those of a network: who is who, and what is missing.
#pragma once

#include <string>
#include <vector>

#include "models/keras_file.h"
#include "models/layers.h"

namespace epvs::models {

/// Where a convolution's kernel has its channels.
enum class KerasKernel {
  kChannelsFirst,  ///< (out, in, k1, k2, k3): Keras 1 with dim_ordering = th
  kChannelsLast,   ///< (k1, k2, k3, in, out): Keras 1 with dim_ordering = tf, and Keras 2
};

/// A kernel and the bias that follows it.
struct KerasLayer {
  std::string name;
  const KerasTensor* kernel = nullptr;
  const KerasTensor* bias = nullptr;
};

/// One layer of the network and the layer of the file that holds its weights.
struct LayerPair {
  LayerRow row;
  KerasLayer layer;
};

struct MatchedLayers {
  std::vector<LayerPair> pairs;  ///< in the order of the network
  KerasKernel kernels = KerasKernel::kChannelsLast;
};

/// Pairs layers by order and shape. Throws InputError that names every missing, extra and misshapen
/// layer with its shapes, written as (out, in, k1, k2, k3) and (out, in), and kernels without bias.
MatchedLayers match_layers(const KerasFile& file, const std::vector<LayerRow>& rows,
                           const std::string& architecture);

}  // namespace epvs::models
