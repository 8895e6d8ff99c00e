#include "models/model_reports.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/table.h"
#include "core/text.h"
#include "models/layers.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"

namespace epvs::models {

namespace fs = std::filesystem;

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

}  // namespace

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

core::Report describe_weights(const fs::path& path) {
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

core::Report describe_run(const fs::path& folder) {
  const fs::path history = folder / "training.tsv";
  if (!fs::exists(history)) {
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
  const bool finished = fs::exists(folder / "weights.safetensors");
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

}  // namespace epvs::models
