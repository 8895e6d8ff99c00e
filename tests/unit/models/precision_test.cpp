// Mixed precision and oneDNN's layout against the plain pass.
#include "models/precision.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <map>
#include <ostream>

#include "core/error.h"
#include "models/network.h"
#include "models/torch_setup.h"
#include "tests/support/devices.h"
#include "tests/support/test_support.h"

namespace epvs::models {
namespace {

using tests::expect_error;
using torch::Tensor;

struct Case {
  std::string name;
  NetworkOptions options;
};
/// The name of a test in ctest's lists.
std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << one.name;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const std::string& name, Architecture architecture) {
    NetworkOptions options;
    options.architecture = architecture;
    options.first_features = 4;
    options.init = Init::kHe;
    options.input_zyx = {9, 10, 11};
    if (architecture == Architecture::kMedia2019) {
      options.input_zyx = {22, 23, 24};
      options.convolutions_per_block = 3;
      options.blocks = 1;
      options.fully_connected = {12, 7};
    }
    all.push_back({name, options});
    return &all.back().options;
  };
  add("media2019", Architecture::kMedia2019);
  add("media2019_four", Architecture::kMedia2019)->convolutions_per_block = 4;
  add("media2019_no_trailing", Architecture::kMedia2019)->trailing_convolution = false;
  add("cnn4", Architecture::kCnn4);
  add("cnn4_plain_max", Architecture::kCnn4)->residual = Residual::kNone;
  all.back().options.pool = GlobalPool::kMaximum;
  add("gp_unet", Architecture::kGpUnet)->pool_scale = 3.0;
  add("gp_unet_plain", Architecture::kGpUnet)->residual = Residual::kNone;
  return all;
}

Tensor input_of(const NetworkOptions& options, std::int64_t n, torch::ScalarType type) {
  at::Generator generator = at::detail::createCPUGenerator(11);
  const auto [z, y, x] = options.input_zyx;
  return torch::empty({n, 1, z, y, x}, torch::kDouble).uniform_(0.0, 1.0, generator).to(type);
}

/// Scores, and the gradients of their sum of squares by name; "input" is that of the input.
std::map<std::string, Tensor> pass(Network& network, Tensor x, Precision precision) {
  x = x.detach().clone().requires_grad_(true);
  network.zero_grad();
  std::map<std::string, Tensor> found;
  Tensor scores;
  {
    const Autocast autocast(precision, x.device());
    scores = network.forward(x);
  }
  scores.square().sum().backward();
  found["scores"] = scores.detach();
  found["input"] = x.grad();
  for (const auto& item : network.named_parameters())
    found[item.key()] = item.value().grad().clone();
  return found;
}

double cosine(const Tensor& a, const Tensor& b) {
  const Tensor x = a.flatten().to(torch::kDouble);
  const Tensor y = b.flatten().to(torch::kDouble);
  return (x.dot(y) / (x.norm() * y.norm())).item<double>();
}

class EveryNetwork : public ::testing::TestWithParam<Case> {};

double relative(const Tensor& a, const Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

TEST_P(EveryNetwork, BlockedMapsGiveThePlainScoresAndGradients) {
  // Sizes with and without a voxel that pooling drops, in every combination of the axes.
  for (int odd = 0; odd < 8; ++odd) {
    NetworkOptions options = GetParam().options;
    for (int axis = 0; axis < 3; ++axis) options.input_zyx[axis] += odd >> axis & 1;
    const auto network = make_network(options, 5);
    at::Generator generator = at::detail::createCPUGenerator(3);
    for (const auto& item : network->named_parameters()) {  // biases that are not zero
      const torch::NoGradGuard no_grad;
      if (item.value().dim() == 1) item.value().uniform_(-0.1, 0.1, generator);
    }
    // In float32 the plain pass itself is up to 3e-5 off (the bias of up_conv).
    const Tensor x = input_of(options, 2, torch::kFloat);
    const auto blocked = pass(*network, x, Precision::kFloat32);
    network->to(torch::kDouble);
    const auto plain = pass(*network, x.to(torch::kDouble), Precision::kFloat32);
    for (const auto& [name, expected] : plain) {
      EXPECT_LT(relative(blocked.at(name), expected), 1e-5) << name << " of " << odd;
      EXPECT_GT(expected.abs().max().item<double>(), 0) << name << " has nothing to compare";
    }
  }
}

TEST_P(EveryNetwork, BlockedMapsAreTakenAndLeftAsTheyShould) {
  const auto network = make_network(GetParam().options, 5);
  const auto converts = [&](torch::ScalarType type) {
    static int calls = 0;
    calls = 0;
    const auto handle = at::addGlobalCallback(at::RecordFunctionCallback(
        [](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
          if (std::string(function.name()) == "aten::to_mkldnn") ++calls;
          return nullptr;
        }));
    network->to(type);
    network->forward(input_of(GetParam().options, 1, type));
    at::removeCallback(handle);
    return calls > 0;
  };
  EXPECT_TRUE(converts(torch::kFloat));
  EXPECT_FALSE(converts(torch::kDouble));
}

TEST_P(EveryNetwork, FrozenLayersStayWithoutGradient) {
  const auto network = make_network(GetParam().options, 5);
  Tensor frozen = network->parameters().front();
  frozen.requires_grad_(false);
  network->forward(input_of(GetParam().options, 1, torch::kFloat)).sum().backward();
  EXPECT_FALSE(frozen.grad().defined());
  EXPECT_TRUE(network->parameters().back().grad().defined());
  EXPECT_TRUE(network->parameters()[2].grad().defined());
}

TEST_P(EveryNetwork, Bf16IsNearFloat32) {
  // Each convolution rounds its input, its weights and its result to 8 bits, 2^-8 of a value at
  // most. A gradient goes another way where ReLU or max-pooling decides between values nearer than
  // that: a few of every hundred voxels in a network that is not trained.
  for (const auto layout : {Network::Layout::kBlocked, Network::Layout::kPlain}) {
    const auto network = make_network(GetParam().options, 5);
    network->set_layout(layout);
    const Tensor x = input_of(GetParam().options, 2, torch::kFloat);
    const auto exact = pass(*network, x, Precision::kFloat32);
    const auto rough = pass(*network, x, Precision::kBf16);
    const Tensor difference = (exact.at("scores") - rough.at("scores")).abs();
    const double scale = exact.at("scores").abs().max().item<double>();
    const double convolutions = static_cast<double>(network->parameters().size()) / 2;
    EXPECT_LT(difference.max().item<double>(), 3 * convolutions / 256 * scale);
    EXPECT_FALSE(torch::equal(exact.at("scores"), rough.at("scores"))) << "bf16 was not used";
    for (const auto& [name, gradient] : exact) {
      EXPECT_EQ(rough.at(name).scalar_type(), torch::kFloat) << name;
      EXPECT_GT(cosine(gradient, rough.at(name)), 0.95) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetwork, ::testing::ValuesIn(cases()),
                         [](const auto& one) { return one.param.name; });

TEST(PrecisionTest, AttentionIdentityHoldsInBf16) {
  NetworkOptions options;
  options.first_features = 4;
  options.init = Init::kHe;
  options.pool_scale = 3.0;
  options.bias_init = 1.5;
  options.input_zyx = {9, 10, 11};
  const auto network = make_network(options, 5);
  const torch::NoGradGuard no_grad;
  const Autocast autocast(Precision::kBf16, torch::kCPU);
  const auto both = network->forward_with_attention(input_of(options, 1, torch::kFloat));
  const double mean = both.attention.mean().item<double>();
  EXPECT_NEAR(3.0 * mean + network->output_bias(), both.scores.item<double>(), 1e-5);
}

TEST(PrecisionTest, AutocastIsAsBeforeAfterwards) {
  const auto is_on = [] { return Autocast::is_on(c10::kCPU); };
  EXPECT_FALSE(is_on());
  {
    const Autocast autocast(Precision::kBf16, torch::kCPU);
    EXPECT_TRUE(is_on());
    {
      const Autocast inner(Precision::kFloat32, torch::kCPU);
      EXPECT_FALSE(is_on());
    }
    EXPECT_TRUE(is_on());
    const Tensor a = torch::ones({2, 2});
    EXPECT_EQ(torch::mm(a, a).scalar_type(), torch::kBFloat16);
    const Float32 exactly;
    EXPECT_EQ(torch::mm(a, a).scalar_type(), torch::kFloat);
  }
  EXPECT_FALSE(is_on());
}

TEST(PrecisionTest, OfFloat32IsEveryDevice) {
  EXPECT_NO_THROW(require_precision(Precision::kFloat32, torch::kCPU));
}

TEST(PrecisionTest, Tf32IsOfGpusAndOnlyWhereAskedFor) {
  expect_error<core::UsageError>([] { require_precision(Precision::kTf32, torch::kCPU); },
                                 {"tf32", "cpu has no TF32", "float32"});
  EXPECT_NO_THROW(require_precision(Precision::kTf32, torch::kCUDA));
  const at::Context& context = at::globalContext();
  for (const auto precision : {Precision::kTf32, Precision::kFloat32, Precision::kTf32}) {
    // Beyond its life: the backward pass computes in it too.
    static_cast<void>(Autocast(precision, torch::kCPU));
    EXPECT_EQ(context.allowTF32CuDNN(), precision == Precision::kTf32);
    EXPECT_EQ(context.allowTF32CuBLAS(), precision == Precision::kTf32);
  }
  set_up_torch({at::get_num_threads(), false, false});
  EXPECT_FALSE(context.allowTF32CuDNN());
  EXPECT_FALSE(context.allowTF32CuBLAS());
}

TEST_P(EveryNetwork, ChannelsLastGiveThePlainScoresAndGradients) {
  const auto network = make_network(GetParam().options, 5);
  network->to(torch::kDouble);
  const Tensor x = input_of(GetParam().options, 2, torch::kDouble);
  const auto plain = pass(*network, x, Precision::kFloat32);
  network->set_layout(Network::Layout::kChannelsLast);
  const auto last = pass(*network, x, Precision::kFloat32);
  for (const auto& [name, expected] : plain) {
    EXPECT_LT(relative(last.at(name), expected), 1e-12) << name;
  }
}

class EveryNetworkOnTheGpu : public EveryNetwork {
 protected:
  void SetUp() override { EPVS_REQUIRE_DEVICE(c10::kCUDA); }
};

TEST_P(EveryNetworkOnTheGpu, PrecisionsAreNearFloat64) {
  const auto network = make_network(GetParam().options, 5);
  network->to(torch::kDouble);
  const Tensor x = input_of(GetParam().options, 2, torch::kFloat);
  const auto exact = pass(*network, x.to(torch::kDouble), Precision::kFloat32);
  network->to(torch::kCUDA, torch::kFloat);
  for (const auto& [precision, least_cosine] :
       {std::pair(Precision::kFloat32, 1 - 1e-8), std::pair(Precision::kTf32, 0.999),
        std::pair(Precision::kBf16, 0.95)}) {
    require_precision(precision, torch::kCUDA);
    for (const auto& [name, value] : pass(*network, x.to(torch::kCUDA), precision)) {
      EXPECT_EQ(value.scalar_type(), torch::kFloat) << name;
      EXPECT_GT(cosine(exact.at(name), value.cpu()), least_cosine)
          << name << " in " << core::to_text(precision);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworkOnTheGpu, ::testing::ValuesIn(cases()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace epvs::models
