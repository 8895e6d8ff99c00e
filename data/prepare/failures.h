// What could not be done for a scan, so that the others can go on.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/provenance.h"
#include "data/prepare/inputs/inputs.h"

namespace epvs::data {

/// A scan, or a region of a scan, that failed.
struct Failure {
  std::string participant_id;
  std::string session_id;
  std::string region;  ///< empty: the whole scan
  std::string error;
  std::string hint;
};

/// By participant, session, region.
void sort_failures(std::vector<Failure>& failures);

/// Runs one scan's work; what is wrong with the scan is returned, in one line each, what is wrong
/// with the run (core::Error other than invalid input) is thrown.
std::optional<Failure> attempt(const ScanInput& input, const std::function<void()>& work);

/// failed.tsv with its provenance beside it; without failures that of an earlier run is removed.
void write_failures(const std::filesystem::path& path, const std::vector<Failure>& failures,
                    const core::Provenance& provenance);

}  // namespace epvs::data
