// Tests that run on the CPU and, where there is one, on a GPU: one body, the device is its parameter.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "models/torch.h"
#include "tests/support/test_support.h"

namespace epvs::tests {

/// For INSTANTIATE_TEST_SUITE_P(Devices, ..., kDevices, DeviceName()).
inline const auto kDevices = ::testing::Values(c10::kCPU, c10::kCUDA);
inline const char* name_of(c10::DeviceType type) {
  return type == c10::kCPU ? "cpu" : "cuda";
}
struct DeviceName {
  std::string operator()(const ::testing::TestParamInfo<c10::DeviceType>& info) const {
    return name_of(info.param);
  }
};

/// Ends a test of a GPU where LibTorch sees none.
#define EPVS_REQUIRE_DEVICE(type)                               \
  do {                                                          \
    if ((type) == c10::kCUDA && !torch::cuda::is_available()) { \
      EPVS_SKIP_WITHOUT("gpu", "LibTorch sees no GPU");         \
    }                                                           \
  } while (false)

class OnDevice : public ::testing::TestWithParam<c10::DeviceType> {
 protected:
  void SetUp() override { EPVS_REQUIRE_DEVICE(GetParam()); }
  static torch::Device device() { return GetParam(); }
};

}  // namespace epvs::tests
