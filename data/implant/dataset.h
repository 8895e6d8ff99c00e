// A BIDS dataset of real scans with EPVS implanted: one session per scan and count, and the truth.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "data/implant/implant_scan.h"
#include "data/prepare/failures.h"

namespace epvs::data {

struct ImplantJob {
  ImplantOptions options;
  std::vector<ScanInput> inputs;  ///< of a BIDS folder
  std::vector<PreprocessingOptions> regions;
  std::uint64_t seed = 1;
  std::filesystem::path source;  ///< BIDS folder
  std::filesystem::path folder;  ///< of the new dataset
  int threads = 1;
  bool force = false;
};

/// How many EPVS of those asked for found a place in a region of a scan.
struct Placement {
  std::string participant_id;
  std::string session_id;  ///< of the source
  std::string region;
  std::int64_t wanted = 0;
  std::int64_t placed = 0;
};

struct ImplantSummary {
  std::size_t done = 0;  ///< in this run
  std::size_t kept = 0;  ///< finished by an earlier run
  std::vector<Placement> placements;
  std::vector<Failure> failures;  ///< sorted
};

/// "ses-k05"; a scan of session "ses-2" becomes "ses-2k05".
std::string implant_session(const std::string& source_session, std::int64_t count);

/// Refuses a folder that holds a finished dataset (without `force`), an unfinished one with other
/// options (without `force`), or anything that is not such a dataset (always). One in which scans
/// failed counts as unfinished.
void check_output(const ImplantJob& job, const SharedInputs& shared);

/// Writes everything; dataset_description.json comes last and marks the dataset as complete. Every
/// file is complete or absent; after a kill the same call goes on where it was, and after failures
/// it does the scans that failed. A scan that fails never stops the others: it is named in
/// failed.tsv. Content depends on (scans, options, seed), not on threads. Throws Interrupted when a
/// stop was asked for, InputError when every scan failed.
ImplantSummary implant_dataset(const ImplantJob& job, const SharedInputs& shared, core::Log& log,
                               const core::Provenance& provenance,
                               const core::StopSignals& signals);

/// Tables of one scan as rows of text: what is kept of it until all are done.
core::Json truth_of(const ImplantJob& job, const ScanInput& input, const ImplantedScan& scan);

/// participants.tsv and what else describes the source, truth/, failed.tsv, then
/// dataset_description.json. `parts` are the truth_of() of all finished scans.
void write_implant_tables(const ImplantJob& job, const std::vector<core::Json>& parts,
                          const std::vector<Failure>& failures, const core::Provenance& provenance);

}  // namespace epvs::data
