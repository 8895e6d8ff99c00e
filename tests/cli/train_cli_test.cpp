// epvs train through the real executable: resume after kill -9, signals, refusals, bad input.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>

#include "core/files.h"
#include "core/json.h"
#include "core/scores.h"
#include "core/table.h"
#include "models/layers.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"
#include "tests/support/damaged_cohort.h"
#include "tests/support/test_support.h"
#include "tests/support/train_fixture.h"

namespace epvs::train {
namespace {

namespace fs = std::filesystem;
using core::Table;
using tests::CommandResult;

class TrainCommandTest : public TrainTest {
 protected:
  void edit(const std::string& name, const std::string& from, const std::string& to) const {
    std::string text = file(name);
    const std::size_t position = text.find(from);
    ASSERT_NE(position, std::string::npos) << from;
    text.replace(position, from.size(), to);
    std::ofstream(folder_ / name) << text;
  }
  /// training.tsv without the column of seconds.
  std::string history(const std::string& run) const {
    const Table table = Table::read(folder_ / run / "training.tsv");
    std::string text;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      for (const std::string& column : table.columns()) {
        if (column != "seconds") text += table.cell(row, column) + " ";
      }
      text += "\n";
    }
    return text;
  }
};

TEST_F(TrainCommandTest, WritesTheRunFolder) {
  const CommandResult result = train("run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* name : {"recipe.toml", "provenance.json", "log.txt", "training.tsv",
                           "weights.safetensors", "scores.tsv", "scores.json",
                           "checkpoints/last/DONE", "checkpoints/last/best.safetensors"}) {
    EXPECT_TRUE(fs::exists(folder_ / "run" / name)) << name;
  }
  EXPECT_EQ(Table::read(folder_ / "run" / "training.tsv").rows(), 6U);
  const auto scores = core::ScoresTable::read(folder_ / "run" / "scores.tsv");
  EXPECT_EQ(scores.scorers, std::vector<std::string>{"gp_unet"});
  EXPECT_EQ(scores.keys.size(), 6U) << "3 validation and 3 test scans";
  // The resolved recipe is a recipe again, with the values that were used.
  const std::string recipe = file("run/recipe.toml");
  EXPECT_EQ(recipe.find("bias_init = 0.0"), std::string::npos);
  EXPECT_NE(recipe.find("pool_scale = 1.536"), std::string::npos) << recipe;
  EXPECT_NE(recipe.find("region = \"bg\""), std::string::npos);
}

/// On the CPU and, where there is one, on a GPU.
class TrainOnDevice : public TrainCommandTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    device_ = GetParam();
    if (train("none", {"--dry-run"}).exit_code == 0) return;
    ASSERT_NE(file("err").find("is not there: this LibTorch sees"), std::string::npos);
    EPVS_SKIP_WITHOUT("gpu", "epvs train sees no GPU");
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, TrainOnDevice, ::testing::Values("cpu", "cuda"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(TrainOnDevice, EqualSeedsAreBitEqualOthersAreNot) {
  ASSERT_EQ(train("a").exit_code, 0);
  ASSERT_EQ(train("b").exit_code, 0);
  ASSERT_EQ(train("c", {"--seed", "2"}).exit_code, 0);
  EXPECT_EQ(file("a/weights.safetensors"), file("b/weights.safetensors"));
  EXPECT_EQ(file("a/scores.tsv"), file("b/scores.tsv"));
  EXPECT_NE(file("a/weights.safetensors"), file("c/weights.safetensors"));
}

TEST_P(TrainOnDevice, KillAtAnyMomentThenResumeIsBitEqual) {
  const std::vector<std::string> settings = {"--set", "train.epochs=60", "--set",
                                             "train.checkpoint_minutes=0.0001"};
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(train("whole", settings).exit_code, 0);
  const auto whole_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::steady_clock::now() - start)
                            .count();
  core::Random random(core::mix_seed(11, {"kill"}));
  std::vector<std::string> resume = settings;
  resume.emplace_back("--resume");
  int kills = 0;
  int exit_code = -1;
  std::string err;
  for (int attempt = 0; attempt < 200 && exit_code != 0; ++attempt) {
    Process process(arguments("killed", resume), folder_ / "err");
    if (kills < 6) {
      sleep_ms(random.integer(whole_ms / 10, whole_ms / 3));
      process.send(SIGKILL);
    }
    const CommandResult result = process.wait();
    exit_code = result.exit_code;
    err = result.err;
    ASSERT_TRUE(exit_code == 0 || exit_code == 128 + SIGKILL) << exit_code << "\n" << err;
    if (exit_code != 0) ++kills;
  }
  ASSERT_EQ(exit_code, 0) << err;
  EXPECT_GE(kills, 3) << "the training ended before it could be killed";
  EXPECT_EQ(file("whole/weights.safetensors"), file("killed/weights.safetensors"));
  EXPECT_EQ(file("whole/scores.tsv"), file("killed/scores.tsv"));
  EXPECT_EQ(file("whole/checkpoints/last/optimizer.safetensors"),
            file("killed/checkpoints/last/optimizer.safetensors"));
  EXPECT_EQ(history("whole"), history("killed"));
}

TEST_F(TrainCommandTest, FittedOutputUnitStartsTheTrainingOnceAlsoAcrossAKill) {
  ASSERT_EQ(train("init", {"--set", "train.epochs=1"}).exit_code, 0);
  const std::vector<std::string> settings = {
      "--init", folder_ / "init", "--set", "train.output_fit=ridge", "--set", "train.epochs=15"};
  const CommandResult whole = train("whole", settings);
  tests::expect_result(whole, 0, {"output unit fitted by ridge regression to 18 scans"});
  ASSERT_EQ(train("plain", {"--init", folder_ / "init", "--set", "train.epochs=15"}).exit_code, 0);
  EXPECT_NE(file("whole/weights.safetensors"), file("plain/weights.safetensors"));
  // Killed when the first checkpoint is there: a second fit would start from other weights.
  Process process(arguments("killed", settings), folder_ / "err");
  while (!fs::exists(folder_ / "killed/checkpoints/last/DONE")) sleep_ms(1);
  process.send(SIGKILL);
  ASSERT_EQ(process.wait().exit_code, 128 + SIGKILL) << "the training ended before the kill";
  std::vector<std::string> resume = settings;
  resume.emplace_back("--resume");
  const CommandResult resumed = train("killed", resume);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(resumed.err.find("output unit fitted"), std::string::npos);
  EXPECT_EQ(history("whole"), history("killed"));
  EXPECT_EQ(file("whole/weights.safetensors"), file("killed/weights.safetensors"));
}

TEST_F(TrainCommandTest, EarlyStoppingSurvivesResume) {
  const std::vector<std::string> settings = {
      "--set", "train.epochs=40", "--set", "train.patience=3", "--set", "train.min_delta=1"};
  ASSERT_EQ(train("whole", settings).exit_code, 0);
  const std::size_t epochs = Table::read(folder_ / "whole" / "training.tsv").rows();
  ASSERT_LT(epochs, 40U) << "this test needs a training that stops early";
  // A copy of the first part: stop by TERM, then resume.
  Process process(arguments("parts", settings), folder_ / "err");
  while (!fs::exists(folder_ / "parts" / "training.tsv")) sleep_ms(5);
  process.send(SIGTERM);
  const CommandResult stopped = process.wait();
  ASSERT_TRUE(stopped.exit_code == 143 || stopped.exit_code == 0) << stopped.err;
  std::vector<std::string> resume = settings;
  resume.emplace_back("--resume");
  const CommandResult resumed = train("parts", resume);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(history("whole"), history("parts"));
  EXPECT_EQ(file("whole/weights.safetensors"), file("parts/weights.safetensors"));
}

TEST_P(TrainOnDevice, ResumeIsBitEqualWithBf16AndPlateau) {
  const std::vector<std::string> settings = {
      "--set", "train.epochs=30",          "--set", "train.precision=bf16",
      "--set", "train.schedule=plateau",   "--set", "train.plateau_epochs=1",
      "--set", "train.step_factor=0.5",    "--set", "train.tensorboard=false",
      "--set", "train.loss=tukey",         "--set", "train.optimizer=sgd",
      "--set", "train.learning_rate=0.002"};
  ASSERT_EQ(train("whole", settings).exit_code, 0) << file("err");
  const Table whole = Table::read(folder_ / "whole" / "training.tsv");
  EXPECT_LT(whole.number(29, "learning_rate"), 0.002) << "the plateau was never reached";
  std::vector<std::string> resume = settings;
  resume.emplace_back("--resume");
  int stops = 0;
  int exit_code = -1;
  std::string err;
  for (std::size_t epochs = 4; exit_code != 0; epochs += 8) {
    Process process(arguments("parts", resume), folder_ / "err");
    const auto done = [&] {
      return fs::exists(folder_ / "parts" / "training.tsv")
                 ? Table::read(folder_ / "parts" / "training.tsv").rows()
                 : 0U;
    };
    for (int i = 0; i < 6000 && stops < 3 && done() < epochs; ++i) sleep_ms(5);
    if (stops < 3) process.send(SIGTERM);
    const CommandResult result = process.wait();
    exit_code = result.exit_code;
    err = result.err;
    ASSERT_TRUE(exit_code == 0 || exit_code == 143) << exit_code << "\n" << err;
    if (exit_code != 0) ++stops;
  }
  EXPECT_GE(stops, 2) << "the training ended before it could be stopped";
  EXPECT_EQ(history("whole"), history("parts"));
  for (const char* name :
       {"weights.safetensors", "scores.tsv", "checkpoints/last/optimizer.safetensors"}) {
    EXPECT_EQ(file(std::string("whole/") + name), file(std::string("parts/") + name)) << name;
  }
}

TEST_F(TrainCommandTest, DeterminismChangesNoBitOnTheCpu) {
  ASSERT_EQ(train("plain").exit_code, 0);
  ASSERT_EQ(train("other", {"--set", "train.deterministic=false"}).exit_code, 0);
  EXPECT_EQ(file("plain/scores.tsv"), file("other/scores.tsv"));
  EXPECT_EQ(history("plain"), history("other"));
  EXPECT_NE(file("plain/provenance.json").find("give equal bits"), std::string::npos);
}

TEST_P(TrainOnDevice, Bf16TrainsLikeFloat32) {
  const std::vector<std::string> settings = {"--set", "train.epochs=4"};
  ASSERT_EQ(train("exact", settings).exit_code, 0);
  std::vector<std::string> rough = settings;
  rough.insert(rough.end(), {"--set", "train.precision=bf16"});
  ASSERT_EQ(train("rough", rough).exit_code, 0);
  const Table exact = Table::read(folder_ / "exact" / "training.tsv");
  const Table bf16 = Table::read(folder_ / "rough" / "training.tsv");
  EXPECT_NE(history("exact"), history("rough")) << "bf16 was not used";
  EXPECT_NEAR(bf16.number(3, "train_loss"), exact.number(3, "train_loss"),
              0.05 * exact.number(3, "train_loss"));
  tests::expect_result(train("half", {"--set", "train.precision=fp16"}), 2, {"fp16", "bf16"});
  EXPECT_FALSE(fs::exists(folder_ / "half"));
}

TEST_F(TrainCommandTest, StepsHaveALineWhenAskedFor) {
  const CommandResult result = train("run", {"--log-steps", "4", "--set", "train.epochs=2"});
  // 18 scans in batches of 4 are 5 steps an epoch.
  tests::expect_result(
      result, 0,
      {"step 4/10 | epoch 1/2 batch 4/5 | loss ", "step 8/10 | epoch 2/2", "step 10/10", " left"});
  EXPECT_EQ(result.err.find("step 5/10"), std::string::npos);
  EXPECT_EQ(result.err.find("training: "), std::string::npos) << "not both kinds of lines";
}

TEST_F(TrainCommandTest, TheProfileCoversTheTimeAndTheWork) {
  ASSERT_EQ(train("plain").exit_code, 0);
  EXPECT_FALSE(core::read_json(folder_ / "plain" / "scores.json").contains("profile"));
  const CommandResult result = train("run", {"--profile"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(file("run/weights.safetensors"), file("plain/weights.safetensors"));
  for (const std::string& text : {result.err, file("run/log.txt")}) {
    EXPECT_NE(text.find("profile of 30 steps"), std::string::npos) << text;
  }
  const core::Json profile = core::read_json(folder_ / "run" / "scores.json").at("profile");
  std::map<std::string, core::Json> parts;
  double seconds = 0;
  for (const core::Json& part : profile.at("parts")) {
    parts[part.at("part")] = part;
    seconds += part.at("seconds").get<double>();
  }
  EXPECT_NEAR(seconds, profile.at("seconds").get<double>(), 1e-6);
  for (const char* name :
       {"data", "augmentation", "forward", "backward", "update", "validation", "files", "other"}) {
    ASSERT_TRUE(parts.count(name)) << name;
    EXPECT_GE(parts[name].at("seconds").get<double>(), 0) << name;
  }
  const auto layers = models::layers_of(
      models::read_weights_metadata(folder_ / "run" / "weights.safetensors").network);
  const double volume = static_cast<double>(models::total_flops(layers)) / 1e9;
  const auto work = [&](const char* name) {
    return parts[name].at("seconds").get<double>() *
           parts[name].at("gflop_per_second").get<double>();
  };
  constexpr double kScans = 6 * 18;
  EXPECT_NEAR(work("forward"), kScans * volume, 1e-9);
  const double first = static_cast<double>(layers.front().flops) / 1e9;
  EXPECT_NEAR(work("backward"), kScans * (2 * volume - first), 1e-9);
}

TEST_F(TrainCommandTest, AVolumeThatIsNotFiniteIsNamed) {
  tests::put_nan(folder_ / "cohort.h5", "bg", 5);
  tests::expect_result(train("run"), 3, {"sub-06", "not finite", "prepare this participant again"});
}

TEST_F(TrainCommandTest, SignalsWriteACheckpoint) {
  for (const auto& [signal_number, exit_code] : {std::pair(SIGTERM, 143), std::pair(SIGINT, 130)}) {
    const std::string run = "run" + std::to_string(signal_number);
    Process process(arguments(run, {"--set", "train.epochs=100000"}), folder_ / "err");
    while (!fs::exists(folder_ / run / "training.tsv")) sleep_ms(5);
    process.send(SIGUSR1);
    // Until it says so; the signal that follows must not arrive within the same batch.
    for (int i = 0; i < 3000; ++i) {
      if (file("err").find("checkpoint written after") != std::string::npos) break;
      sleep_ms(20);
    }
    process.send(signal_number);
    const CommandResult result = process.wait();
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    const std::string text = "checkpoint written after";
    const std::size_t first = result.err.find(text);
    EXPECT_NE(first, std::string::npos) << result.err;
    EXPECT_NE(result.err.find(text, first + 1), std::string::npos)
        << "USR1 writes one and goes on\n"
        << result.err;
    EXPECT_TRUE(fs::exists(folder_ / run / "checkpoints/last/DONE"));
    EXPECT_FALSE(fs::exists(folder_ / run / "weights.safetensors"));
  }
}

TEST_F(TrainCommandTest, ResumeRefusesWhatChanged) {
  ASSERT_EQ(train("run", {"--set", "train.epochs=2"}).exit_code, 0);
  tests::expect_result(train("run", {"--set", "train.epochs=3", "--resume"}), 2,
                       {"recipe/train/epochs was 2, is 3", "--resume=force"});
  tests::expect_result(train("run", {"--set", "train.epochs=2", "--resume", "--seed", "9"}), 2,
                       {"seed was 1, is 9"});
  edit("splits.tsv", "sub-01\ttrain", "sub-01\ttest");
  tests::expect_result(train("run", {"--set", "train.epochs=2", "--resume"}), 2, {"examples was"});
  edit("splits.tsv", "sub-01\ttest", "sub-01\ttrain");
  fs::remove(folder_ / "cohort.h5");
  const tests::TemporaryFolder other;
  write_tiny_cohort(other.path(), 25);
  fs::copy_file(other / "cohort.h5", folder_ / "cohort.h5");
  tests::expect_result(train("run", {"--set", "train.epochs=2", "--resume"}), 2, {"cohort was"});
  // Forced, it goes on.
  const CommandResult forced = train("run", {"--set", "train.epochs=3", "--resume=force"});
  tests::expect_result(forced, 0, {"resuming although cohort was"});
  const Table history = Table::read(folder_ / "run" / "training.tsv");
  EXPECT_EQ(history.rows(), 2U) << "a finished training stays finished";
}

TEST_F(TrainCommandTest, RunFoldersAreNotOverwrittenNorRestartedSilently) {
  tests::expect_result(train("run", {"--set", "train.epochs=1", "--resume"}), 0,
                       {"holds no training: starting from the beginning"});
  tests::expect_result(train("run"), 2, {"holds a training already", "--resume", "--force"});
  fs::remove_all(folder_ / "run" / "checkpoints");
  tests::expect_result(train("run", {"--resume"}), 2, {"no complete checkpoint", "--force"});
  EXPECT_EQ(train("run", {"--set", "train.epochs=1", "--force"}).exit_code, 0);
  std::ofstream(folder_ / "plain") << "x";
  tests::expect_result(train("plain"), 2, {"is a file, not a folder"});
}

TEST_F(TrainCommandTest, ADamagedCheckpointDoesNotCount) {
  ASSERT_EQ(train("run", {"--set", "train.epochs=2"}).exit_code, 0);
  fs::resize_file(folder_ / "run/checkpoints/last/optimizer.safetensors", 100);
  tests::expect_result(train("run", {"--set", "train.epochs=2", "--resume"}), 2,
                       {"no complete checkpoint"});
}

TEST_F(TrainCommandTest, BadLabelsAreNamed) {
  edit("scores.tsv", "sub-02\t", "sub-99\t");
  tests::expect_result(train("run"), 3,
                       {"1 train or validation scans have no rater1 score", "sub-02"});
  edit("scores.tsv", "sub-99\t", "sub-03\t");
  tests::expect_result(train("run"), 3, {"sub-03", "already"});
  edit("scores.tsv", "sub-03\t", "sub-02\tmany\nsub-98\t");
  tests::expect_result(train("run"), 3, {"many", "rater1"});
  tests::expect_result(train("run", {"--target", "rater9"}), 2, {"rater9"});
}

TEST_F(TrainCommandTest, NegativeAndFractionalLabelsAreAllowedAndSaid) {
  std::string text = file("scores.tsv");
  const std::size_t begin = text.find("sub-02\t") + 7;
  text.replace(begin, text.find('\n', begin) - begin, "-1.5");
  std::ofstream(folder_ / "scores.tsv") << text;
  const CommandResult result = train("run", {"--set", "train.epochs=1"});
  tests::expect_result(
      result, 0,
      {"1 of 18 train scores are not whole numbers", "1 of 18 train scores are negative"});
}

TEST_F(TrainCommandTest, BadSplitsAreNamed) {
  edit("splits.tsv", "0\t0\tsub-01\ttrain", "0\t0\tsub-77\ttrain");
  tests::expect_result(train("run"), 3, {"sub-77", "not in"});
  edit("splits.tsv", "0\t0\tsub-77\ttrain", "0\t0\tsub-02\ttest");
  tests::expect_result(train("run"), 3, {"sub-02 is in", "one split only"});
  edit("splits.tsv", "0\t0\tsub-02\ttest", "0\t0\tsub-01\ttrain");
  tests::expect_result(train("run", {"--fold", "4"}), 3, {"no repeat 0 fold 4", "repeat 0 fold 0"});
}

TEST_F(TrainCommandTest, BadRecipesAreNamed) {
  std::ofstream(folder_ / "recipe.toml") << "[train]\nepoch = 3\n";
  tests::expect_result(train("run"), 2, {"train.epoch", "train.epochs"});
  std::ofstream(folder_ / "recipe.toml") << "recipe_version = 99\n";
  tests::expect_result(train("run"), 2, {"recipe_version = 99"});
  std::ofstream(folder_ / "recipe.toml") << "[train]\nregion = \"cso\"\n";
  tests::expect_result(train("run"), 3, {"no region 'cso'", "bg"});
  std::ofstream(folder_ / "recipe.toml") << "[train]\nlearning_rates = [\"output*\"]\n";
  tests::expect_result(train("run"), 2, {"train.learning_rates", "pattern=factor"});
  fs::remove(folder_ / "recipe.toml");
  tests::expect_result(train("run"), 3, {"recipe.toml"});
}

TEST_F(TrainCommandTest, MissingOptionsAndDevicesAreNamed) {
  tests::expect_result(Process({(folder_ / "recipe.toml").string()}, folder_ / "err").wait(), 2,
                       {"--cohort is missing"});
  tests::expect_result(train("run", {"--resume-force"}), 2, {"--resume-force without --resume"});
  tests::expect_result(train("run", {"--device", "cuda:7"}), 2, {"cuda:7 is not there"});
  tests::expect_result(train("run", {"--device", "gpu"}), 2, {"auto, cpu, cuda or cuda:N"});
}

TEST_F(TrainCommandTest, WithoutValidationThereIsNoEarlyStopping) {
  std::string text = file("splits.tsv");
  for (std::size_t at = text.find("validation"); at != std::string::npos;
       at = text.find("validation")) {
    text.replace(at, 10, "test");
  }
  std::ofstream(folder_ / "splits.tsv") << text;
  tests::expect_result(train("run", {"--set", "train.patience=5"}), 2,
                       {"train.patience = 5", "no validation participants"});
  tests::expect_result(train("run", {"--set", "train.schedule=plateau"}), 2,
                       {"train.schedule = plateau", "no validation participants"});
  ASSERT_EQ(train("run", {"--set", "train.epochs=2"}).exit_code, 0);
  const Table history = Table::read(folder_ / "run" / "training.tsv");
  EXPECT_TRUE(history.missing(1, history.index("validation_loss")));
  EXPECT_EQ(history.cell(1, "is_best"), "1") << "the last epoch is the best";
}

TEST_F(TrainCommandTest, DivergenceNamesTheFirstValueAndKeepsTheCheckpoint) {
  const CommandResult result =
      train("run", {"--set", "train.optimizer=sgd", "--set", "train.learning_rate=1e6", "--set",
                    "train.epochs=50"});
  tests::expect_result(result, 1, {"training diverged in epoch", "last good checkpoint is kept"});
  EXPECT_TRUE(fs::exists(folder_ / "run/checkpoints/last/DONE"));
  EXPECT_FALSE(fs::exists(folder_ / "run/weights.safetensors"));
}

TEST_F(TrainCommandTest, CollapsedScoresAreWarnedOf) {
  const std::vector<std::string> flat = {"--set", "train.learning_rate=1e-9", "--set",
                                         "train.epochs=12"};
  tests::expect_result(train("run", flat), 0, {"collapsed to one value", "pool_scale_from_voxels"});
  // The first epochs of Adadelta are flat in any case: they are not warned of.
  const CommandResult early =
      train("early", {"--set", "train.learning_rate=1e-9", "--set", "train.epochs=9"});
  tests::expect_result(early, 0, {});
  EXPECT_EQ(early.err.find("collapsed"), std::string::npos) << early.err;
}

TEST_F(TrainCommandTest, InitStartsFromWeightsAndChecksThem) {
  ASSERT_EQ(train("first").exit_code, 0);
  // Nothing is learned at a learning rate of nearly zero: the scores are those of the first run.
  const CommandResult second =
      train("second", {"--init", (folder_ / "first").string(), "--set", "train.learning_rate=1e-30",
                       "--set", "train.epochs=1"});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(file("first/scores.tsv"), file("second/scores.tsv"));
}

TEST_F(TrainCommandTest, TheNetworkComesFromInit) {
  ASSERT_EQ(train("first", {"--set", "train.epochs=1"}).exit_code, 0);
  // A recipe that says nothing of the network, whose default is another one.
  std::ofstream(folder_ / "recipe.toml") << "[train]\nepochs = 1\nbatch_size = 4\n";
  const CommandResult second = train("second", {"--init", (folder_ / "first").string()});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_NE(file("second/recipe.toml").find("first_features = 4"), std::string::npos);
  // What it states otherwise is refused, all of it at once.
  std::ofstream(folder_ / "recipe.toml")
      << "[network]\narchitecture = \"cnn4\"\nfirst_features = 8\n";
  tests::expect_result(train("third", {"--init", (folder_ / "first").string()}), 2,
                       {"network.architecture", "cnn4", "gp_unet", "network.first_features", "8",
                        "4", "weights.safetensors"});
}

TEST_F(TrainCommandTest, FineTuningNeverGivesWorseWeightsThanItStartedFrom) {
  ASSERT_EQ(train("first", {"--set", "train.epochs=12"}).exit_code, 0);
  // Steps of the output bias so large that every epoch is worse.
  const CommandResult second =
      train("second", {"--init", (folder_ / "first").string(), "--set",
                       "train.freeze=down_*,bottom_*,up_*,output.weight", "--set",
                       "train.optimizer=sgd", "--set", "train.learning_rate=20", "--set",
                       "train.clip_norm=1", "--set", "train.epochs=3"});
  tests::expect_result(
      second, 0, {"before training, the weights of --init", "no epoch was better", "best epoch 0"});
  EXPECT_EQ(file("first/scores.tsv"), file("second/scores.tsv"));
  const Table history = Table::read(folder_ / "second" / "training.tsv");
  ASSERT_EQ(history.rows(), 4U);
  EXPECT_EQ(history.cell(0, "epoch"), "0");
  EXPECT_EQ(history.cell(0, "is_best"), "1");
  EXPECT_TRUE(history.missing(0, history.index("train_loss")));
  EXPECT_GT(history.number(3, "validation_loss"), history.number(0, "validation_loss"));
  // And without --init the first epoch is the first candidate.
  EXPECT_EQ(Table::read(folder_ / "first" / "training.tsv").cell(0, "epoch"), "1");
}

TEST_F(TrainCommandTest, FrozenParametersKeepTheirValues) {
  ASSERT_EQ(train("first").exit_code, 0);
  const CommandResult frozen = train(
      "frozen", {"--init", (folder_ / "first").string(), "--set",
                 "train.freeze=down_*,bottom_*,up_*,output.weight", "--set", "train.epochs=2"});
  ASSERT_EQ(frozen.exit_code, 0) << frozen.err;
  const auto tensors_of = [&](const std::string& weights) {
    const fs::path path = folder_ / weights / "weights.safetensors";
    const models::SafetensorsHeader header = models::read_safetensors_header(path);
    std::map<std::string, std::string> tensors;
    for (const models::TensorEntry& entry : header.tensors) {
      tensors[entry.name].resize(entry.end - entry.begin);
      models::read_safetensors_data(path, header, entry, tensors[entry.name].data());
    }
    return tensors;
  };
  const auto before = tensors_of("first");
  for (const auto& [name, bytes] : tensors_of("frozen/checkpoints/last")) {
    EXPECT_EQ(bytes == before.at(name), name != "output.bias") << name;
  }
}

TEST_F(TrainCommandTest, AccumulatedBatchesEqualOneLargeBatch) {
  // Without augmentation; equal up to the order of summation in float32.
  ASSERT_EQ(train("whole", {"--set", "train.batch_size=6", "--set", "train.epochs=2"}).exit_code,
            0);
  ASSERT_EQ(train("parts", {"--set", "train.batch_size=2", "--set", "train.accumulate=3", "--set",
                            "train.epochs=2"})
                .exit_code,
            0);
  const auto whole = core::ScoresTable::read(folder_ / "whole" / "scores.tsv");
  const auto parts = core::ScoresTable::read(folder_ / "parts" / "scores.tsv");
  for (std::size_t i = 0; i < whole.values.size(); ++i) {
    EXPECT_NEAR(whole.values[i][0], parts.values[i][0], 2e-3);
  }
}

TEST_F(TrainCommandTest, TensorBoardFileIsThereOnceAndOnlyWhenWanted) {
  const auto event_files = [&](const std::string& run) {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(folder_ / run)) {
      if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) ++count;
    }
    return count;
  };
  ASSERT_EQ(train("run", {"--set", "train.epochs=2"}).exit_code, 0);
  ASSERT_EQ(train("run", {"--set", "train.epochs=2", "--resume"}).exit_code, 0);
  EXPECT_EQ(event_files("run"), 1);
  ASSERT_EQ(
      train("without", {"--set", "train.epochs=1", "--set", "train.tensorboard=false"}).exit_code,
      0);
  EXPECT_EQ(event_files("without"), 0);
}

TEST_F(TrainCommandTest, PreviewIsASheetOfSlices) {
  const std::string recipe = (folder_ / "recipe.toml").string();
  const std::string sheet = (folder_ / "sheet.png").string();
  const std::vector<std::string> arguments = {recipe, "--cohort", (folder_ / "cohort.h5").string(),
                                              "--preview-augmentation", sheet};
  EXPECT_EQ(Process(arguments, folder_ / "err").wait().exit_code, 0);
  EXPECT_EQ(core::read_text(sheet).substr(1, 3), "PNG");
  tests::expect_result(Process(arguments, folder_ / "err").wait(), 2, {"sheet.png", "--force"});
  tests::expect_result(Process({recipe, "--preview-augmentation", sheet}, folder_ / "err").wait(),
                       2, {"--preview-augmentation needs RECIPE and --cohort"});
}

TEST_F(TrainCommandTest, RecipesOfTheProjectAreValid) {
  int count = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(tests::source_folder() / "experiments" / "recipes")) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".toml" || name.find(".experiment.") != std::string::npos) {
      continue;
    }
    ++count;
    const CommandResult result =
        Process({entry.path().string(), "--print-recipe"}, folder_ / "err").wait();
    EXPECT_EQ(result.exit_code, 0) << entry.path() << "\n" << result.err;
  }
  EXPECT_GE(count, 7);
}

TEST_F(TrainCommandTest, DryRunWritesNothing) {
  const CommandResult result = train("run", {"--dry-run"});
  tests::expect_result(result, 0, {"gp_unet on bg", "18 train, 3 validation, 3 test", "--dry-run"});
  EXPECT_EQ(result.err.find("train.batch_size"), std::string::npos) << "settings only if asked for";
  tests::expect_result(train("run", {"--dry-run", "--verbose"}), 0, {"train.batch_size"});
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(TrainCommandTest, InputsThatThePaperDidNotUseAreWarnedOf) {
  // The tiny cohort has the voxels and the normalisation of P2, so only P1's network is warned of.
  EXPECT_EQ(train("gp", {"--dry-run"}).err.find("had other inputs"), std::string::npos);
  const CommandResult p1 = train(
      "p1", {"--dry-run", "--set", "network.architecture=media2019", "--set", "network.blocks=1",
             "--set", "network.convolutions_per_block=1", "--set", "network.padding=same", "--set",
             "train.pool_scale_from_voxels=false", "--set", "network.trailing_convolution=false"});
  tests::expect_result(
      p1, 0,
      {"media2019 of Dubost et al. 2019 (Medical Image Analysis) had other inputs",
       "spacing_mm: 0.5,0.5,0.5 and 0.5,0.5,0.8", "crop_voxels: 168,128,84 and 16,12,8",
       "normalisation: max and minmax", "registration: rigid and none", "--preset p1"});
}

TEST_F(TrainCommandTest, OneOfSeveralRegionsIsChosen) {
  std::vector<data::PreprocessingOptions> options(2);
  options[0].crop_voxels = options[1].crop_voxels = {4, 4, 4};
  options[1].region = "cso";
  data::CohortWriter writer(folder_ / "two.h5", options, core::Json::object());
  for (const char* region : {"bg", "cso"}) {
    data::CohortRow row;
    row.participant_id = "sub-01";
    row.roi.shape = row.source.shape = {4, 4, 4};
    writer.append(region, row,
                  {std::vector<float>(64), std::vector<std::uint8_t>(64), std::vector<float>(64)});
  }
  writer.finish();
  const std::string two = (folder_ / "two.h5").string();
  tests::expect_result(train("run", {"--cohort", two}), 2, {"regions bg, cso", "--region NAME"});
  // The split names participants that this cohort lacks, of the region that was chosen.
  tests::expect_result(train("run", {"--cohort", two, "--region", "cso"}), 3,
                       {"are not in", "(cso)"});
}

TEST_F(TrainCommandTest, PrintedRecipeIsARecipe) {
  const CommandResult printed = Process({"--print-recipe"}, folder_ / "err").wait();
  ASSERT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_NE(printed.err.find("rho = 0.95"), std::string::npos);
  std::ofstream(folder_ / "recipe.toml") << printed.err;
  const CommandResult again =
      Process({(folder_ / "recipe.toml").string(), "--print-recipe"}, folder_ / "err").wait();
  EXPECT_EQ(again.err, printed.err);
}

}  // namespace
}  // namespace epvs::train
