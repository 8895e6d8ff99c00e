// Files of networks read by other programs; exports against what PyTorch computed for the same weights and input (make_network_goldens.py).
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <cmath>
#include <cstdlib>

#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "core/text.h"
#include "models/export_writers.h"
#include "models/weights.h"
#include "tests/support/test_support.h"

namespace epvs::models {
namespace {

using tests::TemporaryFolder;

constexpr const char* kNetworks[] = {"media2019", "media2019_three_blocks", "cnn4", "cnn4_max",
                                     "gp_unet",   "gp_unet_plain"};

class Export : public ::testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path weights() const {
    return tests::golden(std::string("models/") + GetParam() + ".safetensors");
  }
  core::Json golden() const {
    return core::read_json(tests::golden(std::string("models/") + GetParam() + ".json"));
  }
  TemporaryFolder folder_;
};

TEST_P(Export, TorchScriptGivesTheScoresOfPyTorch) {
  write_torchscript(weights(), folder_ / "n.pt");
  torch::jit::ExtraFilesMap extra = {{"epvs.json", ""}};
  torch::jit::Module module = torch::jit::load((folder_ / "n.pt").string(), at::kCPU, extra);
  const WeightsMetadata metadata = read_weights_metadata(weights());
  EXPECT_EQ(core::Json::parse(extra["epvs.json"]), metadata.to_json());
  const auto [z, y, x] = metadata.network.input_zyx;
  const at::Tensor i = at::arange(2 * z * y * x, at::kDouble);
  const at::Tensor volume = (at::sin(0.1 * (i + 1)) * at::cos(0.013 * i)).view({2, 1, z, y, x});
  const at::Tensor scores = module.forward({volume}).toTensor();
  for (int n = 0; n < 2; ++n) {
    EXPECT_NEAR(scores[n].item<double>(), golden()["scores"][n].get<double>(), 1e-10);
  }
  EXPECT_EQ(module.find_method("attention").has_value(),
            metadata.network.architecture == Architecture::kGpUnet);
  if (std::string(GetParam()) == "gp_unet") {
    const at::Tensor map = module.get_method("attention")({volume}).toTensor();
    EXPECT_EQ(map.sizes(), volume.sizes());
    const double bias = module.attr("output_bias").toTensor().item<double>();
    for (int n = 0; n < 2; ++n) {
      EXPECT_NEAR(metadata.network.pool_scale * map[n].mean().item<double>() + bias,
                  scores[n].item<double>(), 1e-10);
    }
  }
}

TEST_P(Export, OnnxRuntimeGivesTheScoresOfPyTorch) {
  write_onnx(weights(), folder_ / "n.onnx");
  if (std::system("node --version >/dev/null 2>&1") != 0) {
    EPVS_SKIP_WITHOUT("node", "node is not installed");
  }
  const std::filesystem::path modules = tests::source_folder() / "build" / "onnx" / "node_modules";
  if (!std::filesystem::exists(modules / "onnxruntime-web")) {
    EPVS_SKIP_WITHOUT("node",
                      "ONNX Runtime is not in build/onnx: scripts/setup --tests puts it there");
  }
  const WeightsMetadata metadata = read_weights_metadata(weights());
  const auto [z, y, x] = metadata.network.input_zyx;
  const std::string command = fmt::format(
      "node '{}' '{}' '{}' {} {} {} > '{}'",
      (tests::source_folder() / "tests" / "onnx" / "run_onnx.mjs").string(), modules.string(),
      (folder_ / "n.onnx").string(), z, y, x, (folder_ / "out.json").string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const core::Json out = core::read_json(folder_ / "out.json");
  for (std::size_t n = 0; n < 2; ++n) {
    const double expected = golden()["scores"][n].get<double>();
    EXPECT_NEAR(out["scores"][n].get<double>(), expected, 1e-5 * (1 + std::abs(expected)));
  }
  ASSERT_EQ(out.contains("attention_means"),
            metadata.network.architecture == Architecture::kGpUnet);
  if (metadata.network.architecture == Architecture::kGpUnet &&
      metadata.network.pool == GlobalPool::kAverage) {
    const double bias = load_weights(weights()).network->output_bias();
    for (std::size_t n = 0; n < 2; ++n) {
      EXPECT_NEAR(metadata.network.pool_scale * out["attention_means"][n].get<double>() + bias,
                  golden()["scores"][n].get<double>(), 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, Export, ::testing::ValuesIn(kNetworks),
                         [](const auto& parameter) { return std::string(parameter.param); });

/// The lines that `script` prints for exports of all networks, made by `write`.
std::vector<std::string> lines_for_all(
    const std::string& python, const std::filesystem::path& script, const std::string& ending,
    void (*write)(const std::filesystem::path&, const std::filesystem::path&)) {
  const TemporaryFolder folder;
  std::string command = fmt::format("{} '{}'", python, script.string());
  for (const char* name : kNetworks) {
    const std::filesystem::path out = folder / (name + ending);
    write(tests::golden(std::string("models/") + name + ".safetensors"), out);
    command += fmt::format(" '{}'", out.string());
  }
  command += fmt::format(" > '{}'", (folder / "out").string());
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::vector<std::string> lines = core::split(core::read_text(folder / "out"), '\n');
  lines.pop_back();
  return lines;
}

TEST(ExportToPython, TheOnnxCheckerAcceptsEveryNetwork) {
  const auto python = tests::python_with("onnx");
  if (!python) EPVS_SKIP_WITHOUT("onnx", "no Python has onnx (Debian: python3-onnx)");
  const auto lines = lines_for_all(*python, tests::source_folder() / "tests/onnx/check_onnx.py",
                                   ".onnx", write_onnx);
  ASSERT_EQ(lines.size(), std::size(kNetworks));
  EXPECT_EQ(lines[0], "volume[N,1,36,37,39] -> score[N]");
  EXPECT_EQ(lines[4], "volume[N,1,9,10,11] -> score[N] attention[N,1,9,10,11]");
}

TEST(ExportToPython, TheOnnxCheckerRefusesADamagedNetwork) {
  const auto python = tests::python_with("onnx");
  if (!python) EPVS_SKIP_WITHOUT("onnx", "no Python has onnx (Debian: python3-onnx)");
  const TemporaryFolder folder;
  write_onnx(tests::golden("models/gp_unet.safetensors"), folder / "n.onnx");
  std::string text = core::read_text(folder / "n.onnx");
  const std::size_t at = text.find("up_conv.weight");
  ASSERT_NE(at, std::string::npos);
  text[at] = 'X';
  core::write_text(folder / "n.onnx", text);
  EXPECT_NE(std::system(fmt::format("{} '{}' '{}' >/dev/null 2>&1", *python,
                                    (tests::source_folder() / "tests/onnx/check_onnx.py").string(),
                                    (folder / "n.onnx").string())
                            .c_str()),
            0);
}

TEST(ExportToPython, PyTorchLoadsTorchScriptAndGivesItsOwnScores) {
  const auto python = tests::python_with("torch");
  if (!python) EPVS_SKIP_WITHOUT("torch", "no Python has torch (Debian: python3-torch)");
  const auto lines =
      lines_for_all(*python, tests::golden("models/run_torchscript.py"), ".pt", write_torchscript);
  ASSERT_EQ(lines.size(), std::size(kNetworks));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const core::Json out = core::Json::parse(lines[i]);
    const std::string name = kNetworks[i];
    const core::Json golden = core::read_json(tests::golden("models/" + name + ".json"));
    EXPECT_EQ(out.contains("attention_means"), out["architecture"] == "gp_unet");
    for (std::size_t n = 0; n < 2; ++n) {
      EXPECT_NEAR(out["scores"][n].get<double>(), golden["scores"][n].get<double>(), 1e-10) << name;
    }
  }
}

TEST(Safetensors, AnIndependentReaderSeesTheSameTensors) {
  if (std::system("python3 -c '' >/dev/null 2>&1") != 0) {
    EPVS_SKIP_WITHOUT("python", "python3 not found");
  }
  const TemporaryFolder folder;
  const WeightsMetadata metadata =
      read_weights_metadata(tests::golden("models/media2019.safetensors"));
  const auto network = make_network(metadata.network, 3);
  save_weights(folder / "w.safetensors", *network, metadata);
  const std::string command =
      fmt::format("python3 '{}' '{}' > '{}'", tests::golden("models/read_safetensors.py").string(),
                  (folder / "w.safetensors").string(), (folder / "out.tsv").string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::string text = "name\tdtype\tshape\tsum\tweighted\n";
  text.append(core::read_text(folder / "out.tsv"));
  const core::Table table = core::Table::parse(text, "out");
  ASSERT_EQ(table.rows(), network->named_parameters().size());
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const at::Tensor value =
        network->named_parameters()[table.cell(row, "name")].detach().to(at::kDouble).flatten();
    const at::Tensor factor = at::arange(value.size(0), at::kDouble).fmod(97);
    EXPECT_EQ(table.cell(row, "dtype"), "F32");
    EXPECT_NEAR(table.number(row, "sum"), value.sum().item<double>(), 1e-9);
    EXPECT_NEAR(table.number(row, "weighted"), (value * factor).sum().item<double>(), 1e-7);
  }
}

}  // namespace
}  // namespace epvs::models
