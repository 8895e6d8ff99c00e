// A phantom cohort on disk: BIDS scans, label maps, visual scores and the truth.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "core/log.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "data/phantom/options.h"
#include "data/phantom/raters.h"
#include "data/prepare/stages/cut_region.h"

namespace epvs::data {

/// A cohort file written straight from the phantom, by the stages of prepare.
struct CohortRequest {
  std::filesystem::path path;
  std::vector<PreprocessingOptions> regions;
  RegionRules rules;
  bool float16 = false;
};

struct SimulationJob {
  SimulationOptions options;
  std::uint64_t seed = 1;
  std::filesystem::path folder;
  bool write_scans = true;  ///< false: tables only
  std::optional<CohortRequest> cohort;
  int threads = 1;
  bool force = false;
};

/// One scan as the tables tell it.
struct ScanRecord {
  ScanPlan plan;
  std::vector<RegionScore> scores;
  std::vector<EpvsInScan> epvs;  ///< without their voxels
};

struct ParticipantRecord {
  Participant participant;  ///< without its anatomy
  std::vector<ScanRecord> scans;
};

struct SimulationSummary {
  std::vector<ParticipantRecord> participants;
  std::size_t scans_written = 0;
  std::size_t scans_kept = 0;  ///< of an interrupted run with the same options
};

/// Refuses a folder that holds a finished simulation (without `force`), an unfinished one with
/// other options (without `force`), or anything that is not a simulation (always).
void check_output(const SimulationJob& job);

/// Writes everything; dataset_description.json comes last and marks the dataset as complete. Every
/// file is complete or absent; after a kill, the same call goes on where it was. The content is a
/// function of (options, seed), not of threads. Throws Interrupted when a stop was asked for.
SimulationSummary simulate_dataset(const SimulationJob& job, core::Log& log,
                                   core::Provenance& provenance, const core::StopSignals& signals);

/// "{folder}/sub-0001/ses-1/anat/sub-0001_ses-1_T2w.nii.gz" and the label map beside the scans.
std::filesystem::path scan_path(const std::filesystem::path& folder, const ScanPlan& plan);
std::filesystem::path label_path(const std::filesystem::path& folder, const ScanPlan& plan);
/// The pattern for `epvs prepare --labels`.
std::string label_pattern(const std::filesystem::path& folder, bool sessions);

/// All tables, sidecars and descriptions of the dataset; dataset_description.json last.
void write_dataset_tables(const SimulationJob& job, const SimulationSummary& summary,
                          const core::Provenance& provenance);

}  // namespace epvs::data
