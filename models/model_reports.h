// What `epvs inspect` says of networks, weights files and run folders. Without Torch.
#pragma once

#include <filesystem>

#include "core/report.h"
#include "models/network_options.h"

namespace epvs::models {

/// Layer table, parameters and FLOPs of a network without a file.
core::Report describe_network(const NetworkOptions& options);
/// Metadata and layer table.
core::Report describe_weights(const std::filesystem::path& path);
/// Summary of training.tsv, and the weights where they are.
core::Report describe_run(const std::filesystem::path& folder);

}  // namespace epvs::models
