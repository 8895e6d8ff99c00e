// A cohort from its scans: several at a time, one finished part file per scan, merged at the end.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "data/image/inputs.h"
#include "data/image/prepare_scan.h"
#include "data/image/qc.h"

namespace epvs::data {

struct CohortJob {
  std::filesystem::path out;  ///< cohort.h5
  std::vector<ScanInput> inputs;
  std::vector<PreprocessingOptions> regions;
  Exclusions exclusions;
  int threads = 1;
};

struct Failure {
  std::string participant_id;
  std::string session_id;
  std::string error;
  std::string hint;
};

struct CohortSummary {
  std::size_t prepared = 0;  ///< in this run
  std::size_t kept = 0;      ///< finished by an earlier run
  std::vector<Failure> failures;
  std::vector<std::string> excluded;  ///< "sub-01 bg"
  core::Table qc;
};

/// How many scans at a time: one per thread, as far as memory goes (1 GiB per scan).
int scans_at_a_time(int threads, std::size_t scans);

/// Prepares what is not yet in `<out>.parts/`, merges all parts into `out`, removes them, and
/// writes the QC folder (qc.tsv, index.html, pictures, transforms) and, if any scan failed,
/// failed.tsv beside `out`. A part counts when it was made from the same files with the same
/// options. A scan that fails never stops the others.
///
/// Throws Interrupted after the scans in work when `signals` says so (parts are kept); RunError
/// when the disk is full; InputError when every scan failed.
CohortSummary prepare_cohort(const CohortJob& job, const SharedInputs& shared,
                             const core::Provenance& provenance, const core::StopSignals& signals,
                             core::Log& log);

/// Crops that hold all masks with the reach of the dilation on both sides, a multiple of 4 voxels,
/// from a first pass over the scans; scans that fail here are left to prepare_cohort to report.
std::vector<PreprocessingOptions> crops_from_masks(const CohortJob& job, const SharedInputs& shared,
                                                   const core::StopSignals& signals,
                                                   core::Log& log);

}  // namespace epvs::data
