#include "models/export_command.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "models/export_writers.h"
#include "models/weights_metadata.h"

namespace epvs::models {

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
