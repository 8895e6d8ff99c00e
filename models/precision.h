// Mixed precision: convolutions in 16 bits, everything else and all weights in float32.
#pragma once

#include "models/network_options.h"
#include "models/torch.h"

namespace epvs::models {

/// Throws core::UsageError when `device` cannot compute in `precision`: bf16 needs a CPU with
/// AVX-512 (tried by a small convolution) or a GPU, tf32 a GPU.
void require_precision(Precision precision, const torch::Device& device);

/// bf16 where `device` multiplies it faster than float32 (a CPU with AVX512-BF16, a GPU that has
/// it), else float32.
Precision fastest_precision(const torch::Device& device);

/// While it lives, the convolutions of this thread on this kind of device are computed in
/// `precision`. Casts of weights are not cached: each weight is used once in a pass. TF32 is a
/// switch of all threads and stays until the next one, so that the backward pass has it too.
class Autocast {
 public:
  Autocast(Precision precision, const torch::Device& device);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

  /// Is autocast on in this thread?
  static bool is_on(c10::DeviceType device);

 private:
  c10::DeviceType device_;
  bool was_on_;
  torch::ScalarType type_before_;
  bool cached_before_;
};

/// While it lives, autocast is off in this thread: for what needs all digits.
class Float32 {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

/// float32 of a bfloat16 tensor; other tensors as they are.
torch::Tensor widened(const torch::Tensor& x);

}  // namespace epvs::models
