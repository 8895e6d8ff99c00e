#include "data/cohort/cohort_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "core/table.h"
#include "data/cohort/cohort.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

core::Json row_document(const CohortRow& row) {
  return {{"participant_id", row.participant_id},
          {"session_id", row.session_id},
          {"source_shape", row.source.shape},
          {"source_path", row.source_path},
          {"source_sha256", row.source_sha256},
          {"crop_origin", row.crop_origin},
          {"region_volume_mm3", row.region_volume_mm3},
          {"region_cut_fraction", row.region_cut_fraction},
          {"ac_slice", row.ac_slice}};
}

std::string rows_text(const CohortReader& cohort) {
  core::Table table({"region", "participant_id", "session_id", "source_voxels", "source_spacing",
                     "crop_origin", "region_mm3", "cut", "ac_slice", "label_source"});
  for (const std::string& region : cohort.regions()) {
    for (const CohortRow& row : cohort.rows(region)) {
      const Eigen::Vector3d mm = row.source.spacing_mm();
      table.add_row({region, row.participant_id, row.session_id,
                     fmt::format("{}", fmt::join(row.source.shape, "x")),
                     fmt::format("{:.3g}x{:.3g}x{:.3g}", mm[0], mm[1], mm[2]),
                     fmt::format("{}", fmt::join(row.crop_origin, ",")),
                     fmt::format("{:.0f}", row.region_volume_mm3),
                     fmt::format("{:.3g}", row.region_cut_fraction),
                     row.ac_slice < 0 ? core::kMissing : std::to_string(row.ac_slice),
                     row.label_source});
    }
  }
  return table.to_aligned();
}

void add_region(const CohortReader& cohort, const std::string& region, bool rows,
                core::Report& report) {
  std::set<std::string> participants;
  core::Json list = core::Json::array();
  for (const CohortRow& row : cohort.rows(region)) {
    participants.insert(row.participant_id);
    if (rows) list.push_back(row_document(row));
  }
  core::Json entry;
  entry["region"] = region;
  entry["scans"] = cohort.rows(region).size();
  entry["participants"] = participants.size();
  entry["preprocessing"] = cohort.options(region).to_json();
  if (rows) entry["rows"] = list;
  report.document["regions"].push_back(entry);
  report.text += fmt::format("\nregion {}: {} scans of {} participants\n", region,
                             cohort.rows(region).size(), participants.size());
  core::ReportLines options;
  options.add_all(entry["preprocessing"]);
  report.text += options.text();
}

}  // namespace

core::Report describe_cohort(const fs::path& path, bool rows) {
  const CohortReader cohort(path);
  core::Report report;
  report.document["kind"] = "cohort";
  report.document["fingerprint"] = cohort.fingerprint();
  report.document["regions"] = core::Json::array();
  core::ReportLines lines;
  lines.add("cohort", path.string());
  lines.add("size", fmt::format("{:.1f} MB", static_cast<double>(fs::file_size(path)) / 1e6));
  lines.add("fingerprint", cohort.fingerprint());
  report.text = lines.text();
  for (const std::string& region : cohort.regions()) add_region(cohort, region, rows, report);
  const core::Json provenance = cohort.provenance();
  report.document["provenance"] = provenance;
  if (provenance.contains("command_line")) {
    report.text += fmt::format("\nmade by: {}\n", provenance["command_line"].get<std::string>());
  }
  if (rows) report.text.append("\n").append(rows_text(cohort));
  return report;
}

}  // namespace epvs::data
