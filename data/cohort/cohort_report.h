// What `epvs inspect` says of a cohort file.
#pragma once

#include <filesystem>

#include "core/report.h"

namespace epvs::data {

/// Regions, preprocessing, numbers of scans and participants, provenance; with `rows` one line per
/// scan and region.
core::Report describe_cohort(const std::filesystem::path& path, bool rows);

}  // namespace epvs::data
