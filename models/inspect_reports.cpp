#include "models/inspect_reports.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/table.h"
#include "core/text.h"
#include "data/cohort/cohort.h"
#include "data/formats/nifti.h"
#include "models/layers.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"

namespace epvs::models {

namespace fs = std::filesystem;

namespace {

/// "name  value" lines, the names padded to one width.
class Lines {
 public:
  void add(const std::string& name, const std::string& value) { lines_.emplace_back(name, value); }
  /// Every field of an object.
  void add_all(const core::Json& object) {
    for (const auto& [key, value] : object.items()) {
      add(key, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  std::string text() const {
    std::size_t width = 0;
    for (const auto& [name, value] : lines_) width = std::max(width, name.size());
    std::string out;
    for (const auto& [name, value] : lines_) {
      out += fmt::format("{:<{}}  {}\n", name, width, value);
    }
    return out;
  }

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

core::Json matrix_json(const Eigen::Matrix4d& matrix) {
  core::Json rows = core::Json::array();
  for (Eigen::Index i = 0; i < 4; ++i) {
    rows.push_back({matrix(i, 0), matrix(i, 1), matrix(i, 2), matrix(i, 3)});
  }
  return rows;
}

std::string matrix_text(const Eigen::Matrix4d& matrix) {
  std::string out;
  for (Eigen::Index i = 0; i < 3; ++i) {
    out += fmt::format("  {:>10.5g} {:>10.5g} {:>10.5g} {:>10.5g}\n", matrix(i, 0), matrix(i, 1),
                       matrix(i, 2), matrix(i, 3));
  }
  return out;
}

std::string nifti_code(int code) {
  static const std::vector<std::string> kNames = {"unknown",   "scanner", "aligned",
                                                  "talairach", "mni",     "template"};
  const bool known = code >= 0 && code < static_cast<int>(kNames.size());
  return fmt::format("{} ({})", code, known ? kNames[static_cast<std::size_t>(code)] : "?");
}

/// Nearest anatomical direction of each voxel axis: "RAS", "LPS", ...
std::string orientation(const Eigen::Matrix4d& affine) {
  std::string letters;
  for (Eigen::Index column = 0; column < 3; ++column) {
    Eigen::Index row = 0;
    affine.col(column).head<3>().cwiseAbs().maxCoeff(&row);
    letters += (affine(row, column) >= 0 ? "RAS" : "LPI")[row];
  }
  return letters;
}

std::string count_text(std::int64_t n) {
  const std::string digits = std::to_string(n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

void add_layers(const NetworkOptions& options, Report& report) {
  const std::vector<LayerRow> rows = layer_table(options);
  report.document["layers"] = layers_as_json(rows);
  report.document["parameters"] = total_parameters(rows);
  report.document["flops"] = total_flops(rows);
  report.document["flops_note"] = "one forward pass of one volume; a multiply-add counts as 2";
  core::Table shown({"layer", "kind", "input", "output", "parameters", "GFLOP"});
  for (const LayerRow& row : rows) {
    shown.add_row({row.name, row.kind, row.input.text(), row.output.text(),
                   count_text(row.parameters),
                   fmt::format("{:.3f}", static_cast<double>(row.flops) / 1e9)});
  }
  report.text += "layers (shapes are channels x z x y x x)\n";
  report.text += shown.to_aligned(12);
  report.text += fmt::format(
      "parameters {}\nforward pass {:.1f} GFLOP = {:.1f} GMAC a volume (a multiply-add is 2 "
      "FLOP)\n",
      count_text(total_parameters(rows)), static_cast<double>(total_flops(rows)) / 1e9,
      static_cast<double>(total_flops(rows)) / 2e9);
}

}  // namespace

Report inspect_network(const NetworkOptions& options) {
  Report report;
  report.document["kind"] = "network";
  report.document["network"] = options.to_json();
  Lines lines;
  lines.add_all(report.document["network"]);
  report.text = lines.text() + "\n";
  add_layers(options, report);
  return report;
}

Report inspect_scan(const fs::path& path) {
  const data::Scan scan = data::read_scan(path);
  const data::ScanHeader& header = scan.header;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  double sum = 0;
  std::int64_t finite = 0;
  for (const float v : scan.image.voxels) {
    if (!std::isfinite(v)) continue;
    low = std::min(low, static_cast<double>(v));
    high = std::max(high, static_cast<double>(v));
    sum += v;
    ++finite;
  }
  const auto& shape = header.geometry.shape;
  const Eigen::Vector3d spacing = header.geometry.spacing_mm();
  const std::int64_t not_finite = header.geometry.voxels() - finite;

  Report report;
  core::Json& d = report.document;
  d["kind"] = "scan";
  d["format"] = header.format;
  d["stored_type"] = header.stored_type;
  d["shape"] = shape;
  d["spacing_mm"] = {spacing[0], spacing[1], spacing[2]};
  d["orientation"] = orientation(header.geometry.affine);
  d["affine"] = matrix_json(header.geometry.affine);
  if (header.format != "mgh") {
    d["sform_code"] = header.sform_code;
    d["qform_code"] = header.qform_code;
  }
  d["minimum"] = finite > 0 ? core::Json(low) : core::Json();
  d["maximum"] = finite > 0 ? core::Json(high) : core::Json();
  d["mean"] = finite > 0 ? core::Json(sum / static_cast<double>(finite)) : core::Json();
  d["not_finite_voxels"] = not_finite;
  d["warnings"] = header.warnings;

  Lines lines;
  lines.add("scan", path.string());
  lines.add("format", header.format + ", " + header.stored_type);
  lines.add("voxels (x y z)", fmt::format("{} x {} x {}", shape[0], shape[1], shape[2]));
  lines.add("spacing (mm)",
            fmt::format("{:.4g} x {:.4g} x {:.4g}", spacing[0], spacing[1], spacing[2]));
  lines.add("orientation", orientation(header.geometry.affine));
  if (header.format != "mgh") {
    lines.add("sform code", nifti_code(header.sform_code));
    lines.add("qform code", nifti_code(header.qform_code));
  }
  lines.add("intensities", finite == 0 ? "none is finite"
                                       : fmt::format("{:.6g} to {:.6g}, mean {:.6g}", low, high,
                                                     sum / static_cast<double>(finite)));
  if (not_finite > 0) lines.add("not finite", count_text(not_finite) + " voxels");
  report.text = lines.text() + "voxel to world (mm, RAS+)\n";
  report.text += matrix_text(header.geometry.affine);
  for (const std::string& warning : header.warnings) report.text += "warning: " + warning + "\n";
  return report;
}

Report inspect_cohort(const fs::path& path, bool rows) {
  const data::CohortReader cohort(path);
  Report report;
  core::Json& d = report.document;
  d["kind"] = "cohort";
  d["fingerprint"] = cohort.fingerprint();
  d["regions"] = core::Json::array();
  Lines lines;
  lines.add("cohort", path.string());
  lines.add("size", fmt::format("{:.1f} MB", static_cast<double>(fs::file_size(path)) / 1e6));
  lines.add("fingerprint", cohort.fingerprint());
  report.text = lines.text();
  core::Table listing({"region", "participant_id", "session_id", "source_voxels", "source_spacing",
                       "crop_origin", "region_mm3", "cut", "ac_slice", "label_source"});
  for (const std::string& region : cohort.regions()) {
    std::set<std::string> participants;
    core::Json list = core::Json::array();
    for (const data::CohortRow& row : cohort.rows(region)) {
      participants.insert(row.participant_id);
      const Eigen::Vector3d mm = row.source.spacing_mm();
      listing.add_row({region, row.participant_id, row.session_id,
                       fmt::format("{}", fmt::join(row.source.shape, "x")),
                       fmt::format("{:.3g}x{:.3g}x{:.3g}", mm[0], mm[1], mm[2]),
                       fmt::format("{}", fmt::join(row.crop_origin, ",")),
                       fmt::format("{:.0f}", row.region_volume_mm3),
                       fmt::format("{:.3g}", row.region_cut_fraction),
                       row.ac_slice < 0 ? core::kMissing : std::to_string(row.ac_slice),
                       row.label_source});
      list.push_back({{"participant_id", row.participant_id},
                      {"session_id", row.session_id},
                      {"source_shape", row.source.shape},
                      {"source_path", row.source_path},
                      {"source_sha256", row.source_sha256},
                      {"crop_origin", row.crop_origin},
                      {"region_volume_mm3", row.region_volume_mm3},
                      {"region_cut_fraction", row.region_cut_fraction},
                      {"ac_slice", row.ac_slice}});
    }
    core::Json entry;
    entry["region"] = region;
    entry["scans"] = cohort.rows(region).size();
    entry["participants"] = participants.size();
    entry["preprocessing"] = cohort.options(region).to_json();
    if (rows) entry["rows"] = list;
    d["regions"].push_back(entry);
    report.text += fmt::format("\nregion {}: {} scans of {} participants\n", region,
                               cohort.rows(region).size(), participants.size());
    Lines options;
    options.add_all(entry["preprocessing"]);
    report.text += options.text();
  }
  d["provenance"] = cohort.provenance();
  if (cohort.provenance().contains("command_line")) {
    report.text +=
        fmt::format("\nmade by: {}\n", cohort.provenance()["command_line"].get<std::string>());
  }
  if (rows) report.text.append("\n").append(listing.to_aligned());
  return report;
}

Report inspect_weights(const fs::path& path) {
  const SafetensorsHeader header = read_safetensors_header(path);
  const WeightsMetadata metadata = parse_weights_metadata(header.metadata, path);
  Report report;
  core::Json& d = report.document;
  d["kind"] = "weights";
  d["metadata"] = metadata.to_json();
  d["dtype"] = header.tensors.empty() ? "none" : header.tensors.front().dtype;
  Lines lines;
  lines.add("weights", path.string());
  lines.add("trained on", metadata.target);
  lines.add("type", d["dtype"].get<std::string>());
  lines.add_all(metadata.network.to_json());
  report.text = lines.text() + "\npreprocessing\n";
  Lines preprocessing;
  preprocessing.add_all(metadata.preprocessing.to_json());
  report.text += preprocessing.text() + "\n";
  add_layers(metadata.network, report);
  if (!metadata.provenance.is_null()) {
    report.text += fmt::format("\nprovenance\n{}\n", metadata.provenance.dump(2));
  }
  return report;
}

Report inspect_run(const fs::path& folder) {
  const fs::path history = folder / "training.tsv";
  if (!fs::exists(history)) {
    throw core::InputError(
        fmt::format("the folder {} holds no training.tsv, so it is no run folder", folder.string()),
        "give a run folder of epvs train, or a file; for a folder of DICOM: epvs prepare FOLDER "
        "--list-series");
  }
  const core::Table table = core::Table::read(history);
  Report report;
  core::Json& d = report.document;
  d["kind"] = "run";
  d["epochs"] = table.rows();
  Lines lines;
  lines.add("run", folder.string());
  lines.add("epochs", std::to_string(table.rows()));
  if (table.rows() > 0) {
    const std::size_t last = table.rows() - 1;
    std::optional<std::size_t> best;
    if (table.has("validation_loss")) {
      for (std::size_t row = 0; row < table.rows(); ++row) {
        const double value = table.number(row, "validation_loss");
        if (!std::isfinite(value)) continue;
        if (!best || value < table.number(*best, "validation_loss")) best = row;
      }
    }
    const auto describe = [&](const std::string& name, std::size_t row) {
      core::Json entry = core::Json::object();
      std::vector<std::string> parts;
      for (std::size_t c = 0; c < table.columns().size(); ++c) {
        entry[table.columns()[c]] = table.cell(row, c);
        parts.push_back(table.columns()[c] + " " + table.cell(row, c));
      }
      d[name] = entry;
      lines.add(name, core::join(parts, ", "));
    };
    describe("last_epoch", last);
    if (best) describe("least_validation_loss", *best);
  }
  const bool finished = fs::exists(folder / "weights.safetensors");
  d["finished"] = finished;
  lines.add("weights", finished ? "weights.safetensors" : "not written yet");
  report.text = lines.text();
  if (finished) {
    const Report weights = inspect_weights(folder / "weights.safetensors");
    d["weights"] = weights.document;
    report.text += "\n" + weights.text;
  }
  return report;
}

Report inspect_path(const fs::path& path, bool rows) {
  core::require_exists(path, "file or run folder");
  if (fs::is_directory(path)) return inspect_run(path);
  const std::string name = core::lower(path.filename().string());
  const auto ends = [&](const char* ending) { return name.ends_with(ending); };
  if (ends(".nii") || ends(".nii.gz") || ends(".mgh") || ends(".mgz") || ends(".mgh.gz")) {
    return inspect_scan(path);
  }
  if (ends(".h5") || ends(".hdf5")) return inspect_cohort(path, rows);
  if (ends(".safetensors")) return inspect_weights(path);
  throw core::InputError(
      fmt::format("{}: no kind of file that epvs inspect knows", path.string()),
      "it reads scans (.nii, .nii.gz, .mgh, .mgz), cohorts (.h5), weights (.safetensors) and run "
      "folders");
}

}  // namespace epvs::models
