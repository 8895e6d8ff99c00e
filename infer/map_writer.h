// Attention maps, saliency maps and detections as files, in the geometry of the original scan.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/enum_names.h"
#include "core/json.h"
#include "data/cohort/cohort.h"
#include "infer/detections.h"

namespace epvs::infer {

/// Where a map stands: the voxels of the original scan, or those that the network saw.
enum class MapGrid { kSource, kNetwork };
constexpr auto names_of(MapGrid) {
  return std::to_array<core::EnumName<MapGrid>>(
      {{MapGrid::kSource, "source"}, {MapGrid::kNetwork, "network"}});
}

enum class MapKind { kAttention, kSaliency };
constexpr auto names_of(MapKind) {
  return std::to_array<core::EnumName<MapKind>>(
      {{MapKind::kAttention, "attention"}, {MapKind::kSaliency, "saliency"}});
}

/// "sub-01_ses-2_label-bg_desc-attention_epvs.nii.gz"; on the network's grid with "space-roi_".
std::string map_name(const data::CohortRow& row, const std::string& region, const std::string& kind,
                     MapGrid grid);
/// "sub-01_ses-2_label-bg_desc-detections_epvs.tsv"
std::string detections_name(const data::CohortRow& row, const std::string& region);

/// Writes one map (x fastest, on the row's crop) and its JSON sidecar. On the source grid the file
/// has the size, sform, qform and codes of the original scan, values by linear interpolation, 0
/// outside the crop. Throws InputError when the row does not tell the source geometry.
void write_map(const std::filesystem::path& folder, const data::CohortRow& row,
               const std::string& region, const std::string& kind, MapGrid grid,
               const std::vector<float>& values, const core::Json& sidecar, int threads);

/// Columns participant_id, session_id where the scan has one, region, x y z (mm, RAS+, world of the
/// original scan), x_voxel y_voxel z_voxel (0-based, fractional, of the original scan), weight;
/// highest first. With a JSON sidecar.
void write_detections(const std::filesystem::path& folder, const data::CohortRow& row,
                      const std::string& region, const std::vector<Detection>& detections,
                      const core::Json& sidecar);

/// BIDS derivatives: dataset_description.json with GeneratedBy, unless the folder has one.
void write_dataset_description(const std::filesystem::path& folder);

}  // namespace epvs::infer
