// LibTorch's devices and global settings.
#pragma once

#include <c10/core/Device.h>

#include <cstddef>
#include <string>

namespace epvs::models {

/// --device: auto (the first GPU if there is one, else the CPU), cpu, cuda or cuda:N. Throws UsageError for
/// other texts and for a GPU that is not there, naming how many there are.
c10::Device resolve_device(const std::string& text);

struct TorchSettings {
  int threads = 1;
  bool flush_denormals = true;
  /// Deterministic kernels wherever there are some; else cuDNN may try several and take the
  /// fastest.
  bool deterministic = true;
};

/// Before the first parallel work: worker threads inherit the floating point mode of the thread
/// that starts them. TF32 is off afterwards (LibTorch's default is on for convolutions).
void set_up_torch(const TorchSettings& settings);

/// Whether float32 convolutions and products of matrices on a GPU may use TF32 (factors of 11 bits).
void allow_tf32(bool allowed);

/// Free memory of a GPU in bytes; 0 for the CPU and where LibTorch (before 2.10) does not tell.
std::size_t free_memory(const c10::Device& device);

/// What a reader of results must know about equal runs on `device`, for the provenance.
std::string determinism_note(const TorchSettings& settings, const c10::Device& device);

}  // namespace epvs::models
