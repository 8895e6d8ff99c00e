// The networks of the two papers by their options; models/layers.h makes layers of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/enum_names.h"
#include "core/json.h"
#include "core/parameters.h"

namespace epvs::models {

enum class Architecture { kMedia2019, kCnn4, kGpUnet };
constexpr auto names_of(Architecture) {
  return std::to_array<core::EnumName<Architecture>>({{Architecture::kMedia2019, "media2019"},
                                                      {Architecture::kCnn4, "cnn4"},
                                                      {Architecture::kGpUnet, "gp_unet"}});
}

enum class Padding { kValid, kSame };
constexpr auto names_of(Padding) {
  return std::to_array<core::EnumName<Padding>>(
      {{Padding::kValid, "valid"}, {Padding::kSame, "same"}});
}

enum class PoolRounding { kFloor, kCeil };
constexpr auto names_of(PoolRounding) {
  return std::to_array<core::EnumName<PoolRounding>>(
      {{PoolRounding::kFloor, "floor"}, {PoolRounding::kCeil, "ceil"}});
}

enum class GlobalPool { kAverage, kMaximum };
constexpr auto names_of(GlobalPool) {
  return std::to_array<core::EnumName<GlobalPool>>(
      {{GlobalPool::kAverage, "avg"}, {GlobalPool::kMaximum, "max"}});
}

/// Whether the input of a block is put beside its output. kAuto: as P2 has it, in gp_unet only.
enum class Residual { kAuto, kConcat, kNone };
constexpr auto names_of(Residual) {
  return std::to_array<core::EnumName<Residual>>(
      {{Residual::kAuto, "auto"}, {Residual::kConcat, "concat"}, {Residual::kNone, "none"}});
}

/// Start of the weights: N(0, 0.05) (Keras of that time), N(0, sqrt(2 / fan in)) or
/// U(+-sqrt(6 / (fan in + fan out))).
enum class Init { kNormal, kHe, kGlorot };
constexpr auto names_of(Init) {
  return std::to_array<core::EnumName<Init>>(
      {{Init::kNormal, "normal"}, {Init::kHe, "he"}, {Init::kGlorot, "glorot"}});
}

/// What convolutions compute in. float64 is the type of all weights then. bf16 has the range of
/// float32 and 8 bits of precision. tf32: on a GPU, convolutions and dense layers multiply values
/// with the range of float32 and 11 bits of precision.
enum class Precision { kFloat32, kFloat64, kBf16, kTf32 };
constexpr auto names_of(Precision) {
  return std::to_array<core::EnumName<Precision>>({{Precision::kFloat32, "float32"},
                                                   {Precision::kFloat64, "float64"},
                                                   {Precision::kBf16, "bf16"},
                                                   {Precision::kTf32, "tf32"}});
}

struct NetworkOptions {
  Architecture architecture = Architecture::kGpUnet;
  int first_features = 32;  ///< channels of the first convolution; doubled after pooling
  // media2019
  int blocks = 2;  ///< convolution blocks before the trailing convolution (P1 Table 3)
  int convolutions_per_block = 4;
  bool trailing_convolution = true;  ///< one convolution and max-pool 4 after the blocks
  std::vector<std::int64_t> fully_connected = {2000, 2000};
  Padding padding = Padding::kValid;
  PoolRounding pool_rounding = PoolRounding::kFloor;
  // cnn4, gp_unet
  GlobalPool pool = GlobalPool::kAverage;
  Residual residual = Residual::kAuto;
  double pool_scale = 1.0;  ///< constant that multiplies the pooled features
  // all
  Init init = Init::kNormal;
  double bias_init = 0.0;  ///< start of the last bias: "mean of the labels" trains faster
  std::array<std::int64_t, 3> input_zyx = {84, 128, 168};  ///< voxels

  bool concatenates() const;
  /// Declares every field as "network.<field>"; input_zyx is not a parameter: it comes from the
  /// cohort.
  void declare(core::ParameterTable& table);
  /// Throws UsageError with option, value and violated constraint.
  void validate() const;
  /// `residual` is concat or none.
  core::Json to_json() const;
  static NetworkOptions from_json(const core::Json& document);
};

}  // namespace epvs::models
