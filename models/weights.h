// weights.safetensors: tensors in PyTorch axis order and, as metadata, all that rebuilds the
// network.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/network.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"

namespace epvs::models {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// A safetensors file of tensors on any device, of float32, float64, int32 or int64. Atomic.
void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata);
/// On the CPU, in the order of their data. Throws core::InputError for other types.
NamedTensors read_tensors(const std::filesystem::path& path, const SafetensorsHeader& header);
/// Copies the values of `stored` into `targets`. Throws core::InputError that begins with `misfit`
/// and names every missing, extra or misshapen tensor and other type; nothing is changed then.
void copy_tensors(const NamedTensors& stored, const NamedTensors& targets,
                  const std::string& misfit, const std::string& hint = "");

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
