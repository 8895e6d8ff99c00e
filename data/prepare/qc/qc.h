// Quality control: what is known of each region of each scan, the sharpness of a scan, the folder
// beside a cohort and its table.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/table.h"
#include "data/formats/volume.h"
#include "data/prepare/inputs/exclusions.h"

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
  double sharpness_per_mm = std::numeric_limits<double>::quiet_NaN();  ///< sharpness_per_mm()
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

/// The smallest box that holds the mask, grown by `margin_mm` within the two axes of the slices
/// (not through them) and cut at the grid. Empty for an empty mask.
VoxelBox box_around(const Volume<std::uint8_t>& mask, double margin_mm);

/// The root of the gradient energy in the slices over the variance, in 1/mm:
///
///   S = sqrt( (mean (d_a v / h_a)^2 + mean (d_b v / h_b)^2) / var v )
///
/// with d the difference of neighbouring voxels along the two axes a, b of the slices (all stored
/// axes but slice_axis), h their spacing, all over the voxels of `box`. A wave of wavelength L
/// along one axis has S = 2 sin(pi h / L) / h, about 2 pi / L. It does not change with v -> s v + o
/// and falls when the scan is blurred; noise raises it, so it compares scans of like protocol only.
/// NaN when the box is empty, one voxel wide or constant.
double sharpness_per_mm(const Volume<float>& scan, const VoxelBox& box);

/// cohort.h5 -> cohort_qc beside it.
std::filesystem::path qc_folder(const std::filesystem::path& out);
/// "sub-01_qc.png".
std::string qc_picture_name(const std::string& key);

/// failed.tsv in the QC folder of this cohort.
std::filesystem::path failures_path(const std::filesystem::path& out);

/// One line per scan and region, excluded ones last. `flag` is "check" where there is a `reason`,
/// else "ok", or "excluded". `volume_robust_z` and `sharpness_robust_z` are the modified z-scores
/// 0.6745 (v - median) / MAD within the region (Iglewicz & Hoaglin 1993), n/a below 5 scans; beyond
/// +-3.5 they are reasons. `exclude` is "no": a person may write "yes" and why, and give the table
/// to --exclude; such rows come back with what `exclusions` says of them, so that the new table can
/// be given to --exclude again.
core::Table qc_table(const std::vector<QcRow>& rows, const std::vector<ExcludedScan>& excluded = {},
                     const Exclusions& exclusions = {});

}  // namespace epvs::data
