// From phantom scans straight into a cohort file, as `epvs prepare` would do from BIDS.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/provenance.h"
#include "data/cohort/cohort.h"
#include "data/phantom/scan.h"

namespace epvs::data {

struct CohortRequest;

struct CohortEntry {
  std::string region;
  CohortRow row;
  CohortVolumes volumes;
};

class CohortOutput {
 public:
  CohortOutput(const CohortRequest& request, const core::Provenance& provenance);
  /// The smooth ROIs of one scan, one per region: resampled to the network's grid, hard mask from
  /// the label map, smooth ROI. May be called from several threads. Throws InputError naming the
  /// scan.
  /// `file`: the scan on disk, or an empty path when it was not written.
  std::vector<CohortEntry> prepare(const ScanPlan& plan, const SimulatedScan& scan,
                                   const std::filesystem::path& file) const;
  void append(const CohortEntry& entry);
  void finish();

 private:
  std::vector<PreprocessingOptions> regions_;
  std::unique_ptr<CohortWriter> writer_;
};

/// Preprocessing options of a phantom region: label numbers of FreeSurfer, values of preset p1 or
/// p2. Empty `spacing_mm` or `crop_voxels` take the preset's spacing and, at that spacing, the
/// preset's extent in mm rounded up to a multiple of 4 voxels. Throws UsageError for the centrum
/// semiovale, whose mask is made by `epvs prepare`.
PreprocessingOptions cohort_options(const std::string& preset, const std::string& region,
                                    const std::vector<double>& spacing_mm,
                                    const std::vector<std::int64_t>& crop_voxels,
                                    int dilation_voxels = 4, double sigma_voxels = 2.0);

}  // namespace epvs::data
