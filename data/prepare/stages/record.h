// Stage 5 of prepare: what is kept of a region of a scan: the row and volumes of the cohort file,
// and the numbers that a person checks.
#pragma once

#include <Eigen/Core>
#include <optional>

#include "data/cohort/cohort.h"
#include "data/prepare/qc/qc.h"
#include "data/prepare/stages/cut_region.h"
#include "data/prepare/stages/smooth_roi.h"

namespace epvs::data {

/// Where a scan came from.
struct ScanOrigin {
  /// Participant, session, header (set_source), path and hash; the rest is filled by record().
  CohortRow source;
  /// Of the scan's world; nothing where no registration to a template says where it is.
  std::optional<Eigen::Vector3d> anterior_commissure_mm;
};

struct PreparedRegion {
  PreprocessingOptions options;
  CohortRow row;
  CohortVolumes volumes;
  Volume<std::uint8_t> whole;  ///< the region's mask on the network's grid, before the crop
  QcRow qc;                    ///< without the fit of a registration, sharpness and reasons
};

/// The volumes of `region` and `roi` are moved from.
PreparedRegion record(const ScanOrigin& origin, const PreprocessingOptions& options,
                      const NetworkSpace& space, RegionOnGrid region, SmoothRoi roi);

/// Why a person should look at a region, by its numbers; empty when nothing is wrong.
std::vector<std::string> reasons_of(const QcRow& numbers);

}  // namespace epvs::data
