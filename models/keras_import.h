// Weights of Keras in the axis order, channel order and orientation of our networks.
//
// Keras says in no weights file which way its arrays lay in the head, and files of weights alone do
// not say how their features were flattened: both are told here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/command.h"
#include "models/keras_file.h"
#include "models/network_options.h"

namespace epvs::models {

/// How the Keras model computed, where the network's options leave it open.
struct KerasConventions {
  /// Directions in which the three array axes of a volume run, as nibabel's aff2axcodes says:
  /// "RAS" = (x, y, z), "SAR" = (z, y, x), "LAS" = x from right to left. No default.
  std::string orientation;
  /// theano turns kernels (true convolution), tensorflow does not; auto: the file's attribute.
  std::string backend = "auto";
  /// Order of the features before the first dense layer of media2019; auto: the file's
  /// model_config, or the layout of the kernels of Keras 1.
  std::string flatten = "auto";
  std::string block_concat = "maps-first";  ///< or input-first; where network.residual = concat
  std::string skip_concat = "up-first";     ///< or skip-first; gp_unet

  void declare(core::CommandLine& line);
};

struct ImportedTensor {
  std::string name;                 ///< "block1_conv1.weight"
  std::vector<std::int64_t> shape;  ///< PyTorch's axis order
  std::vector<double> values;
  std::string source;  ///< name in the Keras file
};

struct ImportedWeights {
  std::vector<ImportedTensor> tensors;
  KerasConventions conventions;  ///< without auto
};

/// Matches layers by order and shape, then turns them. Kernels may be (out, in, k1, k2, k3) as in
/// Keras 1 with Theano's dim_ordering, or (k1, k2, k3, in, out); dense ones are (in, out). Throws
/// InputError naming every missing, extra or misshapen layer with its shapes (in PyTorch's order),
/// a layer without bias; UsageError for a convention that is still open, means nothing for the
/// network, or cannot be bridged exactly (a reversed axis of which a pooling drops voxels).
ImportedWeights import_keras(const KerasFile& file, const NetworkOptions& options,
                             const KerasConventions& conventions);

}  // namespace epvs::models
