#include "data/cohort/source_space.h"

#include <fmt/format.h>

#include <Eigen/LU>
#include <algorithm>

#include "core/error.h"
#include "data/formats/resample.h"

namespace epvs::data {

void set_source(CohortRow& row, const ScanHeader& header) {
  row.source = header.geometry;
  row.source_sform_code = header.sform_code;
  row.source_qform_code = header.qform_code;
  row.source_sform = header.sform;
  row.source_qform = header.qform;
  row.source_qform_fields = header.qform_fields;
}

ScanHeader source_header(const CohortRow& row) {
  ScanHeader header;
  header.geometry = row.source;
  header.sform_code = row.source_sform_code;
  header.qform_code = row.source_qform_code;
  header.sform = row.source_sform;
  header.qform = row.source_qform;
  header.qform_fields = row.source_qform_fields;
  // Without raw fields the source was no NIfTI: write_nifti then takes the geometry.
  const auto& fields = row.source_qform_fields;
  const bool is_nifti =
      std::any_of(fields.begin(), fields.end(), [](double field) { return field != 0; });
  header.format = is_nifti ? "nifti1" : "mgh";
  return header;
}

Volume<float> to_source(const CohortRow& row, const Volume<float>& on_crop, int threads) {
  if (on_crop.geometry.shape != row.roi.shape) {
    const Shape& a = on_crop.geometry.shape;
    const Shape& b = row.roi.shape;
    throw core::InputError(fmt::format("{}: a map of {}x{}x{} voxels, but the crop has {}x{}x{}",
                                       row.participant_id, a[0], a[1], a[2], b[0], b[1], b[2]));
  }
  Volume<float> placed = on_crop;
  placed.geometry = row.roi;
  return resample(placed, row.source, Interpolation::kLinear, row.network_to_source.inverse(),
                  threads);
}

Eigen::Vector3d crop_voxel_to_source_world(const CohortRow& row, const Eigen::Vector3d& voxel) {
  const Eigen::Vector3d world = row.roi.to_world(voxel);
  return row.network_to_source.topLeftCorner<3, 3>() * world +
         row.network_to_source.topRightCorner<3, 1>();
}

Eigen::Vector3d crop_voxel_to_source_voxel(const CohortRow& row, const Eigen::Vector3d& voxel) {
  return row.source.to_voxel(crop_voxel_to_source_world(row, voxel));
}

Eigen::Vector3d source_world_to_crop_voxel(const CohortRow& row, const Eigen::Vector3d& world) {
  const Eigen::Matrix3d rotation = row.network_to_source.topLeftCorner<3, 3>();
  const Eigen::Vector3d shift = row.network_to_source.topRightCorner<3, 1>();
  const Eigen::Vector3d in_network = rotation.inverse() * (world - shift);
  return row.roi.to_voxel(in_network);
}

}  // namespace epvs::data
