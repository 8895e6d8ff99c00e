// Weights files of Keras (.h5 of save_weights() or save()), as a list of tensors. HDF5 stays in
// keras_file.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"

namespace epvs::models {

struct KerasTensor {
  std::string layer;  ///< "conv3d_1"
  std::string name;   ///< "conv3d_1/kernel:0", of Keras 1 "convolution3d_1_W"
  std::vector<std::int64_t> shape;
  std::vector<double> values;  ///< C order
};

struct KerasFile {
  std::string path;
  std::string keras_version;         ///< "1.2.2"; empty where the file does not say
  std::string backend;               ///< "theano", "tensorflow"; empty in files of Keras 1
  core::Json model_config;           ///< of a file of save(); null in a file of weights alone
  bool is_double = false;            ///< some tensor is float64
  std::vector<KerasTensor> tensors;  ///< in the order of `layer_names` and `weight_names`
};

/// Reads all weights. Layout: attribute `layer_names` at the root or in the group `model_weights`,
/// one group per layer with the attribute `weight_names` and those datasets; names of fixed or
/// variable length, in one attribute or in several (`layer_names0`, ... of large models).
/// Throws InputError naming file and place: no HDF5 file, no Keras weights, a tensor that is
/// missing, not of floating point, or not finite.
KerasFile read_keras_file(const std::filesystem::path& path);

}  // namespace epvs::models
