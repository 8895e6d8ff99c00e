#include "models/export_usage.h"

namespace epvs::models {

core::Manual ExportUsage::manual() const {
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

void ExportUsage::declare(core::CommandLine& line) {
  line.positional("WEIGHTS", &weights_, "weights.safetensors or run folder").required();
  line.positional("OUT", &out_, "file to write; its ending chooses the format").required();
}

}  // namespace epvs::models
