// What a weights file says beside its tensors, and how it fits a cohort. Without Torch.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/log.h"
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

/// Throws core::InputError naming every preprocessing value in which a region of a cohort, prepared
/// as `prepared`, differs from what the weights were trained on, and other voxels than those of the
/// network's input; warns of another source of labels.
void require_fit(const WeightsMetadata& weights, const std::filesystem::path& weights_path,
                 const data::PreprocessingOptions& prepared,
                 const std::filesystem::path& cohort_path, core::Log& log);

/// What a paper's network was given, to warn of other inputs.
struct PaperInput {
  std::string paper;   ///< "Dubost et al. 2019 (Medical Image Analysis)"
  std::string preset;  ///< of epvs prepare: "p1"
  /// "spacing_mm: 0.5,0.5,0.5 and 0.5,0.5,0.8": the paper's value and that of the cohort. P1
  /// (media2019): 0.5 mm isotropic, 168 x 128 x 84 voxels, divided by the maximum, registered to
  /// MNI. P2 (gp_unet, cnn4): 0.5 x 0.5 x 0.8 mm, minimum and maximum to 0 and 1, not registered;
  /// it does not state its crop.
  std::vector<std::string> differences;
};

PaperInput compare_with_paper(Architecture architecture,
                              const data::PreprocessingOptions& prepared);

}  // namespace epvs::models
