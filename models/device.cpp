#include "models/device.h"

#include <ATen/Context.h>
#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"

namespace epvs::models {

c10::Device resolve_device(const std::string& text) {
  if (text == "cpu") return {c10::kCPU};
  const int gpus = at::detail::getCUDAHooks().getNumGPUs();
  if (text == "auto") return gpus > 0 ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
  long long index = 0;
  if (text != "cuda") {
    const std::string prefix = "cuda:";
    const auto number = text.rfind(prefix, 0) == 0 ? core::parse_integer(text.substr(prefix.size()))
                                                   : std::optional<long long>();
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

}  // namespace epvs::models
