#include "models/weights_metadata.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"
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

void require_fit(const WeightsMetadata& weights, const fs::path& weights_path,
                 const data::PreprocessingOptions& prepared, const fs::path& cohort_path,
                 core::Log& log) {
  const data::PreprocessingOptions& trained = weights.preprocessing;
  std::vector<std::string> problems = trained.differences(prepared);
  const auto& [z, y, x] = weights.network.input_zyx;
  if (trained.crop_voxels != std::array<std::int64_t, 3>{x, y, z}) {
    problems.push_back(fmt::format("the network was made for {}x{}x{} voxels", x, y, z));
  }
  if (!problems.empty()) {
    throw core::InputError(
        fmt::format("the weights {} and the cohort {} do not fit (weights first): {}",
                    weights_path.string(), cohort_path.string(), core::join(problems, "; ")),
        "prepare the cohort with: epvs prepare --like " + weights_path.string());
  }
  if (trained.label_source == prepared.label_source) return;
  log.warning("the labels of the region {} come from '{}', the network was trained on '{}'",
              prepared.region, prepared.label_source, trained.label_source);
}

PaperInput compare_with_paper(Architecture architecture,
                              const data::PreprocessingOptions& prepared) {
  PaperInput input;
  data::PreprocessingOptions of_paper = prepared;
  const bool is_p1 = architecture == Architecture::kMedia2019;
  const auto preset = data::PreprocessingOptions::of(is_p1 ? data::Preset::kP1 : data::Preset::kP2,
                                                     prepared.region);
  of_paper.spacing_mm = preset.spacing_mm;
  of_paper.normalisation = preset.normalisation;
  of_paper.registration = preset.registration;
  if (is_p1) of_paper.crop_voxels = {168, 128, 84};
  input.paper = is_p1 ? "Dubost et al. 2019 (Medical Image Analysis)" : "Dubost et al. 2019 (MLCN)";
  input.preset = is_p1 ? "p1" : "p2";
  input.differences = of_paper.differences(prepared);
  return input;
}

}  // namespace epvs::models
