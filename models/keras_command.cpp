#include "models/keras_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"

namespace epvs::models {

namespace {

/// Writes float32, or float64 where the file has it.
void write_weights(const std::filesystem::path& out, const ImportedWeights& imported,
                   bool is_double, const WeightsMetadata& metadata) {
  std::vector<std::vector<float>> narrow;
  std::vector<TensorToWrite> tensors;
  narrow.reserve(imported.tensors.size());
  for (const ImportedTensor& tensor : imported.tensors) {
    const void* data = tensor.values.data();
    if (!is_double) {
      std::vector<float>& values = narrow.emplace_back();
      values.reserve(tensor.values.size());
      for (const double v : tensor.values) values.push_back(static_cast<float>(v));
      data = values.data();
    }
    tensors.push_back({tensor.name, is_double ? "F64" : "F32", tensor.shape, data});
  }
  write_safetensors(out, tensors, {{"epvs", metadata.to_json().dump()}});
}

core::Json description(const KerasFile& file, const ImportedWeights& imported,
                       const NetworkOptions& options) {
  const KerasConventions& used = imported.conventions;
  core::Json document;
  document["keras_version"] = file.keras_version;
  document["orientation"] = used.orientation;
  document["backend"] = used.backend;
  if (options.architecture == "media2019") {
    document["flatten"] = used.flatten;
  } else if (options.residual == "concat") {
    document["block_concat"] = used.block_concat;
  }
  if (options.architecture == "gp_unet") document["skip_concat"] = used.skip_concat;
  for (const ImportedTensor& tensor : imported.tensors) {
    document["tensors"][tensor.name] = tensor.source;
  }
  return document;
}

}  // namespace

core::Manual ImportKerasCommand::manual() const {
  core::Manual manual;
  manual.name = "import-keras";
  manual.summary = "weights of Keras (.h5) as a weights file of epvs";
  manual.synopsis =
      "WEIGHTS.h5 OUT.safetensors --network ARCHITECTURE --orientation CODE --region REGION "
      "--spacing-mm X,Y,Z --crop-voxels X,Y,Z --normalisation max|minmax [options]";
  manual.description =
      "Reads the .h5 of model.save_weights() or model.save() of Keras 1 or 2 and writes its "
      "weights "
      "for epvs infer and epvs train --init. Layers are matched with those of the network by order "
      "and shape; every missing, extra or misshapen layer is named.\n"
      "A Keras file does not say which network it is, how its volumes lay and how they were "
      "prepared: the options say it. Kernels of Theano are turned (it computes true "
      "convolutions), kernels and features are brought into the order (Z, Y, X). A wrong "
      "orientation or order gives a network that runs and scores wrongly: compare a score with one "
      "that Keras computed.";
  manual.examples = {
      {"Weights of Keras 1.2 with Theano, volumes of 168x128x84 as arrays (x, y, z):",
       "epvs import-keras p1.h5 p1.safetensors --network media2019 --backend theano "
       "--orientation RAS --region bg --spacing-mm 0.5,0.5,0.5 --crop-voxels 168,128,84 "
       "--normalisation max"},
      {"A model of Keras 2 with TensorFlow, volumes as arrays (z, y, x):",
       "epvs import-keras gp.h5 gp.safetensors --network gp_unet --orientation SAR --region cso "
       "--spacing-mm 0.5,0.5,0.8 --crop-voxels 250,290,14 --normalisation minmax"}};
  manual.citations = {
      "Chollet F. et al. 2015, Keras. https://keras.io",
      "Dubost et al. 2019, 3D regression neural network for the quantification of "
      "enlarged perivascular spaces in brain MRI. Medical Image Analysis 51:89-100. "
      "arXiv:1802.05914"};
  return manual;
}

void ImportKerasCommand::declare(core::CommandLine& line) {
  line.positional("WEIGHTS", &file_, ".h5 of Keras").required();
  line.positional("OUT", &out_, "weights file to write, .safetensors").required();
  line.heading("The network");
  line.option("--network", &network_, "architecture")
      .choices({"media2019", "cnn4", "gp_unet"})
      .required();
  line.option("--set", &settings_,
              "options of the network as in a recipe, for example network.blocks=1")
      .unit("NAME=VALUE");
  line.option("--target", &target_, "what it was trained on, for example rater1");
  line.heading("What Keras computed");
  conventions_.declare(line);
  line.heading("How its volumes were prepared");
  preprocessing_.preset = "custom";
  line.option("--region", &preprocessing_.region, "bg, cso, hippocampi, midbrain or another name")
      .required();
  line.option("--spacing-mm", &spacing_mm_, "voxel size, x,y,z")
      .range(0.1, 10)
      .length(3)
      .unit("mm")
      .required();
  line.option("--crop-voxels", &crop_voxels_, "size of the volumes, x,y,z")
      .range(4, 1024)
      .length(3)
      .unit("voxels")
      .required();
  line.option("--normalisation", &preprocessing_.normalisation, "max (P1) or minmax (P2)")
      .choices({"max", "minmax"})
      .required();
  line.option("--registration", &preprocessing_.registration,
              "none, or rigid to a template before the crop")
      .choices({"none", "rigid"});
  line.option("--dilation-voxels", &preprocessing_.dilation_voxels,
              "binary dilations of the region, 6-neighbourhood")
      .range(0, 50);
  line.option("--sigma-voxels", &preprocessing_.sigma_voxels, "Gaussian that smooths the mask")
      .range(0, 50);
  line.option("--label-source", &preprocessing_.label_source,
              "where the regions came from: freesurfer, synthseg, first, fast, atlas");
}

NetworkOptions ImportKerasCommand::network_options() const {
  NetworkOptions options;
  core::ParameterTable table;
  options.declare(table);
  for (const std::string& setting : settings_) table.assign(setting);
  options.architecture = network_;
  options.input_zyx = {crop_voxels_[2], crop_voxels_[1], crop_voxels_[0]};
  return options;
}

void ImportKerasCommand::run(core::Context& context) {
  if (core::lower(out_.extension().string()) != ".safetensors") {
    throw core::UsageError(fmt::format("{} does not end in .safetensors", out_.string()));
  }
  WeightsMetadata metadata;
  metadata.network = network_options();
  metadata.preprocessing = preprocessing_;
  std::copy_n(spacing_mm_.begin(), 3, metadata.preprocessing.spacing_mm.begin());
  std::copy_n(crop_voxels_.begin(), 3, metadata.preprocessing.crop_voxels.begin());
  metadata.target = target_;
  core::refuse_existing(out_, context.force);
  const KerasFile file = read_keras_file(file_);
  const ImportedWeights imported = import_keras(file, metadata.network, conventions_);
  for (const ImportedTensor& tensor : imported.tensors) {
    context.log.info("{} from {}", tensor.name, tensor.source);
  }
  context.log.info("kernels of {}, volumes {}", imported.conventions.backend,
                   imported.conventions.orientation);
  if (context.dry_run) {
    context.log.info("dry run: would write {}", out_.string());
    return;
  }
  context.provenance.add_input(file_);
  context.provenance.add("keras", description(file, imported, metadata.network));
  metadata.provenance = context.provenance.to_json();
  write_weights(out_, imported, file.is_double, metadata);
  context.provenance.write_beside(out_);
}

}  // namespace epvs::models
