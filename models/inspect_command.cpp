#include "models/inspect_command.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/files.h"
#include "core/table.h"
#include "core/text.h"
#include "data/cohort/characteristics.h"
#include "data/cohort/cohort.h"
#include "data/cohort/cohort_report.h"
#include "data/formats/scan_report.h"
#include "models/layers.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"

namespace epvs::models {

namespace {

void add_layers(const NetworkOptions& options, core::Report& report) {
  const std::vector<Layer> layers = layers_of(options);
  report.document["layers"] = layers_as_json(options, layers);
  report.document["parameters"] = total_parameters(layers);
  report.document["flops"] = total_flops(layers);
  report.document["flops_note"] = "one forward pass of one volume; a multiply-add counts as 2";
  core::Table shown({"layer", "kind", "input", "output", "parameters", "GFLOP"});
  for (const Layer& layer : layers) {
    shown.add_row({layer.name, layer.kind_text(options), layer.input.text(), layer.output.text(),
                   core::grouped_digits(layer.parameters),
                   fmt::format("{:.3f}", static_cast<double>(layer.flops) / 1e9)});
  }
  report.text += "layers (shapes are channels x z x y x x)\n";
  report.text += shown.to_aligned(12);
  report.text += fmt::format(
      "parameters {}\nforward pass {:.1f} GFLOP = {:.1f} GMAC a volume (a multiply-add is 2 "
      "FLOP)\n",
      core::grouped_digits(total_parameters(layers)),
      static_cast<double>(total_flops(layers)) / 1e9,
      static_cast<double>(total_flops(layers)) / 2e9);
}

/// Layer table, parameters and FLOPs of a network without a file.
core::Report describe_network(const NetworkOptions& options) {
  core::Report report;
  report.document["kind"] = "network";
  report.document["network"] = options.to_json();
  core::ReportLines lines;
  lines.add_all(report.document["network"]);
  report.text = lines.text() + "\n";
  add_layers(options, report);
  return report;
}

/// Metadata and layer table.
core::Report describe_weights(const std::filesystem::path& path) {
  const SafetensorsHeader header = read_safetensors_header(path);
  const WeightsMetadata metadata = parse_weights_metadata(header.metadata, path);
  core::Report report;
  core::Json& d = report.document;
  d["kind"] = "weights";
  d["metadata"] = metadata.to_json();
  d["dtype"] = header.tensors.empty() ? "none" : header.tensors.front().dtype;
  core::ReportLines lines;
  lines.add("weights", path.string());
  lines.add("trained on", metadata.target);
  lines.add("type", d["dtype"].get<std::string>());
  lines.add_all(metadata.network.to_json());
  report.text = lines.text() + "\npreprocessing\n";
  core::ReportLines preprocessing;
  preprocessing.add_all(metadata.preprocessing.to_json());
  report.text += preprocessing.text() + "\n";
  add_layers(metadata.network, report);
  if (!metadata.provenance.is_null()) {
    report.text += fmt::format("\nprovenance\n{}\n", metadata.provenance.dump(2));
  }
  return report;
}

/// Summary of training.tsv, and the weights where they are.
core::Report describe_run(const std::filesystem::path& folder) {
  const std::filesystem::path history = folder / "training.tsv";
  if (!std::filesystem::exists(history)) {
    throw core::InputError(
        fmt::format("the folder {} holds no training.tsv, so it is no run folder", folder.string()),
        "give a run folder of epvs train, or a file");
  }
  const core::Table table = core::Table::read(history);
  core::Report report;
  core::Json& d = report.document;
  d["kind"] = "run";
  d["epochs"] = table.rows();
  core::ReportLines lines;
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
  const bool finished = std::filesystem::exists(folder / "weights.safetensors");
  d["finished"] = finished;
  lines.add("weights", finished ? "weights.safetensors" : "not written yet");
  report.text = lines.text();
  if (finished) {
    const core::Report weights = describe_weights(folder / "weights.safetensors");
    d["weights"] = weights.document;
    report.text += "\n" + weights.text;
  }
  return report;
}

/// Chooses by what the path is. Throws InputError for a kind that is not known.
core::Report describe_path(const std::filesystem::path& path, bool rows) {
  core::require_exists(path, "file or run folder");
  if (std::filesystem::is_directory(path)) return describe_run(path);
  const std::string name = core::lower(path.filename().string());
  const auto ends = [&](const char* ending) { return name.ends_with(ending); };
  if (ends(".nii") || ends(".nii.gz") || ends(".mgh") || ends(".mgz") || ends(".mgh.gz")) {
    return data::describe_scan(path);
  }
  if (ends(".h5") || ends(".hdf5")) return data::describe_cohort(path, rows);
  if (ends(".safetensors")) return describe_weights(path);
  throw core::InputError(
      fmt::format("{}: no kind of file that epvs inspect knows", path.string()),
      "it reads scans (.nii, .nii.gz, .mgh, .mgz), cohorts (.h5), weights (.safetensors) and run "
      "folders");
}

void print(const core::Table& table, bool as_json) {
  if (!as_json) {
    fmt::print("{}", table.to_text());
    return;
  }
  core::Json rows = core::Json::array();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    core::Json entry;
    for (const std::string& column : table.columns()) entry[column] = table.cell(row, column);
    rows.push_back(entry);
  }
  fmt::print("{}\n", rows.dump(2));
}

}  // namespace

core::Manual InspectCommand::manual() const {
  core::Manual manual;
  manual.name = "inspect";
  manual.summary = "what is in a scan, cohort, weights file or run; layer tables of networks";
  manual.synopsis = "FILE | --network ARCHITECTURE [--input X,Y,Z] [options]";
  manual.description =
      "Prints what a file holds: of a scan its geometry, orientation codes, warnings and range of "
      "intensities; of a cohort its regions, preprocessing and numbers of scans and participants "
      "(--rows lists them; --characteristics describes people and scans as a table); of weights "
      "the network, the preprocessing it expects and the layer table; of a run folder its "
      "training.\n"
      "Without a file, --network prints the layer table of a network from its options: shapes, "
      "parameters and floating point operations. A multiply-add counts as two operations.";
  manual.examples = {{"Geometry and warnings of a scan:", "epvs inspect sub-01_T2w.nii.gz"},
                     {"What the weights of a run expect and how large they are:",
                      "epvs inspect runs/gp_unet/weights.safetensors"},
                     {"Who and what a cohort consists of (Table 1 of a paper):",
                      "epvs inspect cohort.h5 --characteristics --participants "
                      "my_bids/participants.tsv"},
                     {"Layers of the network of P1 for its crop:",
                      "epvs inspect --network media2019 --input 168,128,84"},
                     {"The same with one block (P1 Table 3):",
                      "epvs inspect --network media2019 --set network.blocks=1"}};
  manual.citations = {
      "Dubost et al. 2019, 3D regression neural network for the quantification of enlarged "
      "perivascular spaces in brain MRI. Medical Image Analysis 51:89-100. arXiv:1802.05914"};
  manual.writes_output = false;
  return manual;
}

void InspectCommand::declare(core::CommandLine& line) {
  line.positional("FILE", &file_,
                  "scan (.nii, .nii.gz, .mgh, .mgz), cohort (.h5), weights (.safetensors) or run "
                  "folder");
  line.option("--json", &json_, "print a JSON document instead of text");
  line.option("--rows", &rows_, "cohort: one line per scan and region");
  line.option(
      "--characteristics", &characteristics_,
      "cohort: age, sex, voxel sizes, slice thickness and spacing, field strength, scanners, "
      "and how many scans were excluded and why, as TSV (standard deviations of samples, n - "
      "1). What is not known has n = 0");
  line.option("--participants", &participants_,
              "table with participant_id and age, sex, scanner for --characteristics")
      .unit("TSV");
  line.heading("Layer table without a file");
  line.option("--network", &network_, "architecture").choices(core::all_names<Architecture>());
  line.option("--input", &input_,
              "voxels of the input along x, y, z, as --crop-voxels of epvs prepare; default "
              "168,128,84")
      .length(3)
      .range(1);
  line.option("--set", &settings_,
              "options of the network as in a recipe, for example network.blocks=1")
      .unit("NAME=VALUE");
}

NetworkOptions InspectCommand::network_options() const {
  NetworkOptions options;
  core::ParameterTable table;
  options.declare(table);
  for (const std::string& setting : settings_) table.assign(setting);
  options.architecture = core::from_text<Architecture>(network_, "--network");
  if (!input_.empty()) options.input_zyx = {input_[2], input_[1], input_[0]};
  return options;
}

void InspectCommand::require_sense() const {
  const bool by_file = !file_.empty();
  if (by_file == !network_.empty()) {
    throw core::UsageError(by_file ? "both a file and --network were given"
                                   : "nothing to inspect: give a file or --network",
                           "epvs inspect --help shows examples");
  }
  if (by_file && (!settings_.empty() || !input_.empty())) {
    throw core::UsageError("--set and --input belong to --network and mean nothing for a file");
  }
  if (!participants_.empty() && !characteristics_) {
    throw core::UsageError("--participants belongs to --characteristics");
  }
  if (characteristics_ && (!by_file || file_.extension() != ".h5")) {
    throw core::UsageError("--characteristics describes a cohort file (.h5); this is none");
  }
}

void InspectCommand::run(core::Context&) {
  require_sense();
  if (characteristics_) {
    print(data::cohort_characteristics(data::CohortReader(file_), participants_), json_);
    return;
  }
  const core::Report report =
      file_.empty() ? describe_network(network_options()) : describe_path(file_, rows_);
  if (rows_ && report.document["kind"] != "cohort") {
    throw core::UsageError("--rows lists the scans of a cohort file; this is none");
  }
  fmt::print("{}", json_ ? report.document.dump(2) + "\n" : report.text);
}

}  // namespace epvs::models
