#include "models/export_command.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "models/export_writers.h"
#include "models/weights_metadata.h"

namespace epvs::models {

core::Manual ExportCommand::manual() const {
  core::Manual manual;
  manual.name = "export";
  manual.summary = "write a network as ONNX or TorchScript";
  manual.synopsis = "WEIGHTS OUT.onnx|OUT.pt [options]";
  manual.description =
      "Writes the network of a weights file or run folder in a format that other programs run: "
      "ONNX (opset 13) for a name ending in .onnx, TorchScript for .pt. The input is a float "
      "volume (N, 1, Z, Y, X) of the network's voxels, prepared as the weights say (epvs inspect); "
      "the output is the score (N). A gp_unet also gives its attention map: the ONNX output "
      "attention, the TorchScript method attention. The description of the network travels along, "
      "in ONNX as the metadata property epvs, in TorchScript as the extra file epvs.json.";
  manual.examples = {{"A network for ONNX Runtime:", "epvs export runs/gp_unet gp_unet.onnx"},
                     {"The same for torch.jit.load:", "epvs export runs/gp_unet gp_unet.pt"}};
  manual.citations = {"ONNX, Open Neural Network Exchange. https://onnx.ai"};
  return manual;
}

void ExportCommand::declare(core::CommandLine& line) {
  line.positional("WEIGHTS", &weights_, "weights.safetensors or run folder").required();
  line.positional("OUT", &out_, "file to write; its ending chooses the format").required();
}

void ExportCommand::run(core::Context& context) {
  const std::string ending = core::lower(out_.extension().string());
  if (ending != ".onnx" && ending != ".pt") {
    throw core::UsageError(fmt::format("the ending of {} names no format", out_.string()),
                           "take OUT.onnx for ONNX or OUT.pt for TorchScript");
  }
  const std::filesystem::path file = core::find_weights(weights_);
  const WeightsMetadata metadata = read_weights_metadata(file);
  core::refuse_existing(out_, context.force);
  context.log.info("{} of {} to {}", core::to_text(metadata.network.architecture), file.string(),
                   out_.string());
  if (context.dry_run) return;
  context.provenance.add_input(file);
  if (ending == ".onnx") {
    write_onnx(file, out_);
  } else {
    write_torchscript(file, out_);
  }
  context.provenance.write_beside(out_);
}

}  // namespace epvs::models
