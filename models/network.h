// The networks as Torch modules.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "models/network_options.h"
#include "models/recompute.h"

namespace epvs::models {

/// A network that maps volumes to scores.
class Network : public torch::nn::Module {
 public:
  explicit Network(NetworkOptions options) : options_(std::move(options)) {}

  const NetworkOptions& options() const { return options_; }
  /// x: (N, 1, Z, Y, X) -> scores (N).
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
  /// x: (N, 1, Z, Y, X) -> what the output unit sees, (N, K), pool_scale included:
  /// score = features . output_weight_tensor() + output_bias().
  virtual torch::Tensor features(const torch::Tensor& x) = 0;
  virtual bool has_attention() const { return false; }
  /// x: (N, 1, Z, Y, X) -> attention maps (N, 1, Z, Y, X): M = sum_k w_k f_k of the last
  /// convolution, the bias left out (P2 section 3.2), so that with average pooling
  /// pool_scale * mean(M) + bias = score. Throws UsageError for a network without attention.
  virtual torch::Tensor attention(const torch::Tensor& x);
  /// Scores (N) and attention maps (N, 1, Z, Y, X) from one pass.
  struct ScoresAndAttention {
    torch::Tensor scores;
    torch::Tensor attention;
  };
  virtual ScoresAndAttention forward_with_attention(const torch::Tensor& x);
  /// The weights (1, K) of the output unit: the parameter itself.
  virtual torch::Tensor output_weight_tensor() const = 0;
  /// The bias of the output unit: the parameter itself, and its value.
  virtual torch::Tensor output_bias_tensor() const = 0;
  double output_bias() const;

  /// From now on the maps within blocks are not kept for the backward pass but computed again
  /// (models/recompute.h): the same gradients in less memory and about a third more time.
  void set_gradient_checkpointing(bool on) { gradient_checkpointing_ = on; }

 protected:
  /// body(inputs), kept or computed again. `parameters` are all that the body uses.
  torch::Tensor part(const Segment& body, const std::vector<torch::Tensor>& inputs,
                     const std::vector<torch::Tensor>& parameters) const;

 private:
  bool gradient_checkpointing_ = false;
  NetworkOptions options_;
};

/// Builds and initialises a network (float32, CPU); `seed` decides the weights, independent of
/// Torch's global state, which it leaves untouched. Throws UsageError when the options are invalid
/// or leave nothing of the input (models/layers.h).
std::shared_ptr<Network> make_network(const NetworkOptions& options, std::uint64_t seed);

}  // namespace epvs::models
