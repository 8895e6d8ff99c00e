#include <fmt/format.h>

#include "core/files.h"
#include "core/table.h"
#include "core/text.h"
#include "core/version.h"
#include "data/implant/dataset.h"

namespace epvs::data {

namespace fs = std::filesystem;

using core::format_number;

namespace {

/// A column and what it means.
struct Column {
  const char* name;
  const char* description;
  const char* units = "";
};

constexpr Column kParticipant = {"participant_id", "participant"};
constexpr Column kSession = {"session_id", "session; the number after k is what was asked for"};
constexpr Column kRegion = {"region", "region of the brain"};

const std::vector<Column> kCounts = {
    kParticipant, kSession, kRegion, {"true_count", "number of EPVS implanted into the region"}};

const std::vector<Column> kEpvs = {
    kParticipant,
    kSession,
    {"region", "region that holds the EPVS"},
    {"number", "number of the EPVS within scan and region; equal in all sessions"},
    {"hemisphere", "L or R of the middle of the lateral ventricles"},
    {"x", "middle of the centre line, RAS world of the scan", "mm"},
    {"y", "middle of the centre line, RAS world of the scan", "mm"},
    {"z", "middle of the centre line, RAS world of the scan", "mm"},
    {"length_mm", "length of the centre line", "mm"},
    {"diameter_mm", "diameter in the middle of the tube; half as much at its ends", "mm"},
    {"peak_fraction", "part of its fullest voxel that the EPVS fills, as the scan shows it"},
    {"in_commissure_slice",
     "1: passes through the slice of the anterior commissure; n/a without a template"},
    {"contrast", "what the EPVS adds, in parts of the way from white matter to CSF"},
    {"peak_increase", "what it adds to its fullest voxel, in the units of the scan"}};

const std::vector<Column> kScans = {
    kParticipant,
    kSession,
    kRegion,
    {"source", "scan that the EPVS were implanted into, relative to the source dataset"},
    {"wanted", "EPVS asked for"},
    {"placed", "EPVS that found room"},
    {"white_matter", "median of the scan's white matter, in the units of the scan"},
    {"csf", "90th percentile of the lateral ventricles, in the units of the scan"},
    {"csf_to_white_matter", "their ratio"},
    {"slice_thickness_mm", "thickness of the slices that EPVS were brought to", "mm"},
    {"blur_x_mm", "standard deviation of the blur along the first stored axis, beside the voxel",
     "mm"},
    {"blur_y_mm", "along the second stored axis", "mm"},
    {"blur_z_mm", "along the third stored axis", "mm"}};

core::Table table_of(const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const Column& column : columns) names.emplace_back(column.name);
  return core::Table(std::move(names));
}

core::Json generated_by(const core::Provenance& provenance) {
  return {{"Name", "epvs implant"},
          {"Version", core::kVersion},
          {"Description", "known EPVS added to real scans"},
          {"Provenance", provenance.to_json()}};
}

/// The rows of all parts, with a BIDS sidecar.
void write_table(const fs::path& path, const std::vector<Column>& columns,
                 const std::vector<core::Json>& parts, const char* rows,
                 const core::Provenance& provenance) {
  core::Table table = table_of(columns);
  for (const core::Json& part : parts) {
    for (const core::Json& row : part.at(rows)) {
      table.add_row(row.get<std::vector<std::string>>());
    }
  }
  core::Json sidecar;
  for (const Column& column : columns) {
    sidecar[column.name]["Description"] = column.description;
    if (column.units[0] != '\0') sidecar[column.name]["Units"] = column.units;
  }
  sidecar["GeneratedBy"] = generated_by(provenance);
  core::write_json(core::sidecar_path(path), sidecar);
  table.write(path);
}

std::string rounded(double value, int digits = 3) {
  return fmt::format("{:.{}f}", value, digits);
}

std::vector<std::string> epvs_row(const std::vector<std::string>& keys, std::size_t number,
                                  const RenderedImplant& one, const ImplantedScan& scan) {
  std::vector<std::string> row = keys;
  const Implant& implant = one.implant;
  const Eigen::Vector3d centre = implant.centre();
  row.push_back(std::to_string(number));
  row.emplace_back(centre.x() < scan.midline_x ? "L" : "R");
  for (int axis = 0; axis < 3; ++axis) row.push_back(rounded(centre[axis]));
  row.push_back(rounded(implant.length_mm()));
  row.push_back(rounded(implant.diameter_mm));
  row.push_back(rounded(one.peak_fraction));
  row.emplace_back(one.in_commissure_slice ? (*one.in_commissure_slice ? "1" : "0")
                                           : core::kMissing);
  row.push_back(rounded(implant.contrast));
  row.push_back(format_number(std::stod(
      fmt::format("{:.4g}", one.peak_fraction * implant.contrast * scan.contrast.difference()))));
  return row;
}

/// What describes the source: its participants, licence, and sidecars that all scans inherit.
void copy_descriptions(const ImplantJob& job) {
  for (const fs::directory_entry& entry : fs::directory_iterator(job.source)) {
    const std::string name = entry.path().filename().string();
    const bool sidecar = name.ends_with("T2w.json") || name.ends_with("PDw.json");
    if (!entry.is_regular_file()) continue;
    if (sidecar || name == "participants.tsv" || name == "participants.json" ||
        name.starts_with("LICENSE") || name.starts_with("README")) {
      core::write_text(job.folder / name, core::read_text(entry.path()));
    }
  }
}

core::Json description(const ImplantJob& job, const core::Provenance& provenance) {
  core::Json source = core::Json::object();
  const fs::path path = job.source / "dataset_description.json";
  if (fs::exists(path)) source = core::read_json(path);
  const auto of_source = [&](const char* name, const core::Json& otherwise) {
    const auto found = source.find(name);
    return found == source.end() ? otherwise : *found;
  };
  core::Json origin = {{"URL", "file://" + fs::absolute(job.source).lexically_normal().string()}};
  for (const char* name : {"DatasetDOI", "Name", "License", "Authors", "ReferencesAndLinks"}) {
    if (source.contains(name))
      origin[name == std::string("DatasetDOI") ? "DOI" : name] = source[name];
  }
  core::Json document = {{"Name", fmt::format("EPVS implanted into: {}",
                                              of_source("Name", "scans").get<std::string>())},
                         {"BIDSVersion", "1.8.0"},
                         {"DatasetType", "raw"},
                         {"GeneratedBy", {generated_by(provenance)}},
                         {"SourceDatasets", {origin}}};
  if (source.contains("License")) document["License"] = source["License"];
  return document;
}

}  // namespace

core::Json truth_of(const ImplantJob& job, const ScanInput& input, const ImplantedScan& scan) {
  core::Json part = {{"participant_id", input.participant_id},
                     {"session_id", input.session_id},
                     {"missing", core::Json::array()},
                     {"placements", core::Json::array()},
                     {"counts", core::Json::array()},
                     {"epvs", core::Json::array()},
                     {"scans", core::Json::array()}};
  for (const MissingRegion& region : scan.missing) part["missing"].push_back(region.region);
  const ScanContrast& contrast = scan.contrast;
  const Eigen::Vector3d& blur = scan.spread.sigma_mm;
  for (const RegionImplants& region : scan.regions) {
    part["placements"].push_back(
        {region.region, job.options.counts.back(), region.implants.size()});
  }
  for (const std::int64_t count : job.options.counts) {
    const std::string session = implant_session(input.session_id, count);
    for (const RegionImplants& region : scan.regions) {
      const std::vector<std::string> keys = {input.participant_id, session, region.region};
      const auto with = [&](std::initializer_list<std::string> more) {
        std::vector<std::string> row = keys;
        row.insert(row.end(), more);
        return row;
      };
      const std::size_t placed = std::min(static_cast<std::size_t>(count), region.implants.size());
      part["counts"].push_back(with({std::to_string(placed)}));
      for (std::size_t i = 0; i < placed; ++i) {
        part["epvs"].push_back(epvs_row(keys, i + 1, region.implants[i], scan));
      }
      part["scans"].push_back(with(
          {fs::relative(input.scan, job.source).string(), std::to_string(count),
           std::to_string(placed), format_number(contrast.white_matter),
           format_number(contrast.csf), rounded(contrast.ratio()), rounded(scan.slice_thickness_mm),
           rounded(blur.x()), rounded(blur.y()), rounded(blur.z())}));
    }
  }
  return part;
}

void write_implant_tables(const ImplantJob& job, const std::vector<core::Json>& parts,
                          const std::vector<Failure>& failures,
                          const core::Provenance& provenance) {
  const fs::path truth = job.folder / "truth";
  write_table(truth / "truth_counts.tsv", kCounts, parts, "counts", provenance);
  write_table(truth / "truth_epvs.tsv", kEpvs, parts, "epvs", provenance);
  write_table(truth / "truth_scans.tsv", kScans, parts, "scans", provenance);
  write_failures(job.folder / "failed.tsv", failures, provenance);
  copy_descriptions(job);
  core::write_text(job.folder / ".bidsignore", "truth/\nimplants.json\nfailed.tsv\nfailed.json\n");
  core::write_json(job.folder / "dataset_description.json", description(job, provenance));
}

}  // namespace epvs::data
