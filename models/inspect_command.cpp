#include "models/inspect_command.h"

#include <fmt/format.h>

#include "core/error.h"
#include "data/cohort/cohort.h"
#include "models/inspect_characteristics.h"
#include "models/inspect_reports.h"

namespace epvs::models {

core::Manual InspectCommand::manual() const {
  core::Manual manual;
  manual.name = "inspect";
  manual.summary = "what is in a scan, cohort, weights file or run; layer tables of networks";
  manual.synopsis = "FILE | --network ARCHITECTURE [--input Z,Y,X] [options]";
  manual.description =
      "Prints what a file holds: of a scan its geometry, orientation codes, warnings and range of "
      "intensities; of a cohort its regions, preprocessing and numbers of scans and participants "
      "(--rows lists them; --characteristics describes people and scans as a table); of weights "
      "the network, the preprocessing it expects and the layer "
      "table; of a run folder its training.\n"
      "Without a file, --network prints the layer table of a network from its options: shapes, "
      "parameters and floating point operations. A multiply-add counts as two operations.";
  manual.examples = {{"Geometry and warnings of a scan:", "epvs inspect sub-01_T2w.nii.gz"},
                     {"What the weights of a run expect and how large they are:",
                      "epvs inspect runs/gp_unet/weights.safetensors"},
                     {"Who and what a cohort consists of (Table 1 of a paper):",
                      "epvs inspect cohort.h5 --characteristics --participants "
                      "my_bids/participants.tsv"},
                     {"Layers of the network of P1 for its crop:",
                      "epvs inspect --network media2019 --input 84,128,168"},
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
  line.option("--network", &network_, "architecture").choices({"media2019", "cnn4", "gp_unet"});
  line.option("--input", &input_, "voxels of the input along z, y, x; default 84,128,168")
      .length(3)
      .range(1);
  line.option("--set", &settings_,
              "options of the network as in a recipe, for example network.blocks=1")
      .unit("NAME=VALUE");
}

void InspectCommand::run(core::Context&) {
  const bool by_file = !file_.empty();
  const bool by_network = !network_.empty();
  if (by_file == by_network) {
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
  if (characteristics_) {
    if (!by_file || file_.extension() != ".h5") {
      throw core::UsageError("--characteristics describes a cohort file (.h5); this is none");
    }
    const core::Table table = cohort_characteristics(data::CohortReader(file_), participants_);
    if (json_) {
      core::Json rows = core::Json::array();
      for (std::size_t row = 0; row < table.rows(); ++row) {
        core::Json entry;
        for (const std::string& column : table.columns()) entry[column] = table.cell(row, column);
        rows.push_back(entry);
      }
      fmt::print("{}\n", rows.dump(2));
    } else {
      fmt::print("{}", table.to_text());
    }
    return;
  }
  NetworkOptions options;
  if (by_network) {
    core::ParameterTable table;
    options.declare(table);
    for (const std::string& setting : settings_) table.assign(setting);
    options.architecture = network_;
    if (!input_.empty()) options.input_zyx = {input_[0], input_[1], input_[2]};
  }
  const Report report = by_network ? inspect_network(options) : inspect_path(file_, rows_);
  if (rows_ && report.document["kind"] != "cohort") {
    throw core::UsageError("--rows lists the scans of a cohort file; this is none");
  }
  if (json_) {
    fmt::print("{}\n", report.document.dump(2));
  } else {
    fmt::print("{}", report.text);
  }
}

}  // namespace epvs::models
