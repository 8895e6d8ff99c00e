// What quality control knows of one region of one scan.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "core/json.h"

namespace epvs::data {

/// One line of the QC table.
struct QcRow {
  std::string participant_id;
  std::string session_id;
  std::string region;
  double volume_mm3 = 0;        ///< of the mask on the network's grid
  double label_volume_mm3 = 0;  ///< of the label voxels on the label map's own grid
  double cut_fraction = 0;      ///< of the region, by the scan's field of view
  double edge_fraction = 0;     ///< of the mask, at the edge of the field of view
  double outside_crop_fraction = 0;
  double intensity_min = 0;  ///< of the scan in the dilated region
  double intensity_max = 0;
  double sharpness_per_mm = std::numeric_limits<double>::quiet_NaN();  ///< see sharpness.h
  double mi_before = 0;  ///< nats; NaN without registration
  double mi_after = 0;
  double overlap = 0;
  /// Smallest Jacobian determinant of the deformation; NaN without one.
  double jacobian_min = std::numeric_limits<double>::quiet_NaN();
  double seconds = 0;                ///< of the participant, all regions
  std::vector<std::string> reasons;  ///< empty: ok

  core::Json to_json() const;
  static QcRow from_json(const core::Json& document);
};

}  // namespace epvs::data
