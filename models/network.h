// The networks as one Torch module, made of the layers of models/layers.h.
#pragma once

#include <memory>
#include <vector>

#include "models/layers.h"
#include "models/network_options.h"
#include "models/torch.h"

namespace epvs::models {

/// Weight and bias of a convolution, (out, in, 3, 3, 3) and (out), or of a dense layer, (out, in)
/// and (out). Uninitialised: torch::nn's layers would draw from Torch's global generator when they
/// are built.
class LayerWeights : public torch::nn::Module {
 public:
  explicit LayerWeights(const Layer& layer);
  torch::Tensor weight;
  torch::Tensor bias;
};

/// 3x3x3 convolution, padded with `padding` zeros on every side: (N, in, Z, Y, X) -> (N, out, Z',
/// Y', X').
torch::Tensor convolve(const torch::Tensor& x, const LayerWeights& weights, std::int64_t padding);

/// Nearest-neighbour upsampling by 2, then `pad` (z, y, x) planes of zeros at the far ends:
/// (N, C, z, y, x) -> (N, C, Z, Y, X).
torch::Tensor upsample(const torch::Tensor& maps, const std::array<std::int64_t, 3>& pad);

/// A network that maps volumes to scores.
class Network : public torch::nn::Module {
 public:
  /// Initialises the weights (float32, CPU); `seed` decides them, independent of Torch's global
  /// state, which is left untouched. Throws UsageError when the options are invalid or leave
  /// nothing of the input (models/layers.h).
  Network(const NetworkOptions& options, std::uint64_t seed);

  const NetworkOptions& options() const { return options_; }
  /// x: (N, 1, Z, Y, X) -> scores (N).
  virtual torch::Tensor forward(const torch::Tensor& x);
  /// x: (N, 1, Z, Y, X) -> what the output unit sees, (N, K), pool_scale included:
  /// score = features . output_weight_tensor() + output_bias().
  torch::Tensor features(const torch::Tensor& x);
  bool has_attention() const { return models::has_attention(options_); }
  /// x: (N, 1, Z, Y, X) -> attention maps (N, 1, Z, Y, X): M = sum_k w_k f_k of the last
  /// convolution, the bias left out (P2 section 3.2), so that with average pooling
  /// pool_scale * mean(M) + bias = score. Throws UsageError for a network without attention.
  torch::Tensor attention(const torch::Tensor& x);
  /// Scores (N) and attention maps (N, 1, Z, Y, X) from one pass.
  struct ScoresAndAttention {
    torch::Tensor scores;
    torch::Tensor attention;
  };
  ScoresAndAttention forward_with_attention(const torch::Tensor& x);
  /// The steps of a pass: the last feature maps (N, C, Z', Y', X') of x, and what follows from them.
  torch::Tensor last_maps(const torch::Tensor& x);
  torch::Tensor scores_of(const torch::Tensor& maps);
  torch::Tensor attention_of(const torch::Tensor& maps);
  /// The weights (1, K) of the output unit: the parameter itself.
  torch::Tensor output_weight_tensor() const { return weights_.back()->weight; }
  /// The bias of the output unit: the parameter itself, and its value.
  torch::Tensor output_bias_tensor() const { return weights_.back()->bias; }
  double output_bias() const;

  /// How feature maps lie in memory. Blocked is oneDNN's own layout, on the CPU in float32 or
  /// bfloat16 (models/blocked.h); plain is LibTorch's, which everything else takes; channels last
  /// is what the matrix units of GPUs read. The same scores and gradients but for rounding.
  enum class Layout { kBlocked, kPlain, kChannelsLast };
  void set_layout(Layout layout) { layout_ = layout; }

 private:
  /// The layers between the last feature maps and the output unit.
  torch::Tensor features_of(const torch::Tensor& maps);
  /// Computes the layers first .. end - 1. `values` are numbered as Layer::inputs; those that no
  /// later layer needs are dropped.
  void compute(std::int64_t first, std::int64_t end, std::vector<torch::Tensor>& values) const;
  torch::Tensor compute(std::int64_t layer, const std::vector<torch::Tensor>& values) const;
  void initialise(std::uint64_t seed);

  NetworkOptions options_;
  std::vector<Layer> layers_;
  std::vector<std::shared_ptr<LayerWeights>> weights_;  ///< by layer; null where it has none
  std::vector<std::int64_t> last_use_;                  ///< of each value: the layer that needs it
  std::int64_t last_maps_ = 0;                          ///< models::last_maps
  Layout layout_ = Layout::kBlocked;
};

std::shared_ptr<Network> make_network(const NetworkOptions& options, std::uint64_t seed);

}  // namespace epvs::models
