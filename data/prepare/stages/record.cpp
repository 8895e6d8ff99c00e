#include "data/prepare/stages/record.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <cmath>

namespace epvs::data {

namespace {

/// The crops of the papers leave out the thin end of the caudate's tail in most people.
constexpr double kSmallOutsideCrop = 0.01;

/// z in the crop of the anterior commissure, or -1.
std::int64_t ac_slice(const ScanOrigin& origin, const NetworkSpace& space, const Geometry& roi) {
  if (!origin.anterior_commissure_mm) return -1;
  const Eigen::Vector3d world =
      (space.network_to_scan.inverse() * origin.anterior_commissure_mm->homogeneous()).head<3>();
  const auto z = static_cast<std::int64_t>(std::llround(roi.to_voxel(world)[2]));
  return z >= 0 && z < roi.shape[2] ? z : -1;
}

QcRow numbers_of(const CohortRow& row, const PreprocessingOptions& options,
                 const RegionOnGrid& region, const SmoothRoi& roi) {
  QcRow qc;
  qc.participant_id = row.participant_id;
  qc.session_id = row.session_id;
  qc.region = options.region;
  qc.volume_mm3 = row.region_volume_mm3;
  qc.label_volume_mm3 = region.label_volume_mm3;
  qc.cut_fraction = row.region_cut_fraction;
  qc.edge_fraction = roi.edge_fraction;
  qc.outside_crop_fraction = row.region_outside_crop_fraction;
  qc.intensity_min = row.intensity_offset;
  qc.intensity_max = row.intensity_offset + 1.0 / row.intensity_scale;
  return qc;
}

}  // namespace

PreparedRegion record(const ScanOrigin& origin, const PreprocessingOptions& options,
                      const NetworkSpace& space, RegionOnGrid region, SmoothRoi roi) {
  PreparedRegion prepared;
  prepared.options = options;
  CohortRow& row = prepared.row;
  row = origin.source;
  row.roi = roi.roi.geometry;
  row.network_to_source = space.network_to_scan;
  for (std::size_t i = 0; i < 3; ++i) {
    row.crop_origin[i] = region.box_origin[i] + roi.crop_origin[i];
  }
  row.intensity_offset = roi.intensity_offset;
  row.intensity_scale = roi.intensity_scale;
  row.ac_slice = ac_slice(origin, space, row.roi);
  row.label_source = options.label_source;
  row.region_volume_mm3 = roi.region_volume_mm3;
  row.region_cut_fraction = std::max(region.fraction_outside, roi.cut_fraction);
  row.region_outside_crop_fraction = roi.outside_crop_fraction;
  prepared.qc = numbers_of(row, options, region, roi);
  prepared.whole = std::move(region.hard);
  prepared.volumes.roi = std::move(roi.roi.voxels);
  prepared.volumes.hard = std::move(roi.hard.voxels);
  prepared.volumes.soft = std::move(roi.soft.voxels);
  return prepared;
}

std::vector<std::string> reasons_of(const QcRow& numbers) {
  std::vector<std::string> reasons;
  const auto percent = [](double share) { return fmt::format("{:.1f}%", 100 * share); };
  if (numbers.cut_fraction > 0) {
    reasons.push_back(percent(numbers.cut_fraction) + " of the region is outside the scan");
  }
  if (numbers.edge_fraction > 0) {
    reasons.push_back("the region touches the edge of the scan");
  }
  if (numbers.outside_crop_fraction > kSmallOutsideCrop) {
    reasons.push_back(percent(numbers.outside_crop_fraction) +
                      " of the region is outside the crop");
  }
  return reasons;
}

}  // namespace epvs::data
