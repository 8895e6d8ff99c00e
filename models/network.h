// The networks as one Torch module, made of the layers of models/layers.h.
#pragma once

#include <memory>
#include <vector>

#include "models/layers.h"
#include "models/network_layers.h"
#include "models/network_options.h"
#include "models/torch.h"

namespace epvs::models {

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
  bool has_attention() const { return attention_value_ >= 0; }
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
  /// The weights (1, K) of the output unit: the parameter itself.
  torch::Tensor output_weight_tensor() const { return weights_.back()->weight; }
  /// The bias of the output unit: the parameter itself, and its value.
  torch::Tensor output_bias_tensor() const { return weights_.back()->bias; }
  double output_bias() const;

  /// From now on the maps within parts of the network are not kept for the backward pass but
  /// computed again (models/recompute.h): the same gradients in less memory and about a third more
  /// time.
  void set_gradient_checkpointing(bool on) { gradient_checkpointing_ = on; }

 private:
  /// The last feature maps: the result of the last layer that belongs to a part.
  torch::Tensor last_maps(const torch::Tensor& x);
  /// The layers between the last feature maps and the output unit.
  torch::Tensor features_of(const torch::Tensor& maps);
  torch::Tensor scores_of(const torch::Tensor& maps);
  torch::Tensor attention_of(const torch::Tensor& maps);
  /// Computes the layers first .. end - 1. `values` are numbered as Layer::inputs; those that no
  /// later layer needs are dropped.
  void compute(std::int64_t first, std::int64_t end, std::vector<torch::Tensor>& values) const;
  torch::Tensor compute(const Layer& layer, std::int64_t index,
                        const std::vector<torch::Tensor>& values) const;
  /// The same for a part, kept or computed again.
  void compute_part(std::int64_t first, std::int64_t end, std::vector<torch::Tensor>& values);
  void initialise(std::uint64_t seed);

  NetworkOptions options_;
  std::vector<Layer> layers_;
  std::vector<std::shared_ptr<LayerWeights>> weights_;  ///< by layer; null where it has none
  std::vector<std::int64_t> last_use_;                  ///< of each value: the layer that needs it
  std::int64_t head_ = 0;                               ///< the first layer behind the last maps
  std::int64_t attention_value_ = -1;
  bool gradient_checkpointing_ = false;
};

std::shared_ptr<Network> make_network(const NetworkOptions& options, std::uint64_t seed);

}  // namespace epvs::models
