// The finished scans of a cohort that is being prepared: one file of volumes and one record each.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/prepare/prepare_cohort.h"

namespace epvs::data {

/// `<out>.parts/` of one job. A part counts when it was made from the same files with the same
/// options by the same version; its record is written last.
class PreparedParts {
 public:
  PreparedParts(const CohortJob& job, const SharedInputs& shared);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path volumes(const ScanInput& input) const;
  /// The regions of the job that are not excluded for this scan.
  std::vector<PreprocessingOptions> regions_of(const ScanInput& input) const;
  /// All its regions are there, made from the same files with the same options.
  bool finished(const ScanInput& input) const;
  std::vector<QcRow> qc_rows(const ScanInput& input) const;
  /// Of a scan that was saved: what its sidecars say (sidecar_facts).
  core::Json facts(const ScanInput& input) const;
  /// Volumes, picture and transforms, then the record. Throws RunError (disk full).
  void save(const ScanInput& input, const PreparedScan& scan, const core::Json& provenance) const;
  void remove_all() const;
  /// Removes the folder when nothing is in it.
  void remove_empty() const;

 private:
  std::filesystem::path record(const ScanInput& input) const;
  std::filesystem::path picture(const ScanInput& input) const;
  /// Names everything that the part of this scan depends on.
  std::string hash(const ScanInput& input) const;

  const CohortJob& job_;
  const SharedInputs& shared_;
  std::filesystem::path folder_;
  std::filesystem::path qc_;
};

}  // namespace epvs::data
