#include "models/torch_setup.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <malloc.h>
#include <torch/version.h>
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 10)
#include <ATen/DeviceAccelerator.h>
#endif

#include <cstdlib>
#include <limits>

#include "core/error.h"
#include "core/text.h"

namespace epvs::models {

c10::Device resolve_device(const std::string& text) {
  if (text == "cpu") return {c10::kCPU};
  const int gpus = at::detail::getCUDAHooks().getNumGPUs();
  if (text == "auto") return gpus > 0 ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
  long long index = 0;
  if (text != "cuda") {
    const auto number =
        text.starts_with("cuda:") ? core::parse_integer(text.substr(5)) : std::nullopt;
    if (!number || *number < 0 || *number > 127) {
      throw core::UsageError(
          fmt::format("--device = {}: expected auto, cpu, cuda or cuda:N", text));
    }
    index = *number;
  }
  if (index >= gpus) {
    throw core::UsageError(
        fmt::format("the device {} is not there: this LibTorch sees {} GPU(s)", text, gpus),
        "take --device auto or cpu, or a LibTorch with CUDA and a working driver (nvidia-smi)");
  }
  return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

void set_up_torch(const TorchSettings& settings) {
#ifdef __GLIBC__
  // Feature maps of hundreds of megabytes come and go in every layer. By default glibc takes each
  // from the system and gives it back, and the page faults cost more than the convolutions: no
  // mmap, and what was freed is kept.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  constexpr int kPad = 64 * 1024 * 1024;
  mallopt(M_TOP_PAD, kPad);
#endif
  at::Context& context = at::globalContext();
  if (settings.flush_denormals) context.setFlushDenormal(true);
  at::set_num_threads(settings.threads);
  context.setBenchmarkCuDNN(!settings.deterministic);
  // cuDNN and cuBLAS (below) are all that has a choice: LibTorch's own switch would change no kernel
  // of ours and warn of the max-pooling at every step (determinism_note).
  context.setDeterministicCuDNN(settings.deterministic);
  allow_tf32(false);
  // cuBLAS reads it when it starts; without it its sums depend on the order of its streams.
  if (settings.deterministic) ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
}

void allow_tf32(bool allowed) {
  at::globalContext().setAllowTF32CuBLAS(allowed);
  at::globalContext().setAllowTF32CuDNN(allowed);
}

std::size_t free_memory(const c10::Device& device) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 10)
  if (device.is_cuda()) {
    at::empty({1}, c10::TensorOptions(device));  // CUDA starts with the first tensor
    return at::accelerator::getMemoryInfo(device.has_index() ? device.index() : 0).first;
  }
#endif
  static_cast<void>(device);
  return 0;
}

std::string determinism_note(const TorchSettings& settings, const c10::Device& device) {
  if (device.is_cpu()) {
    return "equal seed, threads, machine and LibTorch give equal bits";
  }
  if (!settings.deterministic) {
    return "train.deterministic = false: cuDNN and cuBLAS take the fastest kernels, and equal runs "
           "differ in their last bits";
  }
  return "deterministic kernels of cuDNN and cuBLAS; the backward of max-pooling adds with atomics, "
         "but its windows do not overlap here, so each sum has one term";
}

}  // namespace epvs::models
