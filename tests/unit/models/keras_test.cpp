// `epvs import-keras` against scores that NumPy and SciPy computed from Keras' semantics
// (tests/golden/models/make_keras_goldens.py), and what it refuses.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/files.h"
#include "core/json.h"
#include "models/weights.h"
#include "tests/support/test_support.h"
#include "tests/unit/models/keras_file_maker.h"

namespace epvs::models {
namespace {

using tests::CommandResult;
using tests::KerasPlan;
using tests::KerasWeight;
using tests::run_epvs;
using tests::TemporaryFolder;
using torch::Tensor;

using Arguments = std::vector<std::string>;

/// Options that every import needs and these tests do not vary.
Arguments import_arguments(const std::string& weights, const std::string& out,
                           const std::string& crop, const Arguments& more) {
  Arguments all = {"import-keras", weights,         out,  "--region",        "bg", "--spacing-mm",
                   "0.5,0.5,0.8",  "--crop-voxels", crop, "--normalisation", "max"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

class KerasGolden : public ::testing::TestWithParam<const char*> {
 protected:
  KerasGolden()
      : golden_(core::read_json(tests::golden("models/keras_goldens.json")).at(GetParam())) {}
  Arguments arguments() const { return golden_["arguments"].get<Arguments>(); }
  CommandResult import(const Arguments& more) const {
    const auto zyx = golden_["input_zyx"].get<std::vector<int>>();
    return run_epvs(import_arguments(
        tests::golden(std::string("models/keras_") + GetParam() + ".h5").string(),
        (folder_ / "w.safetensors").string(),
        std::to_string(zyx[2]) + "," + std::to_string(zyx[1]) + "," + std::to_string(zyx[0]),
        more));
  }
  /// Scores of the imported network, in float64.
  std::vector<double> scores() const {
    const LoadedNetwork loaded = load_weights(folder_ / "w.safetensors");
    loaded.network->to(torch::kDouble);
    const auto [z, y, x] = loaded.metadata.network.input_zyx;
    const Tensor i = torch::arange(2 * z * y * x, torch::kDouble);
    const Tensor volume = (torch::sin(0.1 * (i + 1)) * torch::cos(0.013 * i)).view({2, 1, z, y, x});
    const torch::NoGradGuard no_grad;
    const Tensor out = loaded.network->forward(volume);
    return {out[0].item<double>(), out[1].item<double>()};
  }
  double largest_error() const {
    const std::vector<double> found = scores();
    double error = 0;
    for (std::size_t n = 0; n < 2; ++n) {
      error = std::max(error, std::abs(found[n] - golden_["scores"][n].get<double>()));
    }
    return error;
  }
  /// The arguments with another value of one option.
  Arguments with(const std::string& option, const std::string& value) const {
    Arguments changed = arguments();
    const auto at = std::find(changed.begin(), changed.end(), option);
    if (at == changed.end()) {
      changed.insert(changed.end(), {option, value});
    } else {
      *(at + 1) = value;
    }
    return changed;
  }

  core::Json golden_;
  TemporaryFolder folder_;
};

TEST_P(KerasGolden, ScoresEqualTheIndependentComputation) {
  const CommandResult result = import(arguments());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_LT(largest_error(), 1e-12);
}

/// The goldens tell a wrong turn, orientation or order from the right one: their kernels and
/// features have no symmetry that could hide it.
TEST_P(KerasGolden, AWrongConventionGivesOtherScores) {
  const auto changes_scores = [&](const Arguments& wrong, const std::string& what) {
    Arguments all = wrong;
    all.emplace_back("--force");
    const CommandResult result = import(all);
    ASSERT_EQ(result.exit_code, 0) << what << "\n" << result.err;
    EXPECT_GT(largest_error(), 1e-5) << what;
  };
  ASSERT_EQ(import(arguments()).exit_code, 0);
  const core::Json used =
      core::read_json((folder_ / "w.safetensors").string() + ".json").at("keras");
  const bool turned = used["backend"] == "theano";
  changes_scores(with("--backend", turned ? "tensorflow" : "theano"), "backend");
  std::string code = used["orientation"];
  std::rotate(code.begin(), code.begin() + 1, code.end());
  changes_scores(with("--orientation", code), "orientation");
  if (used.contains("flatten")) {
    const bool first = used["flatten"] == "channels_first";
    changes_scores(with("--flatten", first ? "channels_last" : "channels_first"), "flatten");
  }
  if (used.contains("block_concat")) {
    const bool maps = used["block_concat"] == "maps-first";
    changes_scores(with("--block-concat", maps ? "input-first" : "maps-first"), "block concat");
  }
  if (used.contains("skip_concat")) {
    const bool up = used["skip_concat"] == "up-first";
    changes_scores(with("--skip-concat", up ? "skip-first" : "up-first"), "skip concat");
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, KerasGolden,
                         ::testing::Values("media2019_theano", "media2019_tensorflow",
                                           "media2019_keras22", "cnn4_theano", "gp_unet_tensorflow",
                                           "gp_unet_theano", "gp_unet_plain"),
                         [](const auto& parameter) { return std::string(parameter.param); });

class KerasImport : public ::testing::Test {
 protected:
  KerasImport() { plan_.weights = tests::plain_gp_unet(2); }
  /// Writes the plan and imports it as a gp_unet of 2 features.
  CommandResult import(const Arguments& more = {}) {
    tests::write_keras_file(folder_ / "k.h5", plan_);
    return read(more);
  }
  CommandResult read(const Arguments& more = {}) const {
    Arguments all = {"--network", "gp_unet",
                     "--set",     "network.first_features=2",
                     "--set",     "network.residual=none"};
    if (std::find(more.begin(), more.end(), "--orientation") == more.end()) {
      all.insert(all.end(), {"--orientation", "RAS"});
    }
    all.insert(all.end(), more.begin(), more.end());
    return run_epvs(import_arguments((folder_ / "k.h5").string(),
                                     (folder_ / "w.safetensors").string(), "8,8,8", all));
  }
  void expect(const CommandResult& result, int exit_code, const Arguments& texts) const {
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    for (const std::string& text : texts) {
      EXPECT_NE(result.err.find(text), std::string::npos) << "lacks '" << text << "':\n"
                                                          << result.err;
    }
    EXPECT_EQ(std::filesystem::exists(folder_ / "w.safetensors"), exit_code == 0);
  }
  KerasWeight& weight(const std::string& name) {
    return *std::find_if(plan_.weights.begin(), plan_.weights.end(),
                         [&](const KerasWeight& w) { return w.name == name; });
  }
  void erase_layer(const std::string& layer) {
    std::erase_if(plan_.weights, [&](const KerasWeight& w) { return w.layer == layer; });
  }

  KerasPlan plan_;
  TemporaryFolder folder_;
};

TEST_F(KerasImport, WritesWeightsThatSayWhereTheyComeFrom) {
  expect(import({"--target", "rater1", "--label-source", "freesurfer"}), 0, {});
  const WeightsMetadata metadata = read_weights_metadata(folder_ / "w.safetensors");
  EXPECT_EQ(metadata.preprocessing.region, "bg");
  EXPECT_EQ(metadata.preprocessing.normalisation, "max");
  EXPECT_EQ(metadata.preprocessing.label_source, "freesurfer");
  EXPECT_EQ(metadata.network.input_zyx, (std::array<std::int64_t, 3>{8, 8, 8}));
  EXPECT_EQ(metadata.target, "rater1");
  EXPECT_EQ(metadata.provenance["inputs"][0]["sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(metadata.provenance["keras"]["backend"], "tensorflow");
  EXPECT_EQ(metadata.provenance["keras"]["tensors"]["output.weight"], "dense_1/kernel:0");
  EXPECT_EQ(load_weights(folder_ / "w.safetensors").network->parameters()[0].scalar_type(),
            torch::kFloat);
  const CommandResult again = import();
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find("--force"), std::string::npos);
}

TEST_F(KerasImport, DryRunChecksAndWritesNothing) {
  const CommandResult result = import({"--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("up_conv.weight from conv3d_5/kernel:0"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "w.safetensors"));
}

TEST_F(KerasImport, ReadsModelWeightsAndNamesInParts) {
  plan_.root = "model_weights";
  plan_.parted_names = true;
  expect(import(), 0, {});
}

TEST_F(KerasImport, NamesAMissingLayer) {
  erase_layer("conv3d_3");
  expect(import(), 3, {"bottom_conv1.weight (4, 2, 3, 3, 3) is missing in the file", "gp_unet"});
}

TEST_F(KerasImport, NamesExtraLayers) {
  plan_.weights.push_back({"dense_2", "dense_2/kernel:0", {1, 7}});
  plan_.weights.push_back({"dense_2", "dense_2/bias:0", {7}});
  plan_.weights.push_back({"norm_1", "norm_1/gamma:0", {7}});
  expect(import(), 3,
         {"dense_2/kernel:0 (7, 1) is not part of the network",
          "norm_1/gamma:0 (7) is not part of the network"});
}

TEST_F(KerasImport, NamesMisshapenLayersWithBothShapes) {
  weight("conv3d_4/kernel:0").shape = {3, 3, 3, 4, 5};
  weight("conv3d_2/kernel:0").shape = {5, 5, 5, 2, 2};
  weight("conv3d_1/bias:0").shape = {3};
  expect(import(), 3,
         {"conv3d_4/kernel:0 is (5, 4, 3, 3, 3) in the file, bottom_conv2.weight is (4, 4, 3, 3, "
          "3) in the network",
          "conv3d_2/kernel:0 is (2, 2, 5, 5, 5) in the file",
          "conv3d_1/bias:0 is (3) in the file, down_conv1.bias is (2) in the network",
          "epvs inspect --network"});
}

TEST_F(KerasImport, NamesKernelsWithoutBias) {
  std::erase_if(plan_.weights, [](const KerasWeight& w) { return w.name == "dense_1/bias:0"; });
  expect(import(), 3, {"dense_1/kernel:0 has no bias, output.bias is (1)"});
}

TEST_F(KerasImport, RefusesValuesThatAreNoWeights) {
  weight("conv3d_2/kernel:0").value = std::nan("");
  expect(import(), 3, {"108 of the 108 values of conv3d_2/kernel:0 are not finite"});
  weight("conv3d_2/kernel:0") = {"conv3d_2", "conv3d_2/kernel:0", {3, 3, 3, 2, 2}, 1, true};
  expect(import(), 3, {"conv3d_2/kernel:0 is not of floating point"});
}

TEST_F(KerasImport, RefusesFilesThatAreNotKeras) {
  core::write_text(folder_ / "k.h5", "PK\x03\x04 a .keras archive");
  expect(read(), 3, {"k.h5 is no HDF5 file", ".keras file is a zip archive"});
  plan_.layer_names = false;
  expect(import(), 3, {"holds no weights of Keras", "layer_names"});
  plan_.layer_names = true;
  plan_.model_config = "{";
  expect(import(), 3, {"model_config is not JSON"});
  plan_.model_config.clear();
  tests::write_keras_file(folder_ / "k.h5", plan_);
  const std::string whole = core::read_text(folder_ / "k.h5");
  std::ofstream(folder_ / "k.h5", std::ios::binary) << whole.substr(0, whole.size() / 2);
  expect(read(), 3, {"k.h5"});
  std::filesystem::remove(folder_ / "k.h5");
  expect(read(), 3, {"k.h5"});
}

TEST_F(KerasImport, AsksForWhatTheFileDoesNotSay) {
  plan_.backend.clear();
  expect(import(), 2, {"Theano or TensorFlow", "--backend theano"});
  expect(import({"--backend", "theano"}), 0, {});
  std::filesystem::remove(folder_ / "w.safetensors");
  // media2019: 27 + 1 and 1 + 1 weights, flattened, in a file without model_config.
  plan_.weights = {{"c", "c/kernel:0", {3, 3, 3, 1, 1}},
                   {"c", "c/bias:0", {1}},
                   {"d", "d/kernel:0", {1, 1}},
                   {"d", "d/bias:0", {1}}};
  tests::write_keras_file(folder_ / "k.h5", plan_);
  const auto media = [&](const Arguments& more) {
    Arguments all = {"--network", "media2019", "--orientation", "RAS", "--backend", "theano"};
    for (const char* setting :
         {"network.first_features=1", "network.blocks=1", "network.convolutions_per_block=1",
          "network.trailing_convolution=false", "network.fully_connected="}) {
      all.insert(all.end(), {"--set", setting});
    }
    all.insert(all.end(), more.begin(), more.end());
    return run_epvs(import_arguments((folder_ / "k.h5").string(),
                                     (folder_ / "w.safetensors").string(), "8,8,8", all));
  };
  expect(media({}), 2, {"in which order its features were flattened", "--flatten channels_last"});
  expect(media({"--block-concat", "input-first"}), 2, {"--block-concat", "means nothing"});
  expect(media({"--flatten", "channels_last"}), 0, {});
}

TEST_F(KerasImport, RefusesConventionsThatMeanNothing) {
  expect(import({"--flatten", "channels_last"}), 2, {"--flatten channels_last means nothing"});
  expect(import({"--block-concat", "input-first"}), 2,
         {"--block-concat input-first means nothing"});
  expect(run_epvs(import_arguments(
             (folder_ / "k.h5").string(), (folder_ / "w.safetensors").string(), "8,8,8",
             {"--network", "cnn4", "--orientation", "RAS", "--skip-concat", "skip-first"})),
         2, {"--skip-concat skip-first means nothing"});
  for (const char* code : {"RAR", "RA", "xyz", "RASS"}) {
    expect(import({"--orientation", code}), 2, {code, "one letter each of R or L"});
  }
}

TEST_F(KerasImport, RefusesAReversedAxisThatAPoolingCuts) {
  tests::write_keras_file(folder_ / "k.h5", plan_);
  Arguments all =
      import_arguments((folder_ / "k.h5").string(), (folder_ / "w.safetensors").string(), "9,8,8",
                       {"--network", "gp_unet", "--set", "network.first_features=2", "--set",
                        "network.residual=none", "--orientation", "LAS"});
  expect(run_epvs(all), 2, {"reversed x axis", "down_pool pools 9 voxels by 2"});
  all.back() = "RPI";
  expect(run_epvs(all), 0, {});
}

TEST_F(KerasImport, OtherMistakesOfTheCommandLine) {
  tests::write_keras_file(folder_ / "k.h5", plan_);
  expect(run_epvs({"import-keras", (folder_ / "k.h5").string()}), 2, {"OUT"});
  expect(run_epvs(import_arguments((folder_ / "k.h5").string(), (folder_ / "w.pt").string(),
                                   "8,8,8", {"--network", "gp_unet", "--orientation", "RAS"})),
         2, {"does not end in .safetensors"});
}

}  // namespace
}  // namespace epvs::models
