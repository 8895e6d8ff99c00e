// Files in the layout of Keras, for tests of what a reader must refuse.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace epvs::tests {

struct KerasWeight {
  std::string layer;
  std::string name;
  std::vector<std::int64_t> shape;
  double value = 0.5;       ///< of every element
  bool is_integer = false;  ///< stored as int32
};

struct KerasPlan {
  std::vector<KerasWeight> weights;
  std::string backend = "tensorflow";  ///< empty: no attribute
  std::string root = "/";              ///< or "model_weights"
  std::string model_config;            ///< empty: no attribute
  bool layer_names = true;             ///< false: the attribute is missing
  bool parted_names = false;           ///< layer_names0, layer_names1, ... of one name each
};

/// Names of fixed length; groups and datasets as Keras 2 has them.
void write_keras_file(const std::filesystem::path& path, const KerasPlan& plan);

/// Weights of a gp_unet of `features` features without concatenation in its blocks, in the layout
/// of Keras 2.
std::vector<KerasWeight> plain_gp_unet(std::int64_t features);

}  // namespace epvs::tests
