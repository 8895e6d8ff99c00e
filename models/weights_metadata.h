// What a weights file says beside its tensors; read without Torch.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/json.h"
#include "data/cohort/preprocessing.h"
#include "models/network_options.h"

namespace epvs::models {

/// Stored as JSON text under the key "epvs" of the safetensors metadata:
/// {"format_version": 1, "network": {...}, "preprocessing": {...}, "target": "rater1",
///  "provenance": {...}}.
struct WeightsMetadata {
  static constexpr int kFormatVersion = 1;

  NetworkOptions network;
  data::PreprocessingOptions preprocessing;
  std::string target;     ///< scorer the network was trained on
  core::Json provenance;  ///< run, recipe hash, epoch, losses

  core::Json to_json() const;
  /// Throws InputError for a newer format version or a field that is missing or wrong.
  static WeightsMetadata from_json(const core::Json& document);
};

/// Throws InputError: no weights file, cut short, not written by epvs, of a newer format.
WeightsMetadata read_weights_metadata(const std::filesystem::path& path);
/// The same from the metadata of a header that was read already; `path` is for messages.
WeightsMetadata parse_weights_metadata(const std::map<std::string, std::string>& metadata,
                                       const std::filesystem::path& path);

}  // namespace epvs::models
