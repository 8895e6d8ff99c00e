#include "models/weights_metadata.h"

#include <fmt/format.h>

#include "core/error.h"
#include "models/safetensors.h"

namespace epvs::models {

namespace fs = std::filesystem;

core::Json WeightsMetadata::to_json() const {
  core::Json document;
  document["format_version"] = kFormatVersion;
  document["network"] = network.to_json();
  document["preprocessing"] = preprocessing.to_json();
  document["target"] = target;
  document["provenance"] = provenance;
  return document;
}

WeightsMetadata WeightsMetadata::from_json(const core::Json& document) {
  const auto version = document.find("format_version");
  if (version == document.end() || !version->is_number_integer()) {
    throw core::InputError("the metadata has no format_version");
  }
  if (version->get<int>() > kFormatVersion) {
    throw core::InputError(
        fmt::format("the weights have format version {}, this epvs reads up to {}",
                    version->get<int>(), kFormatVersion),
        "install a newer epvs");
  }
  for (const char* key : {"network", "preprocessing", "target"}) {
    if (!document.contains(key)) {
      throw core::InputError(fmt::format("the metadata lacks '{}'", key));
    }
  }
  WeightsMetadata metadata;
  metadata.network = NetworkOptions::from_json(document.at("network"));
  metadata.preprocessing = data::PreprocessingOptions::from_json(document.at("preprocessing"));
  metadata.target = document.at("target").get<std::string>();
  metadata.provenance = document.value("provenance", core::Json());
  return metadata;
}

WeightsMetadata parse_weights_metadata(const std::map<std::string, std::string>& metadata,
                                       const fs::path& path) {
  const auto found = metadata.find("epvs");
  if (found == metadata.end()) {
    throw core::InputError(path.string() + " holds tensors, but no description of an epvs network",
                           "take a weights.safetensors written by `epvs train`");
  }
  const core::Json document = core::Json::parse(found->second, nullptr, false);
  if (!document.is_object()) {
    throw core::InputError(path.string() + ": the description of the network is no JSON object");
  }
  try {
    return WeightsMetadata::from_json(document);
  } catch (const core::Error& error) {
    throw core::InputError(path.string() + ": " + error.what(), error.hint());
  } catch (const nlohmann::json::exception& error) {
    throw core::InputError(path.string() +
                           ": the description of the network is damaged: " + error.what());
  }
}

WeightsMetadata read_weights_metadata(const fs::path& path) {
  return parse_weights_metadata(read_safetensors_header(path).metadata, path);
}

}  // namespace epvs::models
