#include "infer/map_writer.h"

#include <fmt/format.h>

#include <cmath>

#include "core/error.h"
#include "core/provenance.h"
#include "core/table.h"
#include "core/text.h"
#include "core/version.h"
#include "data/cohort/source_space.h"
#include "data/formats/nifti.h"

namespace epvs::infer {

namespace fs = std::filesystem;

namespace {

std::string with_prefix(const std::string& prefix, const std::string& id) {
  return id.rfind(prefix, 0) == 0 ? id : prefix + id;
}

std::string entities(const data::CohortRow& row, const std::string& region, MapGrid grid) {
  std::string name = with_prefix("sub-", row.participant_id);
  if (!row.session_id.empty()) name.append("_").append(with_prefix("ses-", row.session_id));
  if (grid == MapGrid::kNetwork) name += "_space-roi";
  return name + "_label-" + region;
}

}  // namespace

std::string map_name(const data::CohortRow& row, const std::string& region, const std::string& kind,
                     MapGrid grid) {
  return entities(row, region, grid) + "_desc-" + kind + "_epvs.nii.gz";
}

std::string detections_name(const data::CohortRow& row, const std::string& region) {
  return entities(row, region, MapGrid::kSource) + "_desc-detections_epvs.tsv";
}

void write_map(const fs::path& folder, const data::CohortRow& row, const std::string& region,
               const std::string& kind, MapGrid grid, const std::vector<float>& values,
               const core::Json& sidecar, int threads) {
  data::Volume<float> on_crop(row.roi);
  EPVS_ASSERT(values.size() == on_crop.voxels.size());
  on_crop.voxels = values;
  const fs::path path = folder / map_name(row, region, kind, grid);
  if (grid == MapGrid::kNetwork) {
    data::write_nifti(path, on_crop, nullptr, "epvs " + kind);
  } else {
    const data::ScanHeader like = data::source_header(row);
    data::write_nifti(path, data::to_source(row, on_crop, threads), &like, "epvs " + kind);
  }
  core::write_json(core::sidecar_path(path), sidecar);
}

void write_detections(const fs::path& folder, const data::CohortRow& row, const std::string& region,
                      const std::vector<Detection>& detections, const core::Json& sidecar) {
  std::vector<std::string> columns = {"participant_id"};
  std::vector<std::string> key = {row.participant_id};
  if (!row.session_id.empty()) {
    columns.emplace_back("session_id");
    key.push_back(row.session_id);
  }
  key.push_back(region);
  for (const char* name : {"region", "x", "y", "z", "x_voxel", "y_voxel", "z_voxel", "weight"}) {
    columns.emplace_back(name);
  }
  core::Table table(columns);
  for (const Detection& detection : detections) {
    const Eigen::Vector3d voxel(static_cast<double>(detection.voxel[0]),
                                static_cast<double>(detection.voxel[1]),
                                static_cast<double>(detection.voxel[2]));
    const Eigen::Vector3d world = data::crop_voxel_to_source_world(row, voxel);
    const Eigen::Vector3d source = data::crop_voxel_to_source_voxel(row, voxel);
    std::vector<std::string> cells = key;
    for (const Eigen::Vector3d& point : {world, source}) {
      for (Eigen::Index axis = 0; axis < 3; ++axis) {
        cells.push_back(core::format_number(std::round(point[axis] * 1e4) / 1e4 + 0.0));
      }
    }
    cells.push_back(core::format_number(detection.weight));
    table.add_row(std::move(cells));
  }
  const fs::path path = folder / detections_name(row, region);
  table.write(path);
  core::write_json(core::sidecar_path(path), sidecar);
}

void write_dataset_description(const fs::path& folder) {
  const fs::path path = folder / "dataset_description.json";
  if (fs::exists(path)) return;
  core::write_json(path, {{"Name", "epvs maps"},
                          {"BIDSVersion", "1.9.0"},
                          {"DatasetType", "derivative"},
                          {"GeneratedBy", {{{"Name", "epvs"}, {"Version", core::kVersion}}}}});
}

}  // namespace epvs::infer
