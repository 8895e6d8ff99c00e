// weights.safetensors: tensors in PyTorch axis order and, as metadata, all that rebuilds the
// network.
#pragma once

#include <filesystem>
#include <memory>

#include "models/network.h"
#include "models/weights_metadata.h"

namespace epvs::models {

/// Atomic. Tensors are written in the order of their registration, in their own dtype (float32 or
/// float64), from whatever device they are on.
void save_weights(const std::filesystem::path& path, const Network& network,
                  const WeightsMetadata& metadata);

struct LoadedNetwork {
  std::shared_ptr<Network> network;  ///< on the CPU, in the dtype of the file
  WeightsMetadata metadata;
};
/// Rebuilds the network. Throws InputError naming every missing, extra or misshapen tensor with
/// both shapes, other dtypes, a file that is cut short or no safetensors.
LoadedNetwork load_weights(const std::filesystem::path& path);
/// Copies the tensors into an existing network (on any device), with the same checks; another
/// architecture is named with both. Throws before anything is changed.
void load_weights_into(const std::filesystem::path& path, Network& network);

}  // namespace epvs::models
