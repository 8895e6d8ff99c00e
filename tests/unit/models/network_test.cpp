#include "models/network.h"

#include <ATen/record_function.h>

#include <cmath>
#include <map>

#include "core/error.h"
#include "models/layers.h"
#include "tests/support/test_support.h"

namespace epvs::models {
namespace {

using tests::expect_error;
using torch::Tensor;

NetworkOptions small(Architecture architecture, std::array<std::int64_t, 3> zyx) {
  NetworkOptions options;
  options.architecture = architecture;
  options.first_features = 4;
  options.input_zyx = zyx;
  options.init = Init::kHe;
  if (architecture == Architecture::kMedia2019) {
    options.convolutions_per_block = 2;
    options.fully_connected = {12, 7};
  }
  return options;
}

Tensor noise(const std::vector<std::int64_t>& shape, std::uint64_t seed,
             torch::ScalarType type = torch::kFloat) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return torch::empty(shape, torch::kDouble).normal_(0.0, 1.0, generator).to(type);
}

Tensor input_of(const NetworkOptions& options, std::int64_t n, std::uint64_t seed) {
  return noise({n, 1, options.input_zyx[0], options.input_zyx[1], options.input_zyx[2]}, seed);
}

std::vector<NetworkOptions> variants() {
  std::vector<NetworkOptions> all;
  all.push_back(small(Architecture::kMedia2019, {36, 37, 39}));
  all.push_back(small(Architecture::kMedia2019, {30, 33, 31}));
  all.back().padding = Padding::kSame;
  all.push_back(small(Architecture::kMedia2019, {37, 35, 39}));
  all.back().pool_rounding = PoolRounding::kCeil;
  all.push_back(small(Architecture::kMedia2019, {37, 35, 39}));
  all.back().trailing_convolution = false;
  all.push_back(small(Architecture::kMedia2019, {37, 35, 39}));
  all.back().blocks = 1;
  all.back().fully_connected.clear();
  for (const auto architecture : {Architecture::kCnn4, Architecture::kGpUnet}) {
    for (const auto residual : {Residual::kConcat, Residual::kNone}) {
      for (const auto pool : {GlobalPool::kAverage, GlobalPool::kMaximum}) {
        all.push_back(small(architecture, {9, 10, 11}));
        all.back().residual = residual;
        all.back().pool = pool;
        all.back().pool_scale = 2.5;
      }
    }
  }
  return all;
}

TEST(LayerTable, EqualsTheParametersOfTheTorchModule) {
  for (const NetworkOptions& options : variants()) {
    SCOPED_TRACE(options.to_json().dump());
    const auto network = make_network(options, 1);
    std::map<std::string, std::int64_t> of_module;
    for (const auto& item : network->named_parameters()) {
      of_module[item.key().substr(0, item.key().find('.'))] += item.value().numel();
    }
    const std::vector<Layer> rows = layers_of(options);
    std::int64_t sum = 0;
    for (const Layer& row : rows) {
      if (row.parameters == 0) continue;
      EXPECT_EQ(row.parameters, of_module[row.name]) << row.name;
      of_module.erase(row.name);
      sum += row.parameters;
    }
    EXPECT_TRUE(of_module.empty()) << "the table lacks " << of_module.begin()->first;
    EXPECT_EQ(total_parameters(rows), sum);
  }
}

/// Shapes of what conv3d, max_pool3d and linear really return in one forward pass, in order.
std::vector<std::vector<std::int64_t>> real_shapes(Network& network, const Tensor& x) {
  static std::vector<std::vector<std::int64_t>> shapes;
  shapes.clear();
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(
          [](const at::RecordFunction&) -> std::unique_ptr<at::ObserverContext> { return nullptr; },
          [](const at::RecordFunction& function, at::ObserverContext*) {
            const std::string name = function.name();
            if (name == "aten::conv3d" || name == "aten::max_pool3d" || name == "aten::linear") {
              shapes.push_back(function.outputs().at(0).toTensor().sizes().vec());
            }
          })
          .needsOutputs(true)
          .scopes({at::RecordScope::FUNCTION}));
  network.forward(x);
  at::removeCallback(handle);
  return shapes;
}

TEST(LayerTable, EqualsTheShapesOfTheTorchModule) {
  for (const NetworkOptions& options : variants()) {
    SCOPED_TRACE(options.to_json().dump());
    const auto network = make_network(options, 1);
    network->set_layout(Network::Layout::kPlain);
    std::vector<std::vector<std::int64_t>> expected;
    const std::vector<Layer> rows = layers_of(options);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const LayerShape& out = rows[i].output;
      if (i > 0) {
        EXPECT_EQ(rows[i].input, rows[i - 1].output);
      }
      if (rows[i].kind == LayerKind::kDense) {
        expected.push_back({2, out.channels});
      } else if (rows[i].kind == LayerKind::kConvolution || rows[i].kind == LayerKind::kMaxPool) {
        expected.push_back({2, out.channels, out.zyx[0], out.zyx[1], out.zyx[2]});
      }
    }
    EXPECT_EQ(real_shapes(*network, input_of(options, 2, 3)), expected);
  }
}

TEST(LayerTable, PublishedNetworksHaveTheirParameterCounts) {
  NetworkOptions options;
  options.architecture = Architecture::kMedia2019;
  std::vector<Layer> rows = layers_of(options);
  EXPECT_EQ(total_parameters(rows), 41'562'577);
  std::int64_t in_convolutions = 0;
  for (const Layer& row : rows) {
    if (row.kind == LayerKind::kConvolution) in_convolutions += row.parameters;
    if (row.name == "flatten") {
      EXPECT_EQ(row.input, (LayerShape{128, {3, 6, 8}}));
    }
  }
  EXPECT_EQ(in_convolutions, 692'576);
  // 183 GMAC, two operations each
  EXPECT_NEAR(static_cast<double>(total_flops(rows)) / 2e9, 183.0, 0.5);

  options.blocks = 1;
  EXPECT_EQ(total_parameters(layers_of(options)), 310'577'297);

  options = NetworkOptions();
  EXPECT_EQ(total_parameters(layers_of(options)), 308'705);
  options.residual = Residual::kNone;
  EXPECT_EQ(total_parameters(layers_of(options)), 277'601);
  // P2 gives its CNN no residual connections, so that they must be asked for.
  options = NetworkOptions();
  options.architecture = Architecture::kCnn4;
  EXPECT_EQ(total_parameters(layers_of(options)), 194'657);
  EXPECT_EQ(options.to_json()["residual"], "none");
  options.residual = Residual::kConcat;
  EXPECT_EQ(total_parameters(layers_of(options)), 196'418);
}

TEST(LayerTable, ThreeBlocksNeedCeilOrNoTrailingConvolution) {
  NetworkOptions options;
  options.architecture = Architecture::kMedia2019;
  options.first_features = 16;
  options.blocks = 3;
  expect_error<core::UsageError>([&] { layers_of(options); },
                                 {"trailing_pool", "128x1x7x12", "ceil"});
  expect_error<core::UsageError>([&] { make_network(options, 1); }, {"trailing_pool"});
  const auto flat = [&] {
    for (const Layer& row : layers_of(options)) {
      if (row.kind == LayerKind::kFlatten) return row.input.zyx;
    }
    return std::array<std::int64_t, 3>{};
  };
  options.pool_rounding = PoolRounding::kCeil;
  EXPECT_EQ(flat(), (std::array<std::int64_t, 3>{1, 2, 3}));
  options.pool_rounding = PoolRounding::kFloor;
  options.trailing_convolution = false;
  EXPECT_EQ(flat(), (std::array<std::int64_t, 3>{1, 4, 7}));
}

TEST(NetworkOptionsTest, JsonRoundTripKeepsEveryField) {
  for (NetworkOptions options : variants()) {
    options.init = Init::kGlorot;
    options.bias_init = 7.25;
    const NetworkOptions back = NetworkOptions::from_json(options.to_json());
    EXPECT_EQ(back.to_json(), options.to_json());
    EXPECT_EQ(layers_as_json(back, layers_of(back)), layers_as_json(options, layers_of(options)));
  }
}

TEST(NetworkOptionsTest, RefusesWhatItCannotMean) {
  const auto refuses = [](const auto& change, const std::vector<std::string>& texts) {
    NetworkOptions options;
    change(options);
    expect_error<core::UsageError>([&] { options.validate(); }, texts);
  };
  refuses([](auto& o) { o.first_features = 0; }, {"network.first_features", "0"});
  refuses([](auto& o) { o.blocks = 3; }, {"network.blocks", "3", "gp_unet"});
  refuses([](auto& o) { o.padding = Padding::kSame; }, {"network.padding", "same", "gp_unet"});
  refuses([](auto& o) { o.pool_scale = 0; }, {"network.pool_scale"});
  refuses([](auto& o) { o.input_zyx = {0, 4, 4}; }, {"0x4x4"});
  refuses(
      [](auto& o) {
        o.architecture = Architecture::kMedia2019;
        o.pool = GlobalPool::kMaximum;
      },
      {"network.pool", "max", "media2019"});
  core::Json document = NetworkOptions().to_json();
  document["architecture"] = "resnet";
  expect_error<core::UsageError>([&] { NetworkOptions::from_json(document); },
                                 {"network.architecture", "resnet"});
  document["architecture"] = "gp_unet";
  document["poool"] = "avg";
  expect_error<core::UsageError>([&] { NetworkOptions::from_json(document); }, {"poool", "pool"});
  document.erase("poool");
  document.erase("input_zyx");
  expect_error<core::InputError>([&] { NetworkOptions::from_json(document); }, {"input_zyx"});
}

TEST(MakeNetwork, SeedDecidesTheWeightsAndTorchStaysUntouched) {
  const NetworkOptions options = small(Architecture::kGpUnet, {8, 8, 8});
  torch::manual_seed(5);
  const Tensor before = torch::rand({4});
  torch::manual_seed(5);
  const auto a = make_network(options, 1);
  EXPECT_TRUE(torch::equal(torch::rand({4}), before));
  torch::manual_seed(77);
  const auto b = make_network(options, 1);
  const auto c = make_network(options, 2);
  bool all_equal = true;
  for (const auto& item : a->named_parameters()) {
    EXPECT_TRUE(torch::equal(item.value(), b->named_parameters()[item.key()])) << item.key();
    all_equal = all_equal && torch::equal(item.value(), c->named_parameters()[item.key()]);
  }
  EXPECT_FALSE(all_equal);
}

TEST(MakeNetwork, InitialisersHaveTheirMomentsAndBiasesStartAsAsked) {
  NetworkOptions options;
  options.input_zyx = {8, 8, 8};
  options.bias_init = 6.5;
  const double fan_in = 64 * 27;
  const double fan_out = 64 * 27;
  const std::vector<std::pair<Init, double>> expected = {
      {Init::kNormal, 0.05},
      {Init::kHe, std::sqrt(2.0 / fan_in)},
      {Init::kGlorot, std::sqrt(6.0 / (fan_in + fan_out)) / std::sqrt(3.0)}};
  for (const auto& [init, sd] : expected) {
    options.init = init;
    const auto network = make_network(options, 3);
    const Tensor w = network->named_parameters()["bottom_conv2.weight"];  // 64 x 64 x 27
    EXPECT_NEAR(w.std().item<double>() / sd, 1.0, 0.02) << core::to_text(init);
    EXPECT_NEAR(w.mean().item<double>() / sd, 0.0, 0.02) << core::to_text(init);
    if (init == Init::kGlorot) {
      EXPECT_LE(w.abs().max().item<double>(), sd * std::sqrt(3.0));
    }
    EXPECT_EQ(network->output_bias(), 6.5);
    EXPECT_EQ(network->named_parameters()["up_conv.bias"].abs().max().item<double>(), 0.0);
  }
}

class AttentionIdentity : public ::testing::TestWithParam<torch::ScalarType> {};

TEST_P(AttentionIdentity, ScaleTimesMeanPlusBiasIsTheScore) {
  const double tolerance = GetParam() == torch::kDouble ? 1e-10 : 1e-5;
  for (const auto residual : {Residual::kConcat, Residual::kNone}) {
    NetworkOptions options = small(Architecture::kGpUnet, {11, 14, 9});
    options.first_features = 16;
    options.residual = residual;
    options.pool_scale = 1.386;
    options.bias_init = 4.2;
    const auto network = make_network(options, 4);
    network->to(GetParam());
    const Tensor x = input_of(options, 2, 5).to(GetParam());
    torch::NoGradGuard no_grad;
    const Tensor score = network->forward(x);
    const Tensor map = network->attention(x);
    ASSERT_EQ(map.sizes(), x.sizes());
    const Network::ScoresAndAttention both = network->forward_with_attention(x);
    EXPECT_TRUE(torch::equal(both.scores, score));
    EXPECT_TRUE(torch::equal(both.attention, map));
    const Tensor again = 1.386 * map.to(torch::kDouble).mean({1, 2, 3, 4}) + network->output_bias();
    for (int n = 0; n < 2; ++n) {
      const double s = score[n].item<double>();
      EXPECT_NEAR(again[n].item<double>(), s, tolerance * std::abs(s)) << core::to_text(residual);
      EXPECT_GT(std::abs(s - network->output_bias()), 1e-3);  // the maps take part
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Types, AttentionIdentity,
                         ::testing::Values(torch::kFloat, torch::kDouble));

TEST(Attention, IdentityDoesNotHoldForMaxPooling) {
  NetworkOptions options = small(Architecture::kGpUnet, {8, 8, 8});
  options.pool = GlobalPool::kMaximum;
  const auto network = make_network(options, 4);
  const Tensor x = input_of(options, 1, 5);
  const double score = network->forward(x).item<double>();
  const double again = network->attention(x).mean().item<double>() + network->output_bias();
  EXPECT_GT(std::abs(score - again), 0.01 * std::abs(score));
}

TEST(Attention, NetworksWithoutMapsSaySo) {
  const NetworkOptions options = small(Architecture::kCnn4, {8, 8, 8});
  const auto network = make_network(options, 4);
  EXPECT_FALSE(network->has_attention());
  expect_error<core::UsageError>([&] { network->attention(input_of(options, 1, 1)); },
                                 {"cnn4", "saliency"});
}

TEST(UpsampleTest, DoublesAndPadsToTheSkip) {
  const Tensor small_map = torch::arange(8, torch::kFloat).view({1, 1, 2, 2, 2});
  const Tensor even = upsample(small_map, {0, 0, 0});
  for (int z = 0; z < 4; ++z) {
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 4; ++x) {
        EXPECT_EQ(even[0][0][z][y][x].item<float>(),
                  static_cast<float>((z / 2) * 4 + (y / 2) * 2 + x / 2));
      }
    }
  }
  const Tensor odd = upsample(small_map, {1, 0, 1});
  EXPECT_EQ(odd.sizes(), torch::IntArrayRef({1, 1, 5, 4, 5}));
  using torch::indexing::Slice;
  EXPECT_TRUE(torch::equal(odd.index({Slice(), Slice(), Slice(0, 4), Slice(), Slice(0, 4)}), even));
  EXPECT_EQ(odd.index({0, 0, 4}).abs().max().item<float>(), 0.0F);
  EXPECT_EQ(odd.index({0, 0, Slice(), Slice(), 4}).abs().max().item<float>(), 0.0F);
}

}  // namespace
}  // namespace epvs::models
