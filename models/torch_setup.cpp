#include "models/torch_setup.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <malloc.h>
#include <torch/version.h>

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
  context.setDeterministicCuDNN(settings.deterministic);
  // Operations without a deterministic kernel warn: see determinism_note.
  context.setDeterministicAlgorithms(settings.deterministic, /*warn_only=*/true);
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
  // Filling new memory would cost time and hide nothing: no kernel here reads what it did not
  // write.
  context.setDeterministicFillUninitializedMemory(false);
#endif
  // cuBLAS reads it when it starts; without it its sums depend on the order of its streams.
  if (settings.deterministic) ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
}

std::string determinism_note(const TorchSettings& settings, const c10::Device& device) {
  if (device.is_cpu()) {
    return "equal seed, threads, machine and LibTorch give equal bits";
  }
  if (!settings.deterministic) {
    return "train.deterministic = false: cuDNN and cuBLAS take the fastest kernels, and equal runs "
           "differ in their last bits";
  }
  return "deterministic kernels of LibTorch, cuDNN and cuBLAS; the backward of max-pooling has "
         "none and adds with atomics: its windows do not overlap here, so each sum has one term";
}

}  // namespace epvs::models
