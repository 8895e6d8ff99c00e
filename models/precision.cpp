#include "models/precision.h"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "core/error.h"
#include "models/torch_setup.h"

namespace epvs::models {

namespace {

// From 2.4 on autocast is addressed by device; the functions for the CPU and the GPU are
// deprecated.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
torch::ScalarType type_of(c10::DeviceType device) {
  return at::autocast::get_autocast_dtype(device);
}
void set(c10::DeviceType device, bool on, torch::ScalarType type) {
  at::autocast::set_autocast_enabled(device, on);
  at::autocast::set_autocast_dtype(device, type);
}
#else
torch::ScalarType type_of(c10::DeviceType device) {
  return device == c10::kCPU ? at::autocast::get_autocast_cpu_dtype()
                             : at::autocast::get_autocast_gpu_dtype();
}
void set(c10::DeviceType device, bool on, torch::ScalarType type) {
  if (device == c10::kCPU) {
    at::autocast::set_cpu_enabled(on);
    at::autocast::set_autocast_cpu_dtype(type);
  } else {
    at::autocast::set_enabled(on);
    at::autocast::set_autocast_gpu_dtype(type);
  }
}
#endif

/// A convolution forward and backward, as in training.
bool convolves(const torch::Device& device, torch::ScalarType type) {
  try {
    const auto options = torch::dtype(type).device(device).requires_grad(true);
    const torch::Tensor x = torch::ones({1, 2, 4, 4, 4}, options);
    const torch::Tensor weight = torch::ones({2, 2, 3, 3, 3}, options);
    torch::conv3d(x, weight).sum().backward();
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

}  // namespace

void require_precision(Precision precision, const torch::Device& device) {
  if (precision == Precision::kFloat32 || precision == Precision::kFloat64) return;
  if (precision == Precision::kTf32) {
    if (device.is_cuda()) return;
    throw core::UsageError(fmt::format("precision tf32: the device {} has no TF32", device.str()),
                           "take a GPU, or float32");
  }
  if (convolves(device, torch::kBFloat16)) return;
  throw core::UsageError(
      fmt::format("precision bf16: the device {} has no convolution in bfloat16", device.str()),
      "a CPU needs AVX-512, a GPU compute capability 8.0; take float32");
}

Precision fastest_precision(const torch::Device& device) {
  bool has_bf16 = device.is_cuda();
#if defined(__x86_64__)
  if (device.is_cpu()) has_bf16 = __builtin_cpu_supports("avx512bf16") != 0;
#endif
  return has_bf16 && convolves(device, torch::kBFloat16) ? Precision::kBf16 : Precision::kFloat32;
}

bool Autocast::is_on(c10::DeviceType device) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::is_autocast_enabled(device);
#else
  return device == c10::kCPU ? at::autocast::is_cpu_enabled() : at::autocast::is_enabled();
#endif
}

Autocast::Autocast(Precision precision, const torch::Device& device)
    : device_(device.type()),
      was_on_(is_on(device_)),
      type_before_(type_of(device_)),
      cached_before_(at::autocast::is_autocast_cache_enabled()) {
  const bool on = precision == Precision::kBf16;
  set(device_, on, on ? torch::kBFloat16 : type_before_);
  at::autocast::set_autocast_cache_enabled(false);
  allow_tf32(precision == Precision::kTf32);
}

Autocast::~Autocast() {
  set(device_, was_on_, type_before_);
  at::autocast::set_autocast_cache_enabled(cached_before_);
}

torch::Tensor widened(const torch::Tensor& x) {
  return x.scalar_type() == torch::kBFloat16 ? x.to(torch::kFloat) : x;
}

}  // namespace epvs::models
