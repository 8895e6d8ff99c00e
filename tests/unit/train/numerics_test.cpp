// Optimisers against PyTorch, losses by finite differences, augmentation by closed forms.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/json.h"
#include "core/random.h"
#include "models/network.h"
#include "models/safetensors.h"
#include "models/torch.h"
#include "tests/support/devices.h"
#include "tests/support/test_support.h"
#include "train/augmentation/augmentation.h"
#include "train/loss.h"
#include "train/optimizer.h"

namespace epvs::train {
namespace {

using tests::expect_error;
using tests::golden;
using torch::Tensor;

torch::TensorOptions float64() {
  return torch::dtype(torch::kDouble);
}

// ---- optimisers
// -----------------------------------------------------------------------------------

constexpr int kWeights = 8;

/// The same gradient as tests/golden/train/make_optimizers.py.
void set_gradient(Tensor& weights, int step) {
  Tensor gradient = torch::empty({kWeights}, float64());
  for (int i = 0; i < kWeights; ++i) {
    const double a = 0.5 + 0.25 * i;
    const double c = (i % 2 == 0 ? 1.0 : -1.0) * i / 3.0;
    gradient[i] = a * (weights[i].item<double>() - c) + 0.1 * std::sin(0.1 * step + i);
  }
  weights.mutable_grad() = gradient.to(weights.device());
}

Tensor start_weights(torch::Device device = torch::kCPU) {
  Tensor weights = torch::empty({kWeights}, float64());
  for (int i = 0; i < kWeights; ++i) weights[i] = 0.3 * i - 1.0;
  return weights.to(device).requires_grad_();
}

template <class Step>
void compare_with_golden(const std::string& name, Tensor weights, const Step& step) {
  const core::Json run = core::read_json(golden("train/optimizers.json")).at("runs").at(name);
  for (int i = 1; i <= 1000; ++i) {
    set_gradient(weights, i);
    step();
    if (!run.contains(std::to_string(i))) continue;
    for (int k = 0; k < kWeights; ++k) {
      const double expected = run.at(std::to_string(i)).at(static_cast<std::size_t>(k));
      EXPECT_NEAR(weights[k].item<double>(), expected, 1e-12) << name << " step " << i;
    }
  }
}

class OptimizerGolden : public tests::OnDevice {};
INSTANTIATE_TEST_SUITE_P(Devices, OptimizerGolden, tests::kDevices, tests::DeviceName());

TEST_P(OptimizerGolden, AdadeltaAsPyTorch) {
  struct Case {
    const char* name;
    AdadeltaOptions options;
    double rate;
  };
  for (const Case& c : {Case{"adadelta_keras", AdadeltaOptions::keras(), 1.0},
                        Case{"adadelta_keras_2_2_4", AdadeltaOptions::keras_2_2_4(), 1.0},
                        Case{"adadelta_pytorch", AdadeltaOptions::pytorch(), 1.0},
                        Case{"adadelta_half_rate_decay", {0.95, 1e-8, 0.01}, 0.5}}) {
    const Tensor fused = start_weights(device());
    Adadelta fused_optimizer({{"w", fused, 1.0}}, c.options);
    compare_with_golden(c.name, fused, [&] { fused_optimizer.step(c.rate); });
    const Tensor foreach = start_weights(device());
    Adadelta foreach_optimizer({{"w", foreach, 1.0}}, c.options);
    compare_with_golden(c.name, foreach, [&] { foreach_optimizer.step_foreach(c.rate); });
  }
}

TEST_P(OptimizerGolden, AdamWAndSgdAsPyTorch) {
  const auto compare = [](const char* name, const TrainOptions& options) {
    const Tensor weights = start_weights(device());
    const auto optimizer = make_optimizer(options, {{"w", weights, 1.0}});
    compare_with_golden(name, weights, [&] { optimizer->step(0.01); });
  };
  TrainOptions adamw;
  adamw.optimizer = OptimizerKind::kAdamW;
  adamw.weight_decay = 0.01;
  compare("adamw", adamw);
  TrainOptions sgd;
  sgd.optimizer = OptimizerKind::kSgd;
  compare("sgd", sgd);
  sgd.nesterov = true;
  sgd.weight_decay = 0.02;
  compare("sgd_nesterov_decay", sgd);
}

TEST(Optimizer, LearningRateFactorScalesTheUpdateOnly) {
  // One Adadelta step: d does not depend on the rate, so a factor of 1/2 halves the change and
  // leaves the running averages as they are.
  Tensor whole = start_weights();
  Tensor half = start_weights();
  Adadelta first({{"w", whole, 1.0}}, AdadeltaOptions::keras());
  Adadelta second({{"w", half, 0.5}}, AdadeltaOptions::keras());
  set_gradient(whole, 1);
  set_gradient(half, 1);
  first.step(1.0);
  second.step(1.0);
  const Tensor start = start_weights();
  EXPECT_TRUE(torch::allclose((whole - start).detach(), 2 * (half - start).detach(), 1e-12, 1e-18));
  EXPECT_TRUE(torch::equal(first.state()[1].second, second.state()[1].second));
}

std::map<std::string, Tensor> read_doubles(const std::string& name, torch::Device device) {
  const std::filesystem::path path = golden("train/" + name);
  const models::SafetensorsHeader header = models::read_safetensors_header(path);
  std::map<std::string, Tensor> tensors;
  for (const models::TensorEntry& entry : header.tensors) {
    tensors[entry.name] = torch::empty(entry.shape, float64());
    models::read_safetensors_data(path, header, entry, tensors[entry.name].data_ptr());
    tensors[entry.name] = tensors[entry.name].to(device);
  }
  return tensors;
}

TEST_P(OptimizerGolden, GpUnetAfterHundredAdadeltaSteps) {
  models::NetworkOptions options;
  options.architecture = models::Architecture::kGpUnet;
  options.first_features = 3;
  options.pool_scale = 0.5;
  options.input_zyx = {4, 6, 8};
  const auto network = models::make_network(options, 1);
  network->to(device(), torch::kDouble);
  const auto start = read_doubles("gp_unet_start.safetensors", device());
  const auto end = read_doubles("gp_unet_end.safetensors", device());
  const auto data = read_doubles("gp_unet_data.safetensors", device());
  {
    const torch::NoGradGuard no_grad;
    ASSERT_EQ(network->named_parameters().size(), start.size());
    for (auto& item : network->named_parameters()) item.value().copy_(start.at(item.key()));
  }
  TrainOptions train;  // the defaults are the papers' values: Adadelta, 1.0, 0.95, 1e-8
  const auto optimizer = make_optimizer(train, trained_parameters(*network, train));
  for (int step = 0; step < 100; ++step) {
    const Tensor volumes = data.at("volumes").narrow(0, step % 2 == 0 ? 0 : 2, 2);
    const Tensor labels = data.at("labels").narrow(0, step % 2 == 0 ? 0 : 2, 2);
    optimizer->zero_grad();
    loss({}, network->forward(volumes), labels).backward();
    optimizer->step(train.learning_rate);
  }
  for (const auto& item : network->named_parameters()) {
    const double difference = (item.value() - end.at(item.key())).abs().max().item<double>();
    EXPECT_LT(difference, 1e-12) << item.key();
    EXPECT_GT((item.value() - start.at(item.key())).abs().max().item<double>(), 1e-3) << item.key();
  }
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(torch::allclose(network->forward(data.at("volumes")), data.at("scores"), 1e-11));
}

class OptimizerState : public tests::OnDevice {};
INSTANTIATE_TEST_SUITE_P(Devices, OptimizerState, tests::kDevices, tests::DeviceName());

TEST_P(OptimizerState, RestoredGoesOnBitEqual) {
  const auto steps = [](Optimizer& optimizer, Tensor& weights, int begin, int end) {
    for (int i = begin; i < end; ++i) {
      set_gradient(weights, i);
      optimizer.step(0.1);
    }
  };
  for (const auto& [kind, name] : names_of(OptimizerKind{})) {
    TrainOptions options;
    options.optimizer = kind;
    Tensor whole = start_weights(device());
    const auto uninterrupted = make_optimizer(options, {{"w", whole, 1.0}});
    steps(*uninterrupted, whole, 1, 21);
    Tensor first = start_weights(device());
    const auto before = make_optimizer(options, {{"w", first, 1.0}});
    steps(*before, first, 1, 11);
    Tensor second = first.detach().clone().requires_grad_();
    const auto after = make_optimizer(options, {{"w", second, 1.0}});
    Tensor control = second.detach().clone().requires_grad_();
    const auto without_state = make_optimizer(options, {{"w", control, 1.0}});
    after->load_state(before->state());
    steps(*after, second, 11, 21);
    steps(*without_state, control, 11, 21);
    EXPECT_TRUE(torch::equal(whole, second)) << name;
    EXPECT_FALSE(torch::equal(whole, control)) << name << ": the state makes no difference";
  }
}

TEST(Optimizer, LoadStateNamesWhatDoesNotFit) {
  const Tensor weights = start_weights();
  Adadelta optimizer({{"w", weights, 1.0}}, {});
  NamedTensors state;
  for (const auto& [name, tensor] : optimizer.state()) state.emplace_back(name, tensor.clone());
  NamedTensors extra = state;
  extra.emplace_back("other.square_average", torch::zeros({1}));
  expect_error<core::InputError>([&] { optimizer.load_state(extra); }, {"other.square_average"});
  NamedTensors misshapen = state;
  misshapen[1].second = torch::zeros({3}, float64());
  expect_error<core::InputError>([&] { optimizer.load_state(misshapen); },
                                 {"w.update_average", "(3)", "(8)"});
  state.pop_back();
  expect_error<core::InputError>([&] { optimizer.load_state(state); },
                                 {"w.update_average (8) is missing", "another optimiser"});
}

TEST(Optimizer, OptionsAreChecked) {
  expect_error<core::UsageError>(
      [] {
        AdadeltaOptions{1.0, 1e-8, 0}.validate();
      },
      {"rho = 1", "rho < 1"});
  expect_error<core::UsageError>([] { AdadeltaOptions{0.9, 0.0, 0}.validate(); }, {"epsilon = 0"});
  expect_error<core::UsageError>(
      [] {
        AdadeltaOptions{0.9, 1e-8, -1}.validate();
      },
      {"weight_decay = -1"});
}

TEST(Optimizer, FrozenParametersAreLeftOut) {
  models::NetworkOptions options;
  options.first_features = 2;
  options.input_zyx = {4, 4, 4};
  const auto network = models::make_network(options, 1);
  TrainOptions train;
  train.freeze = {"down_*"};
  train.learning_rates = {"*=0.5", "output.*=0.1"};
  for (const NamedParameter& parameter : trained_parameters(*network, train)) {
    EXPECT_EQ(parameter.name.find("down_"), std::string::npos);
    EXPECT_EQ(parameter.learning_rate_factor, parameter.name.rfind("output", 0) == 0 ? 0.1 : 0.5);
  }
  train.freeze = {"conv9*"};
  expect_error<core::UsageError>([&] { trained_parameters(*network, train); },
                                 {"train.freeze", "conv9*", "down_conv1.weight"});
  train.freeze = {"*"};
  expect_error<core::UsageError>([&] { trained_parameters(*network, train); },
                                 {"leaves no parameter"});
}

// ---- losses
// ---------------------------------------------------------------------------------------

TEST(Loss, GradientsAreFiniteDifferences) {
  // Errors on both sides of the kinks of Huber (1) and Tukey (4.685 * 1.3 = 6.09).
  const Tensor labels = torch::tensor({0.0, 2.0, 5.0, 1.0, 7.0, 3.0}, float64());
  const Tensor errors = torch::tensor({0.4, -0.7, 1.8, -3.1, 7.9, -9.3}, float64());
  for (const auto& [kind, name] : names_of(Loss{})) {
    LossOptions options;
    options.kind = kind;
    Tensor scores = (labels + errors).detach().requires_grad_();
    loss(options, scores, labels, 1.3).backward();
    for (int i = 0; i < 6; ++i) {
      constexpr double kStep = 1e-6;
      const auto at = [&](double shift) {
        Tensor moved = scores.detach().clone();
        moved[i] += shift;
        return loss(options, moved, labels, 1.3).item<double>();
      };
      const double numeric = (at(kStep) - at(-kStep)) / (2 * kStep);
      EXPECT_NEAR(scores.grad()[i].item<double>(), numeric, 1e-6 * (1 + std::abs(numeric)))
          << name << " element " << i;
    }
  }
}

TEST(Loss, ClosedForms) {
  const Tensor labels = torch::tensor({1.0, 1.0}, float64());
  const Tensor scores = torch::tensor({3.0, 0.5}, float64());  // errors 2 and -0.5
  const auto value = [&](Loss kind) {
    LossOptions options;
    options.kind = kind;
    return loss(options, scores, labels, 0.5).item<double>();
  };
  EXPECT_DOUBLE_EQ(value(Loss::kMse), (4 + 0.25) / 2);
  EXPECT_DOUBLE_EQ(value(Loss::kMae), 1.25);
  EXPECT_DOUBLE_EQ(value(Loss::kMce), (8 + 0.125) / 2);
  EXPECT_DOUBLE_EQ(value(Loss::kMfe), (16 + 0.0625) / 2);
  EXPECT_NEAR(value(Loss::kRmse), std::sqrt(2.125), 1e-9);
  EXPECT_DOUBLE_EQ(value(Loss::kHuber), ((2 - 0.5) + 0.125) / 2);
  EXPECT_DOUBLE_EQ(value(Loss::kSummed), 1.5 * 1.5 / 2);
  const double c = 4.685;  // residuals / 0.5: 4 and -1
  const auto rho = [c](double r) { return c * c / 6 * (1 - std::pow(1 - r * r / (c * c), 3)); };
  EXPECT_NEAR(value(Loss::kTukey), (rho(4) + rho(-1)) / 2, 1e-12);
  EXPECT_NEAR(loss({Loss::kTukey, 1.0, 4.685}, scores + 100, labels, 0.5).item<double>(), c * c / 6,
              1e-12);
}

TEST(Loss, MedianAbsoluteDeviation) {
  EXPECT_NEAR(median_absolute_deviation({1, 1, 2, 2, 4, 6, 9}), 1.4826, 1e-12);
  EXPECT_NEAR(median_absolute_deviation({0, 1, 2, 3}), 1.4826, 1e-12);
  EXPECT_EQ(median_absolute_deviation({5, 5, 5}), 1e-3);
}

TEST(Loss, OptionsAreChecked) {
  expect_error<core::UsageError>(
      [] {
        LossOptions{Loss::kHuber, 0, 1}.validate();
      },
      {"huber_delta = 0"});
  expect_error<core::UsageError>(
      [] {
        LossOptions{Loss::kTukey, 1, -1}.validate();
      },
      {"tukey_constant = -1"});
}

// ---- augmentation
// ---------------------------------------------------------------------------------

const std::array<double, 3> kIsotropic = {1, 1, 1};

Tensor random_volumes(std::int64_t n, std::int64_t z, std::int64_t y, std::int64_t x) {
  core::Random random(7);
  Tensor volumes = torch::empty({n, 1, z, y, x});
  float* data = volumes.data_ptr<float>();
  for (std::int64_t i = 0; i < volumes.numel(); ++i) data[i] = static_cast<float>(random.uniform());
  return volumes;
}

class AugmentationOn : public tests::OnDevice {};
INSTANTIATE_TEST_SUITE_P(Devices, AugmentationOn, tests::kDevices, tests::DeviceName());

TEST_P(AugmentationOn, ZeroStrengthIsTheIdentityToTheLastBit) {
  const Tensor volumes = random_volumes(2, 5, 6, 7).to(device());
  AugmentationOptions options;
  options.flips = {};
  options.rotation_rad = 0;
  options.translation_voxels = 0;
  const auto transform = draw_spatial(options, 1, 3, "sub-01");
  EXPECT_TRUE(torch::equal(apply_spatial(volumes, {transform, transform}, kIsotropic), volumes));
  options = {};
  options.enabled = false;
  const auto disabled = draw_spatial(options, 1, 3, "sub-01");
  EXPECT_TRUE(torch::equal(apply_spatial(volumes, {disabled, disabled}, kIsotropic), volumes));
}

TEST_P(AugmentationOn, FlipsHaveAnatomicalNamesAndKeepTheMean) {
  const Tensor volume = random_volumes(1, 5, 6, 7).to(device());
  const std::vector<std::pair<Flip, std::int64_t>> axes = {
      {Flip::kLeftRight, 4}, {Flip::kFrontBack, 3}, {Flip::kUpDown, 2}};
  for (const auto& [name, dimension] : axes) {
    AugmentationOptions options;
    options.flips = {name};
    options.flip_probability = 1;
    options.rotation_rad = options.translation_voxels = 0;
    const Tensor flipped = apply_spatial(volume, {draw_spatial(options, 1, 1, "a")}, kIsotropic);
    EXPECT_TRUE(torch::equal(flipped, volume.flip({dimension}))) << core::to_text(name);
    EXPECT_NEAR(flipped.mean().item<double>(), volume.mean().item<double>(), 1e-6)
        << core::to_text(name);
  }
}

TEST_P(AugmentationOn, ShiftByWholeVoxelsMovesTheContent) {
  const Tensor volume = random_volumes(1, 6, 7, 8).to(device());
  SpatialTransform transform;
  transform.translation_voxels = {2, -1, 0};  // to the right by 2, to the back by 1
  const Tensor moved = apply_spatial(volume, {transform}, {0.5, 0.5, 0.8});
  EXPECT_TRUE(torch::allclose(moved.slice(4, 2).slice(3, 0, 6), volume.slice(4, 0, 6).slice(3, 1),
                              1e-4, 1e-5));
  EXPECT_LT(moved.slice(4, 0, 2).abs().max().item<double>(), 1e-5) << "zero comes in from outside";
  // Half a voxel: the mean of two neighbours.
  transform.translation_voxels = {0.5, 0, 0};
  const Tensor half = apply_spatial(volume, {transform}, kIsotropic);
  EXPECT_TRUE(torch::allclose(half.slice(4, 1), (volume.slice(4, 1) + volume.slice(4, 0, 7)) / 2,
                              1e-4, 1e-5));
}

TEST_P(AugmentationOn, QuarterTurnAboutZTakesXToY) {
  const Tensor volume = random_volumes(1, 3, 6, 6).to(device());
  SpatialTransform transform;
  transform.rotation_rad = {0, 0, std::numbers::pi / 2};
  const Tensor turned = apply_spatial(volume, {transform}, kIsotropic);
  // Right-handed about z: +x goes to +y, so out[y][x] = in[5 - x -> y'...]: out(x, y) = in(y, 5 -
  // x).
  const Tensor expected = volume.transpose(3, 4).flip({4});
  EXPECT_TRUE(torch::allclose(turned, expected, 1e-4, 1e-5));
}

TEST_P(AugmentationOn, RotationIsInMillimetres) {
  // Spacing 1 x 2: a quarter turn takes 8 x 4 voxels (8 x 8 mm) onto themselves; the point 3 mm to
  // the right of the centre lands 3 mm in front of it, 1.5 voxels.
  const Tensor volume = torch::zeros({1, 1, 1, 4, 8}, device());
  volume[0][0][0].slice(0, 1, 3).slice(1, 6, 8).fill_(1.0);  // x: 2.5..3.5 mm, y: -1..1 mm
  SpatialTransform transform;
  transform.rotation_rad = {0, 0, std::numbers::pi / 2};
  const Tensor turned = apply_spatial(volume, {transform}, {1, 2, 1});
  // Now x: -1..1 mm are columns 3 and 4; y: 3 mm is row 3.
  EXPECT_NEAR(turned[0][0][0][3][3].item<double>(), 1.0, 1e-4);
  EXPECT_NEAR(turned[0][0][0][3][4].item<double>(), 1.0, 1e-4);
  EXPECT_NEAR(turned[0][0][0][0].abs().max().item<double>(), 0.0, 1e-4);
  EXPECT_NEAR(turned.slice(4, 7).abs().max().item<double>(), 0.0, 1e-4);
}

/// float32 on the CPU has a path of its own; float64 goes through LibTorch's grid_sampler.
TEST(Augmentation, TheFastPathEqualsTheGridSampler) {
  const Tensor whole = random_volumes(3, 13, 17, 22);
  Tensor region = torch::zeros_like(whole);  // a region in the middle, one at the border, nothing
  region[0].narrow(1, 3, 5).narrow(2, 4, 9).narrow(3, 6, 7).copy_(
      whole[0].narrow(1, 3, 5).narrow(2, 4, 9).narrow(3, 6, 7));
  region[1].narrow(1, 0, 6).narrow(3, 15, 7).copy_(whole[1].narrow(1, 0, 6).narrow(3, 15, 7));
  core::Random random(6);
  for (int draw = 0; draw < 20; ++draw) {
    std::vector<SpatialTransform> transforms(3);
    for (SpatialTransform& transform : transforms) {
      for (std::size_t axis = 0; axis < 3; ++axis) {
        transform.flip[axis] = random.flip(0.5);
        transform.rotation_rad[axis] = random.uniform(-2, 2);
        transform.translation_voxels[axis] = random.uniform(-9, 9);
      }
    }
    // Along the axes alone: rows then stand still along two of them.
    if (draw == 0) transforms[0].rotation_rad = transforms[1].rotation_rad = {0, 0, 0};
    for (const Tensor& volumes : {whole, region}) {
      const Tensor fast = apply_spatial(volumes, transforms, {0.5, 0.5, 0.8});
      const Tensor plain = apply_spatial(volumes.to(torch::kDouble), transforms, {0.5, 0.5, 0.8});
      EXPECT_LT((fast - plain).abs().max().item<double>(), 1e-6);
      EXPECT_EQ(fast.scalar_type(), torch::kFloat);
    }
  }
}

TEST_P(AugmentationOn, OneSeedOneResultWhateverTheBatch) {
  const Tensor volumes = random_volumes(2, 6, 7, 8).to(device());
  const AugmentationOptions options;
  const auto first = draw_spatial(options, 5, 2, "sub-01");
  const auto second = draw_spatial(options, 5, 2, "sub-02");
  const Tensor together = apply_spatial(volumes, {first, second}, kIsotropic);
  const Tensor alone = apply_spatial(volumes.narrow(0, 1, 1), {second}, kIsotropic);
  EXPECT_TRUE(torch::equal(together.narrow(0, 1, 1), alone));
  const auto again = draw_spatial(options, 5, 2, "sub-01");
  EXPECT_EQ(first.rotation_rad, again.rotation_rad);
  for (const auto& other :
       {draw_spatial(options, 6, 2, "sub-01"), draw_spatial(options, 5, 3, "sub-01"), second}) {
    EXPECT_NE(first.rotation_rad, other.rotation_rad);
  }
  for (int epoch = 0; epoch < 200; ++epoch) {
    const auto drawn = draw_spatial(options, 1, epoch, "sub-01");
    for (std::size_t axis = 0; axis < 3; ++axis) {
      EXPECT_LE(std::abs(drawn.rotation_rad[axis]), 0.2);
      EXPECT_LE(std::abs(drawn.translation_voxels[axis]), 2.0);
    }
    EXPECT_FALSE(drawn.flip[2]) << "up_down is off by default";
  }
}

TEST(Augmentation, OptionsAreChecked) {
  AugmentationOptions options;
  options.flip_probability = 2;
  expect_error<core::UsageError>([&] { options.validate(); }, {"flip_probability = 2"});
  options = {};
  options.rotation_rad = -1;
  expect_error<core::UsageError>([&] { options.validate(); }, {"rotation_rad = -1"});
  options = {};
  options.translation_voxels = -1;
  expect_error<core::UsageError>([&] { options.validate(); }, {"translation_voxels = -1"});
}

}  // namespace
}  // namespace epvs::train
