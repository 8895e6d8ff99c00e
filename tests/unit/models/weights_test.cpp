#include "models/weights.h"

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "core/error.h"
#include "core/files.h"
#include "models/safetensors.h"
#include "tests/support/devices.h"
#include "tests/support/test_support.h"

namespace epvs::models {
namespace {

using tests::expect_error;
using tests::TemporaryFolder;
using torch::Tensor;

WeightsMetadata some_metadata() {
  WeightsMetadata metadata;
  metadata.network.first_features = 4;
  metadata.network.input_zyx = {6, 7, 8};
  metadata.network.pool_scale = 0.336;
  metadata.preprocessing.region = "hippocampi";
  metadata.preprocessing.crop_voxels = {8, 7, 6};
  metadata.target = "rater2";
  metadata.provenance = {{"epoch", 12}};
  return metadata;
}

TEST(Weights, RoundTripIsExactAndRebuildsTheNetwork) {
  const TemporaryFolder folder;
  const WeightsMetadata metadata = some_metadata();
  for (const torch::ScalarType type : {torch::kFloat, torch::kDouble}) {
    const auto network = make_network(metadata.network, 3);
    network->to(type);
    save_weights(folder / "w.safetensors", *network, metadata);
    const LoadedNetwork loaded = load_weights(folder / "w.safetensors");
    EXPECT_EQ(loaded.metadata.to_json(), metadata.to_json());
    EXPECT_EQ(read_weights_metadata(folder / "w.safetensors").to_json(), metadata.to_json());
    for (const auto& item : network->named_parameters()) {
      EXPECT_TRUE(torch::equal(item.value(), loaded.network->named_parameters()[item.key()]));
    }
    const auto other = make_network(metadata.network, 4);
    other->to(type);
    const Tensor x = torch::ones({1, 1, 6, 7, 8}, type);
    EXPECT_NE(other->forward(x).item<double>(), network->forward(x).item<double>());
    load_weights_into(folder / "w.safetensors", *other);
    EXPECT_EQ(other->forward(x).item<double>(), network->forward(x).item<double>());
  }
}

class Parity : public ::testing::TestWithParam<std::tuple<const char*, c10::DeviceType>> {};

/// Weights, scores and gradients that PyTorch computed
/// (tests/golden/models/make_network_goldens.py).
TEST_P(Parity, ScoresAndGradientsEqualPyTorch) {
  const auto [network, device] = GetParam();
  EPVS_REQUIRE_DEVICE(device);
  const std::string name = std::string("models/") + network;
  const core::Json golden = core::read_json(tests::golden(name + ".json"));
  const LoadedNetwork loaded = load_weights(tests::golden(name + ".safetensors"));
  loaded.network->to(device);
  const auto [z, y, x] = loaded.metadata.network.input_zyx;
  const Tensor i = torch::arange(2 * z * y * x, torch::kDouble);
  Tensor input =
      (torch::sin(0.1 * (i + 1)) * torch::cos(0.013 * i)).view({2, 1, z, y, x}).to(device);
  input.requires_grad_(true);
  const Tensor scores = loaded.network->forward(input);
  for (int n = 0; n < 2; ++n) {
    EXPECT_NEAR(scores[n].item<double>(), golden["scores"][n].get<double>(), 1e-10);
  }
  scores.sum().backward();
  const auto near = [](double value, const core::Json& expected, const std::string& what) {
    EXPECT_NEAR(value, expected.get<double>(), 1e-10 * (1 + std::abs(expected.get<double>())))
        << what;
  };
  ASSERT_EQ(golden["gradient_norms"].size(), loaded.network->named_parameters().size());
  for (const auto& item : loaded.network->named_parameters()) {
    near(item.value().grad().norm().item<double>(), golden["gradient_norms"].at(item.key()),
         item.key());
  }
  const Tensor last = loaded.network->named_parameters()["output.weight"].grad().flatten();
  for (std::size_t k = 0; k < golden["output_weight_gradient"].size(); ++k) {
    near(last[static_cast<std::int64_t>(k)].item<double>(), golden["output_weight_gradient"][k],
         "output.weight");
  }
  near(input.grad().norm().item<double>(), golden["input_gradient_norm"], "input");
  for (const auto& [index, value] : golden["input_gradient_samples"].items()) {
    near(input.grad().flatten()[std::stoll(index)].item<double>(), value, "input " + index);
  }
}
INSTANTIATE_TEST_SUITE_P(Networks, Parity,
                         ::testing::Combine(::testing::Values("media2019", "media2019_three_blocks",
                                                              "cnn4", "cnn4_max", "gp_unet",
                                                              "gp_unet_plain"),
                                            tests::kDevices),
                         [](const auto& one) {
                           return fmt::format("{}_{}", std::get<0>(one.param),
                                              tests::name_of(std::get<1>(one.param)));
                         });

/// A valid file whose header went through `change`.
void rewrite_header(const std::filesystem::path& path,
                    const std::function<void(core::Json&)>& change) {
  const std::string text = core::read_text(path);
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), sizeof length);
  core::Json header = core::Json::parse(text.substr(8, length));
  const std::string data = text.substr(8 + length);
  change(header);
  std::string changed = header.dump();
  changed.append((8 - changed.size() % 8) % 8, ' ');
  length = changed.size();
  const std::string prefix(reinterpret_cast<const char*>(&length), sizeof length);
  core::write_text(path, prefix + changed + data);
}

class BadWeights : public ::testing::Test {
 protected:
  BadWeights() : path_(folder_ / "w.safetensors") {
    save_weights(path_, *make_network(some_metadata().network, 3), some_metadata());
  }
  void expect(const std::vector<std::string>& texts) {
    expect_error<core::InputError>([&] { load_weights(path_); }, texts);
  }
  void rename_tensor(const std::string& from, const std::string& to) {
    rewrite_header(path_, [&](core::Json& header) {
      header[to] = header.at(from);
      header.erase(from);
    });
  }
  void change_metadata(const std::function<void(core::Json&)>& change) {
    rewrite_header(path_, [&](core::Json& header) {
      core::Json epvs = core::Json::parse(header["__metadata__"]["epvs"].get<std::string>());
      change(epvs);
      header["__metadata__"]["epvs"] = epvs.dump();
    });
  }

  TemporaryFolder folder_;
  std::filesystem::path path_;
};

TEST_F(BadWeights, TheUnchangedFileLoads) {
  change_metadata([](core::Json&) {});
  EXPECT_NO_THROW(load_weights(path_));
}

TEST_F(BadWeights, NamesMissingAndExtraTensors) {
  rename_tensor("up_conv.bias", "up_conv.bais");
  expect({"up_conv.bias (4) is missing", "up_conv.bais (4) is not part of the network",
          path_.string()});
}

TEST_F(BadWeights, NamesEveryMisshapenTensorWithBothShapes) {
  change_metadata([](core::Json& epvs) { epvs["network"]["residual"] = "none"; });
  expect({"bottom_conv1.weight is (8, 5, 3, 3, 3) in the file, (8, 4, 3, 3, 3) in the network",
          "up_conv.weight is (4, 18, 3, 3, 3) in the file, (4, 12, 3, 3, 3) in the network"});
}

TEST_F(BadWeights, RefusesAnotherDtype) {
  rewrite_header(path_, [](core::Json& header) { header["up_conv.bias"]["dtype"] = "I32"; });
  expect({"up_conv.bias is of type I32 in the file, F32 in the network"});
  rewrite_header(path_, [](core::Json& header) { header["up_conv.bias"]["dtype"] = "X99"; });
  expect({"X99"});
}

TEST_F(BadWeights, RefusesFilesThatAreCutShortAnywhere) {
  const std::string text = core::read_text(path_);
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{5}, std::size_t{100}, text.size() / 2, text.size() - 1}) {
    std::ofstream(path_, std::ios::binary) << text.substr(0, bytes);
    expect({path_.string()});
  }
  expect({"cut short", std::to_string(text.size()), std::to_string(text.size() - 1)});
  std::ofstream(path_, std::ios::binary) << text << "more";
  expect({"too long"});
}

TEST_F(BadWeights, RefusesWhatIsNoSafetensorsFile) {
  core::write_text(path_, "PK\x03\x04 this is a zip of torch::save, perhaps");
  expect({"not a safetensors file"});
  expect_error<core::InputError>([&] { load_weights(folder_ / "absent"); }, {"absent"});
  expect_error<core::InputError>([&] { load_weights(folder_.path()); }, {"folder"});
  expect_error<core::InputError>([&] { core::find_weights(folder_.path() / ".."); },
                                 {"holds no weights.safetensors"});
  std::filesystem::rename(path_, folder_ / "weights.safetensors");
  EXPECT_EQ(core::find_weights(folder_.path()), folder_ / "weights.safetensors");
}

TEST_F(BadWeights, RefusesBrokenHeaders) {
  rewrite_header(path_, [](core::Json& h) { h["up_conv.bias"]["data_offsets"] = {0, 8}; });
  expect({"up_conv.bias", "16 bytes", "0..8"});
  save_weights(path_, *make_network(some_metadata().network, 3), some_metadata());
  rewrite_header(path_, [](core::Json& h) { h.erase("up_conv.bias"); });
  expect({"starts at byte"});
  save_weights(path_, *make_network(some_metadata().network, 3), some_metadata());
  rewrite_header(path_, [](core::Json& h) { h["up_conv.bias"].erase("dtype"); });
  expect({"lacks dtype, shape or data_offsets"});
  save_weights(path_, *make_network(some_metadata().network, 3), some_metadata());
  rewrite_header(path_, [](core::Json& h) { h["up_conv.bias"]["shape"] = {-4}; });
  expect({"bad shape"});
}

TEST_F(BadWeights, RefusesOtherMetadata) {
  change_metadata([](core::Json& epvs) { epvs["format_version"] = 2; });
  expect({"format version 2", "up to 1", "newer epvs"});
  change_metadata([](core::Json& epvs) {
    epvs["format_version"] = 1;
    epvs["network"]["architecture"] = "resnet";
  });
  expect({"resnet", "network.architecture"});
  change_metadata([](core::Json& epvs) { epvs.erase("network"); });
  expect({"lacks 'network'"});
  change_metadata([](core::Json& epvs) { epvs.erase("format_version"); });
  expect({"no format_version"});
  rewrite_header(path_, [](core::Json& h) { h["__metadata__"]["epvs"] = "{"; });
  expect({"no JSON object"});
  rewrite_header(path_, [](core::Json& h) { h["__metadata__"]["epvs"] = 5; });
  expect({"not a text"});
  rewrite_header(path_, [](core::Json& h) { h.erase("__metadata__"); });
  expect({"no description of an epvs network"});
}

TEST_F(BadWeights, LoadingIntoAnotherArchitectureNamesBothAndChangesNothing) {
  NetworkOptions options;
  options.architecture = Architecture::kCnn4;
  options.first_features = 4;
  options.input_zyx = {6, 7, 8};
  const auto network = make_network(options, 9);
  const Tensor before = network->named_parameters()["conv1.weight"].detach().clone();
  expect_error<core::InputError>([&] { load_weights_into(path_, *network); }, {"gp_unet", "cnn4"});
  options.architecture = Architecture::kGpUnet;
  options.first_features = 6;
  const auto wider = make_network(options, 9);
  const Tensor wide = wider->named_parameters()["output.weight"].detach().clone();
  expect_error<core::InputError>([&] { load_weights_into(path_, *wider); },
                                 {"output.weight is (1, 4) in the file, (1, 6) in the network"});
  EXPECT_TRUE(torch::equal(network->named_parameters()["conv1.weight"], before));
  EXPECT_TRUE(torch::equal(wider->named_parameters()["output.weight"], wide));
}

TEST(WeightsSave, RefusesTypesThatAreNotStored) {
  const TemporaryFolder folder;
  const auto network = make_network(some_metadata().network, 3);
  network->to(torch::kHalf);
  expect_error<core::UsageError>(
      [&] { save_weights(folder / "w.safetensors", *network, some_metadata()); },
      {"Half", "float32"});
  EXPECT_FALSE(std::filesystem::exists(folder / "w.safetensors"));
}

}  // namespace
}  // namespace epvs::models
