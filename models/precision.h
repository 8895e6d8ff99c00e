// Mixed precision: convolutions in 16 bits, everything else and all weights in float32.
#pragma once

#include "models/precision_names.h"
#include "models/torch.h"

namespace epvs::models {

/// Throws core::UsageError when `device` cannot compute in `precision`: bf16 needs a CPU with
/// AVX-512 (tried by a small convolution) or a GPU.
void require_precision(Precision precision, const torch::Device& device);

/// What a thread's autocast is set to on one kind of device.
struct AutocastState {
  c10::DeviceType device = c10::kCPU;
  bool enabled = false;
  torch::ScalarType type = torch::kBFloat16;
  /// Of this thread.
  static AutocastState current(c10::DeviceType device);
};

/// While it lives, autocast of this thread is in another state. Casts of weights are not cached:
/// each weight is used once in a pass, and a pass that is computed again needs casts with a
/// gradient.
class Autocast {
 public:
  Autocast(Precision precision, const torch::Device& device);
  explicit Autocast(const AutocastState& state);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  AutocastState before_;
  bool cached_before_ = true;
};

/// While it lives, autocast is off in this thread: for what needs all digits.
class Float32 {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

/// float32 of a bfloat16 tensor; other tensors as they are.
torch::Tensor widened(const torch::Tensor& x);

/// Max-pooling without overlap. bfloat16 maps are widened: LibTorch 1.13 has no kernel for them on
/// the CPU, and on CUDA none that could be tested.
torch::Tensor max_pool(const torch::Tensor& maps, std::int64_t width, bool ceil = false);

/// `other` beside `maps` (channels), in the type of `maps`.
torch::Tensor beside(const torch::Tensor& maps, const torch::Tensor& other);

}  // namespace epvs::models
