// weights.safetensors: tensors in PyTorch axis order and, as metadata, all that rebuilds the
// network.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/json.h"
#include "data/volume/preprocessing.h"
#include "models/network.h"
#include "models/network_options.h"

namespace epvs::models {

/// What a weights file says beside its tensors.
struct WeightsMetadata {
  NetworkOptions network;
  data::PreprocessingOptions preprocessing;
  std::string target;     ///< scorer the network was trained on
  core::Json provenance;  ///< run, recipe hash, epoch, losses
};

/// Atomic.
void save_weights(const std::filesystem::path& path, const Network& network,
                  const WeightsMetadata& metadata);
/// Metadata alone; needs no Torch (declared again in models/safetensors.h).
WeightsMetadata read_weights_metadata(const std::filesystem::path& path);
struct LoadedNetwork {
  std::shared_ptr<Network> network;
  WeightsMetadata metadata;
};
/// Rebuilds the network. Throws InputError naming every missing, extra or misshapen tensor with
/// both shapes, other dtypes, a file that is cut short or no safetensors.
LoadedNetwork load_weights(const std::filesystem::path& path);
/// Copies the tensors into an existing network, with the same checks.
void load_weights_into(const std::filesystem::path& path, Network& network);

}  // namespace epvs::models
