// One step of a training: precision, memory, scaled targets; schedules and reports.
#include "train/training_step.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "core/json.h"
#include "models/network.h"
#include "models/torch_setup.h"
#include "tests/support/test_support.h"
#include "train/training_log.h"

namespace epvs::train {
namespace {

using tests::expect_error;
using torch::Tensor;

Recipe small_recipe() {
  Recipe recipe;
  recipe.network.first_features = 4;
  recipe.network.init = models::Init::kHe;
  recipe.network.input_zyx = {6, 8, 10};
  recipe.augment.enabled = false;
  return recipe;
}

Tensor volumes_of(std::int64_t n) {
  at::Generator generator = at::detail::createCPUGenerator(3);
  return torch::empty({n, 1, 6, 8, 10}).uniform_(0.0, 1.0, generator);
}

std::vector<data::Example> examples_of(std::size_t n) {
  std::vector<data::Example> examples(n);
  for (std::size_t i = 0; i < n; ++i) {
    examples[i].participant_id = "sub-" + std::to_string(i);
    examples[i].row = i;
    examples[i].label = static_cast<double>(3 * i + 2);
  }
  return examples;
}

/// A network, its optimiser and a step, as the trainer has them.
struct Parts {
  explicit Parts(Recipe r, std::shared_ptr<models::Network> given = nullptr)
      : recipe(std::move(r)),
        network(given ? given : models::make_network(recipe.network, 5)),
        optimizer(make_optimizer(recipe.train, trained_parameters(*network, recipe.train))),
        step(*network, *optimizer, recipe, {1, 1, 1}, torch::kCPU, group) {}

  TrainingStep::Outcome add(std::int64_t n, const TrainingStep::Moment& moment = {}) {
    examples = examples_of(static_cast<std::size_t>(n));
    std::vector<const data::Example*> pointers;
    for (const data::Example& example : examples) pointers.push_back(&example);
    return step.add_batch(volumes_of(n), pointers, 1.0, moment);
  }
  std::vector<Tensor> gradients() const {
    std::vector<Tensor> all;
    for (const NamedParameter& p : optimizer->parameters()) all.push_back(p.value.grad().clone());
    return all;
  }

  ProcessGroup group;
  Recipe recipe;
  std::shared_ptr<models::Network> network;
  std::unique_ptr<Optimizer> optimizer;
  TrainingStep step;
  std::vector<data::Example> examples;
};

TEST(TrainingStepTest, Bf16KeepsWeightsAndGradientsInFloat32) {
  Recipe recipe = small_recipe();
  Parts exact(recipe);
  recipe.train.precision = models::Precision::kBf16;
  Parts rough(recipe);
  const double loss = exact.add(2).loss;
  EXPECT_NEAR(rough.add(2).loss, loss, 0.02 * loss);
  exact.step.update(0.1, {});
  rough.step.update(0.1, {});
  for (const auto& item : rough.network->named_parameters()) {
    EXPECT_EQ(item.value().scalar_type(), torch::kFloat) << item.key();
  }
  for (const auto& [name, tensor] : rough.optimizer->state()) {
    EXPECT_EQ(tensor.scalar_type(), torch::kFloat) << name;
  }
}

TEST(TrainingStepTest, Bf16LearnsToCount) {
  // Noise with 0, 1, ... 9 bright cubes; the same scans again and again.
  constexpr std::int64_t kScans = 10;
  constexpr double kVariance = 8.25;  // of 0 ... 9
  at::Generator generator = at::detail::createCPUGenerator(9);
  Tensor volumes = torch::empty({kScans, 1, 8, 12, 20}).normal_(0.3, 0.02, generator);
  std::vector<data::Example> examples = examples_of(kScans);
  std::vector<const data::Example*> pointers;
  for (std::int64_t i = 0; i < kScans; ++i) {
    data::Example& example = examples[static_cast<std::size_t>(i)];
    example.label = static_cast<double>(i);
    pointers.push_back(&example);
    for (std::int64_t spot = 0; spot < i; ++spot) {
      volumes[i][0]
          .narrow(0, 1 + 4 * (spot % 2), 2)
          .narrow(1, 1 + 4 * (spot / 2 % 2), 2)
          .narrow(2, 1 + 4 * (spot / 4), 2)
          .fill_(1.0);
    }
  }
  for (const auto precision : {models::Precision::kFloat32, models::Precision::kBf16}) {
    Recipe recipe = small_recipe();
    recipe.network.input_zyx = {8, 12, 20};
    recipe.network.pool_scale = 20;
    recipe.network.first_features = 8;
    recipe.network.bias_init = 4.5;
    recipe.train.precision = precision;
    recipe.train.optimizer = OptimizerKind::kAdamW;
    Parts parts(recipe);
    double last = 0;
    for (int i = 0; i < 80; ++i) {
      last = parts.step.add_batch(volumes, pointers, 1.0, {}).loss;
      parts.step.update(0.003, {});
    }
    EXPECT_LT(last, 0.5 * kVariance)
        << core::to_text(precision) << ": explains less than half of the labels";
  }
}

TEST(TrainingStepTest, GradientsAreClippedToTheNorm) {
  Recipe recipe = small_recipe();
  recipe.train.optimizer = OptimizerKind::kSgd;
  recipe.train.momentum = 0;
  Parts free(recipe);
  recipe.train.clip_norm = 0.5;
  Parts clipped(recipe);
  free.add(2);
  clipped.add(2);
  const double norm = free.step.update(1.0, {});
  ASSERT_GT(norm, 5.0) << "nothing to clip";
  EXPECT_DOUBLE_EQ(clipped.step.update(1.0, {}), norm) << "that before clipping";
  const auto start = models::make_network(recipe.network, 5);
  double square = 0;
  for (std::size_t i = 0; i < start->parameters().size(); ++i) {
    const Tensor whole = free.network->parameters()[i] - start->parameters()[i];
    const Tensor part = clipped.network->parameters()[i] - start->parameters()[i];
    EXPECT_TRUE(torch::allclose(part, whole * (0.5 / norm), 1e-3, 1e-6)) << i;
    square += part.square().sum().item<double>();
  }
  EXPECT_NEAR(std::sqrt(square), 0.5, 1e-4);
}

TEST(TrainingStepTest, AGradientThatIsNotFiniteIsNamed) {
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    Parts setup(small_recipe());
    setup.add(2);
    setup.optimizer->parameters()[3].value.mutable_grad().view({-1})[0] = bad;
    expect_error<core::RunError>(
        [&] { setup.step.update(1.0, {}); },
        {"diverged", "gradient of " + setup.optimizer->parameters()[3].name});
  }
}

// ---- memory -----------------------------------------------------------------------------------

/// Fails as an allocator does above so many volumes.
class Hungry : public models::Network {
 public:
  Hungry(const models::NetworkOptions& options, std::int64_t most)
      : Network(options, 5), most_(most) {}
  Tensor forward(const Tensor& x) override {
    TORCH_CHECK(x.size(0) <= most_,
                "DefaultCPUAllocator: not enough memory: you tried to allocate");
    return Network::forward(x);
  }

 private:
  std::int64_t most_;
};

TEST(Memory, ABatchThatDoesNotFitNamesTheSizeThatDoes) {
  const Recipe recipe = small_recipe();
  Parts three(recipe, std::make_shared<Hungry>(recipe.network, 3));
  expect_error<core::RunError>([&] { three.add(8); },
                               {"a batch of 8 volumes of 480 voxels", "memory of cpu",
                                "train.batch_size = 2 fits", "train.accumulate = 4"});
  Parts none(recipe, std::make_shared<Hungry>(recipe.network, 0));
  expect_error<core::RunError>([&] { none.add(8); },
                               {"not even one volume fits", "take a smaller network"});
  Parts enough(recipe, std::make_shared<Hungry>(recipe.network, 8));
  EXPECT_TRUE(std::isfinite(enough.add(8).loss));
}

TEST(Memory, TheAllocatorOfLibTorchIsUnderstood) {
  // A petabyte: a real failure of the allocator, whatever the machine.
  const Recipe recipe = small_recipe();
  class Huge : public Hungry {
   public:
    explicit Huge(const models::NetworkOptions& options) : Hungry(options, 100) {}
    Tensor forward(const Tensor& x) override {
      if (x.size(0) > 1) torch::empty({std::int64_t{1} << 50});
      return Hungry::forward(x);
    }
  };
  Parts setup(recipe, std::make_shared<Huge>(recipe.network));
  expect_error<core::RunError>([&] { setup.add(4); }, {"does not fit", "train.batch_size = 1"});
}

// ---- schedules, settings, reports -------------------------------------------------------------

TEST(PlateauTest, AsPyTorch) {
  const core::Json document = core::read_json(tests::golden("train/plateau.json"));
  int steps = 0;
  for (const core::Json& one : document.at("cases")) {
    TrainOptions options;
    options.plateau_epochs = one.at("patience");
    options.step_factor = one.at("factor");
    options.min_delta = one.at("min_delta");
    options.final_factor = one.at("smallest");
    Plateau plateau;
    for (std::size_t i = 0; i < document.at("values").size(); ++i) {
      const double before = plateau.factor;
      // Through a checkpoint at every epoch.
      plateau = Plateau::from_json(core::Json::parse(plateau.to_json().dump()));
      plateau.see(document.at("values").at(i), options);
      EXPECT_NEAR(plateau.factor, one.at("factors").at(i).get<double>(), 1e-15) << "epoch " << i;
      if (plateau.factor < before) ++steps;
    }
  }
  EXPECT_GT(steps, 6) << "the golden cases hold too few steps to compare";
}

TEST(TorchSetup, DeterminismReachesLibTorch) {
  at::Context& context = at::globalContext();
  const int threads = at::get_num_threads();
  models::set_up_torch({threads, false, false});
  EXPECT_FALSE(context.deterministicCuDNN());
  EXPECT_TRUE(context.benchmarkCuDNN());
  models::set_up_torch({threads, false, true});
  EXPECT_FALSE(context.deterministicAlgorithms()) << "max-pooling would warn at every step";
  EXPECT_TRUE(context.deterministicCuDNN());
  EXPECT_FALSE(context.benchmarkCuDNN());
  EXPECT_STREQ(std::getenv("CUBLAS_WORKSPACE_CONFIG"), ":4096:8");
  EXPECT_NE(models::determinism_note({}, c10::kCPU).find("equal bits"), std::string::npos);
  EXPECT_NE(models::determinism_note({}, c10::kCUDA).find("max-pooling"), std::string::npos);
  EXPECT_NE(models::determinism_note({1, true, false}, c10::kCUDA).find("differ"),
            std::string::npos);
}

TEST(StepReportTest, ALineHasTheFiguresAndTheTimeLeft) {
  EXPECT_EQ(step_line({2, 4, 3.14159, 3.5, 0.25}, 12, 40, 5, 8, 0.5),
            "step 12/40 | epoch 2/5 batch 4/8 | loss 3.142, epoch 3.5 | lr 0.25 | 0.5 s each | "
            "14 s left");
}

}  // namespace
}  // namespace epvs::train
