#include "models/precision.h"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "core/error.h"

namespace epvs::models {

namespace {

// From 2.4 on autocast is addressed by device; the functions for the CPU and the GPU are
// deprecated.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
bool is_enabled(c10::DeviceType device) {
  return at::autocast::is_autocast_enabled(device);
}
torch::ScalarType type_of(c10::DeviceType device) {
  return at::autocast::get_autocast_dtype(device);
}
void set(const AutocastState& state) {
  at::autocast::set_autocast_enabled(state.device, state.enabled);
  at::autocast::set_autocast_dtype(state.device, state.type);
}
#else
bool is_enabled(c10::DeviceType device) {
  return device == c10::kCPU ? at::autocast::is_cpu_enabled() : at::autocast::is_enabled();
}
torch::ScalarType type_of(c10::DeviceType device) {
  return device == c10::kCPU ? at::autocast::get_autocast_cpu_dtype()
                             : at::autocast::get_autocast_gpu_dtype();
}
void set(const AutocastState& state) {
  if (state.device == c10::kCPU) {
    at::autocast::set_cpu_enabled(state.enabled);
    at::autocast::set_autocast_cpu_dtype(state.type);
  } else {
    at::autocast::set_enabled(state.enabled);
    at::autocast::set_autocast_gpu_dtype(state.type);
  }
}
#endif

AutocastState state_for(Precision precision, const torch::Device& device) {
  AutocastState state = AutocastState::current(device.type());
  state.enabled = precision == Precision::kBf16;
  if (precision == Precision::kBf16) state.type = torch::kBFloat16;
  return state;
}

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
  if (convolves(device, torch::kBFloat16)) return;
  throw core::UsageError(
      fmt::format("precision bf16: the device {} has no convolution in bfloat16", device.str()),
      "a CPU needs AVX-512, a GPU compute capability 8.0; take float32");
}

AutocastState AutocastState::current(c10::DeviceType device) {
  return {device, is_enabled(device), type_of(device)};
}

Autocast::Autocast(Precision precision, const torch::Device& device)
    : Autocast(state_for(precision, device)) {}

Autocast::Autocast(const AutocastState& state)
    : before_(AutocastState::current(state.device)),
      cached_before_(at::autocast::is_autocast_cache_enabled()) {
  set(state);
  at::autocast::set_autocast_cache_enabled(false);
}

Autocast::~Autocast() {
  set(before_);
  at::autocast::set_autocast_cache_enabled(cached_before_);
}

torch::Tensor widened(const torch::Tensor& x) {
  return x.scalar_type() == torch::kBFloat16 ? x.to(torch::kFloat) : x;
}

torch::Tensor max_pool(const torch::Tensor& maps, std::int64_t width, bool ceil) {
  return torch::max_pool3d(widened(maps), width, {}, 0, 1, ceil);
}

torch::Tensor beside(const torch::Tensor& maps, const torch::Tensor& other) {
  return torch::cat({maps, other.to(maps.scalar_type())}, 1);
}

}  // namespace epvs::models
