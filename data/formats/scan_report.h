// What `epvs inspect` says of a scan.
#pragma once

#include <filesystem>

#include "core/report.h"

namespace epvs::data {

/// Geometry, codes, warnings and the range of a scan (.nii, .nii.gz, .mgh, .mgz).
core::Report describe_scan(const std::filesystem::path& path);

}  // namespace epvs::data
