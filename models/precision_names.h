// What convolutions compute in; without Torch.
#pragma once

#include "core/enum_names.h"

namespace epvs::models {

/// float64 is the type of all weights then. bf16 has the range of float32 and 8 bits of precision.
enum class Precision { kFloat32, kFloat64, kBf16 };
constexpr auto names_of(Precision) {
  return std::to_array<core::EnumName<Precision>>({{Precision::kFloat32, "float32"},
                                                   {Precision::kFloat64, "float64"},
                                                   {Precision::kBf16, "bf16"}});
}

}  // namespace epvs::models
