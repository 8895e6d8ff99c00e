// A cohort from its scans: several at a time, one finished part file per scan, merged at the end.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "core/table.h"
#include "data/prepare/failures.h"
#include "data/prepare/inputs/exclusions.h"
#include "data/prepare/inputs/inputs.h"
#include "data/prepare/prepare_scan.h"

namespace epvs::data {

struct CohortJob {
  std::filesystem::path out;  ///< cohort.h5
  std::vector<ScanInput> inputs;
  std::vector<PreprocessingOptions> regions;
  Exclusions exclusions;
  int threads = 1;
  /// Registrations of an earlier pass, per input; empty without one.
  std::vector<KnownRegistrations> known;
};

struct CohortSummary {
  std::size_t prepared = 0;       ///< in this run
  std::size_t kept = 0;           ///< finished by an earlier run
  std::vector<Failure> failures;  ///< sorted
  std::vector<ExcludedScan> excluded;
  core::Table qc;
};

/// Prepares what is not yet in `<out>.parts/`, merges all parts into `out`, and writes the QC
/// folder (qc.tsv, index.html, pictures, transforms and, if any scan failed, failed.tsv). A part
/// counts when it was made from the same files with the same options. A scan that fails never stops
/// the others. Several scans are in work at a time, up to `threads`, as far as 80% of the free
/// memory goes.
///
/// The parts are removed when all scans are in the cohort. After failures they stay, so that
/// mending a scan and preparing again does only that scan.
///
/// Throws Interrupted after the scans in work when `signals` says so (parts are kept); RunError
/// when the disk is full; InputError when every scan failed.
CohortSummary prepare_cohort(const CohortJob& job, const SharedInputs& shared,
                             const core::Provenance& provenance, const core::StopSignals& signals,
                             core::Log& log);

/// Sets the crops of `job.regions` so that they hold all masks with the reach of the dilation on
/// both sides, a multiple of 4 voxels, from a first pass over the scans, whose registrations it
/// leaves in `job.known`; scans that fail here are left to prepare_cohort to report.
void crops_from_masks(CohortJob& job, const SharedInputs& shared, const core::StopSignals& signals,
                      core::Log& log);

}  // namespace epvs::data
