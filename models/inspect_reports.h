// What `epvs inspect` says of each kind of file: a JSON document, and the same as text.
#pragma once

#include <filesystem>
#include <string>

#include "core/json.h"
#include "models/network_options.h"

namespace epvs::models {

struct Report {
  core::Json document;
  std::string text;
};

/// Layer table, parameters and FLOPs of a network without a file.
Report inspect_network(const NetworkOptions& options);
/// Geometry, codes, warnings and the range of a scan (.nii, .nii.gz, .mgh, .mgz).
Report inspect_scan(const std::filesystem::path& path);
/// Regions, preprocessing, numbers of scans and participants, provenance; with `rows` one line per
/// scan and region.
Report inspect_cohort(const std::filesystem::path& path, bool rows);
/// Metadata and layer table.
Report inspect_weights(const std::filesystem::path& path);
/// Summary of training.tsv, and the weights where they are.
Report inspect_run(const std::filesystem::path& folder);
/// Chooses by what the path is. Throws InputError for a kind that is not known.
Report inspect_path(const std::filesystem::path& path, bool rows);

}  // namespace epvs::models
