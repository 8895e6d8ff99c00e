// The networks of the two papers, described by one structure. It builds the Torch module
// (models/network.h) and, without Torch, the layer table of `epvs inspect` (models/layers.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/parameters.h"

namespace epvs::models {

struct NetworkOptions {
  std::string architecture = "gp_unet";  ///< media2019 (P1), cnn4 (P2 "CNN"), gp_unet (P2)
  int first_features = 32;  ///< channels of the first convolution; doubled after pooling
  // media2019
  int blocks = 2;  ///< convolution blocks before the trailing convolution (P1 Table 3)
  int convolutions_per_block = 4;
  bool trailing_convolution = true;  ///< one convolution and max-pool 4 after the blocks
  std::vector<std::int64_t> fully_connected = {2000, 2000};
  std::string padding = "valid";        ///< valid or same
  std::string pool_rounding = "floor";  ///< floor or ceil
  // cnn4, gp_unet
  std::string pool = "avg";         ///< global pooling: avg or max
  std::string residual = "concat";  ///< concat or none: block input beside its output
  double pool_scale = 1.0;          ///< constant that multiplies the pooled features
  // all
  std::string init = "normal";  ///< normal = N(0, 0.05) (Keras of that time), he, glorot
  double bias_init = 0.0;       ///< start of the last bias: "mean of the labels" trains faster
  std::array<std::int64_t, 3> input_zyx = {84, 128, 168};  ///< voxels

  /// Declares every field as "network.<field>"; input_zyx is not a parameter: it comes from the
  /// cohort.
  void declare(core::ParameterTable& table);
  /// Throws UsageError with option, value and violated constraint.
  void validate() const;
  core::Json to_json() const;
  static NetworkOptions from_json(const core::Json& document);
};

}  // namespace epvs::models
