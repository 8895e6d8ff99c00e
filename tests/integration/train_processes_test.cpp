// Several real processes of epvs train over the loopback device, against one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>

#include "core/json.h"
#include "core/scores.h"
#include "core/table.h"
#include "models/safetensors.h"
#include "tests/support/test_support.h"
#include "tests/support/train_fixture.h"

namespace epvs::train {
namespace {

namespace fs = std::filesystem;
using core::Table;
using tests::CommandResult;

/// All numbers of a weights file, in the order of the file, in double.
std::vector<double> numbers_of(const fs::path& path) {
  const models::SafetensorsHeader header = models::read_safetensors_header(path);
  std::vector<double> numbers;
  for (const models::TensorEntry& tensor : header.tensors) {
    const std::size_t width = models::dtype_bytes(tensor.dtype);
    std::vector<char> bytes(tensor.end - tensor.begin);
    models::read_safetensors_data(path, header, tensor, bytes.data());
    for (std::size_t at = 0; at < bytes.size(); at += width) {
      float single = 0;
      double number = 0;
      if (width == sizeof single) std::memcpy(&single, &bytes[at], sizeof single);
      if (width == sizeof number) std::memcpy(&number, &bytes[at], sizeof number);
      numbers.push_back(width == sizeof single ? static_cast<double>(single) : number);
    }
  }
  return numbers;
}

double largest_difference(const fs::path& a, const fs::path& b) {
  const std::vector<double> first = numbers_of(a);
  const std::vector<double> second = numbers_of(b);
  if (first.size() != second.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    largest = std::max(largest, std::abs(first[i] - second[i]));
  }
  return largest;
}

class ProcessesTest : public TrainTest {
 protected:
  static Arguments set(const Arguments& settings) {
    Arguments all;
    for (const std::string& setting : settings) {
      all.emplace_back("--set");
      all.push_back(setting);
    }
    return all;
  }
  /// One process, or several as a launcher starts them; the outcome of rank 0.
  CommandResult train(const std::string& run, int processes, const Arguments& more) const {
    if (processes == 1) return TrainTest::train(run, more);
    auto all = launch(run, processes, {more});
    CommandResult first = all.front()->wait();
    for (std::size_t rank = 1; rank < all.size(); ++rank) {
      EXPECT_EQ(all[rank]->wait().exit_code, first.exit_code) << "rank " << rank;
    }
    return first;
  }
  /// Processes started by hand, as a launcher does.
  std::vector<std::unique_ptr<Process>> launch(const std::string& run, int size,
                                               const std::vector<Arguments>& more) const {
    const std::string port = std::to_string(20000 + ::getpid() % 10000);
    std::vector<std::unique_ptr<Process>> processes;
    for (int rank = 0; rank < size; ++rank) {
      const auto own = std::min(more.size() - 1, static_cast<std::size_t>(rank));
      processes.push_back(std::make_unique<Process>(
          arguments(run, more[own]), folder_ / ("output" + std::to_string(rank)),
          std::map<std::string, std::optional<std::string>>{{"RANK", std::to_string(rank)},
                                                            {"WORLD_SIZE", std::to_string(size)},
                                                            {"MASTER_ADDR", "127.0.0.1"},
                                                            {"MASTER_PORT", port}}));
    }
    return processes;
  }
  void wait_for_first_epoch(const std::string& run) const {
    for (int i = 0; i < 3000 && !fs::exists(folder_ / run / "training.tsv"); ++i) sleep_ms(20);
    ASSERT_TRUE(fs::exists(folder_ / run / "training.tsv"));
  }
  fs::path last(const std::string& run, const char* name = "weights.safetensors") const {
    return folder_ / run / "checkpoints" / "last" / name;
  }
};

// 10 epochs of 5, 5, 5 and 3 scans: 40 updates, two processes take 3 and 2, then 2 and 1.
const Arguments kFortySteps = {
    "--set", "train.epochs=10",         "--set", "train.batch_size=5",
    "--set", "train.precision=float64", "--set", "train.tensorboard=false"};

TEST_F(ProcessesTest, TwoProcessesGiveTheWeightsOfOneInDoublePrecision) {
  ASSERT_EQ(train("one", 1, kFortySteps).exit_code, 0);
  const CommandResult two = train("two", 2, kFortySteps);
  ASSERT_EQ(two.exit_code, 0) << two.err;
  EXPECT_LT(largest_difference(last("one"), last("two")), 1e-12);
  EXPECT_LT(largest_difference(last("one", "optimizer.safetensors"),
                               last("two", "optimizer.safetensors")),
            1e-12);
  // The controls: the training moves the weights, and one process with the share of one of the two
  // (what comes out where gradients are not summed) ends elsewhere.
  const Arguments share = plus(kFortySteps, set({"train.batch_size=3"}));
  ASSERT_EQ(train("share", 1, share).exit_code, 0);
  EXPECT_GT(largest_difference(last("one"), last("share")), 1e-3);
  // The figures are those of all scans, not of the shares.
  const Table one_table = Table::read(folder_ / "one" / "training.tsv");
  const Table two_table = Table::read(folder_ / "two" / "training.tsv");
  ASSERT_EQ(one_table.rows(), 10U);
  ASSERT_EQ(two_table.rows(), 10U);
  for (const char* column : {"train_loss", "validation_loss", "validation_icc2", "gradient_norm"}) {
    for (std::size_t row = 0; row < 10; ++row) {
      EXPECT_NEAR(std::stod(one_table.cell(row, column)), std::stod(two_table.cell(row, column)),
                  1e-9)
          << column << " " << row;
    }
  }
  const auto one_scores = core::ScoresTable::read(folder_ / "one" / "scores.tsv");
  const auto two_scores = core::ScoresTable::read(folder_ / "two" / "scores.tsv");
  ASSERT_EQ(one_scores.values.size(), 6U);
  ASSERT_EQ(two_scores.values.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(one_scores.values[i][0], two_scores.values[i][0], 1e-5) << "of float32 weights";
  }
}

// Losses that are no mean over scans, accumulation, clipping, three processes of which the last has
// nothing to do in the last batch (of two scans).
TEST_F(ProcessesTest, AnyLossIsThatOfTheWholeBatch) {
  for (const char* loss : {"rmse", "summed", "tukey"}) {
    const Arguments settings =
        set({std::string("train.loss=") + loss, "train.precision=float64", "train.epochs=2",
             "train.batch_size=4", "train.accumulate=2", "train.clip_norm=0.05",
             "train.optimizer=adamw", "train.output_fit=ridge", "train.learning_rate=0.01",
             "train.tensorboard=false"});
    const std::string one = std::string("one_") + loss;
    const std::string three = std::string("three_") + loss;
    ASSERT_EQ(train(one, 1, settings).exit_code, 0);
    ASSERT_EQ(train(three, 3, settings).exit_code, 0);
    EXPECT_LT(largest_difference(last(one), last(three)), 1e-12) << loss;
  }
}

TEST_F(ProcessesTest, ResumeIsBitEqualAlsoAfterAKill) {
  const Arguments settings =
      set({"train.epochs=12", "train.checkpoint_minutes=0.0001", "train.tensorboard=false",
           "train.optimizer=adamw", "train.learning_rate=0.01"});
  ASSERT_EQ(train("whole", 2, settings).exit_code, 0);
  auto processes = launch("killed", 2, {plus(settings, {"--resume"})});
  wait_for_first_epoch("killed");
  processes[0]->send(SIGKILL);
  processes[0]->wait();
  processes[1]->wait();
  const CommandResult resumed = train("killed", 2, plus(settings, {"--resume"}));
  tests::expect_result(resumed, 0, {"resuming after"});
  EXPECT_EQ(file("whole/weights.safetensors"), file("killed/weights.safetensors"));
  EXPECT_EQ(file("whole/scores.tsv"), file("killed/scores.tsv"));
  EXPECT_EQ(core::read_text(last("whole", "optimizer.safetensors")),
            core::read_text(last("killed", "optimizer.safetensors")));
}

TEST_F(ProcessesTest, ResumeWithAnotherNumberOfProcessesIsWarnedOf) {
  const Arguments settings = set({"train.tensorboard=false", "train.precision=float64"});
  const Arguments more = plus(settings, set({"train.epochs=4"}));
  ASSERT_EQ(train("whole", 1, more).exit_code, 0);
  auto processes = launch("parts", 2, {plus(settings, set({"train.epochs=4"}))});
  wait_for_first_epoch("parts");
  processes[1]->send(SIGTERM);
  const int code = processes[0]->wait().exit_code;
  ASSERT_TRUE(code == 143 || code == 0);
  EXPECT_EQ(processes[1]->wait().exit_code, code);
  const CommandResult resumed = train("parts", 1, plus(more, {"--resume"}));
  tests::expect_result(resumed, 0, {"processes was 2, is 1", "last bits"});
  EXPECT_LT(largest_difference(last("whole"), last("parts")), 1e-12);
}

TEST_F(ProcessesTest, AKilledProcessEndsTheOthersByName) {
  for (const int victim : {1, 0}) {
    const std::string run = "killed" + std::to_string(victim);
    auto processes = launch(run, 3, {set({"train.epochs=100000", "train.tensorboard=false"})});
    wait_for_first_epoch(run);
    const auto start = std::chrono::steady_clock::now();
    processes[static_cast<std::size_t>(victim)]->send(SIGKILL);
    for (int rank = 0; rank < 3; ++rank) {
      const CommandResult result = processes[static_cast<std::size_t>(rank)]->wait();
      if (rank == victim) continue;
      tests::expect_result(
          result, 1,
          {"rank " + std::to_string(victim) + " (host ",
           "process " + std::to_string(processes[static_cast<std::size_t>(victim)]->id()),
           "no longer answers", "the last checkpoint is kept"});
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
    EXPECT_TRUE(fs::exists(last(run, "DONE")));
  }
}

TEST_F(ProcessesTest, AStopToOneStopsAllWithACheckpoint) {
  auto processes = launch("run", 2, {set({"train.epochs=100000", "train.tensorboard=false"})});
  wait_for_first_epoch("run");
  processes[1]->send(SIGTERM);
  tests::expect_result(processes[0]->wait(), 143, {"checkpoint written after"});
  tests::expect_result(processes[1]->wait(), 143, {"rank 1 (host"});
  EXPECT_TRUE(fs::exists(last("run", "DONE")));
}

TEST_F(ProcessesTest, AProcessThatDiffersIsRefused) {
  auto seeds = launch("run", 2, {{"--seed", "1"}, {"--seed", "2"}});
  for (auto& process : seeds) {
    tests::expect_result(process->wait(), 2, {"rank 1 (host", "seed is 2, but 1 at rank 0 (host"});
  }
  auto recipes = launch("run", 2, {set({"train.rho=0.9"}), {}});
  for (auto& process : recipes) {
    tests::expect_result(process->wait(), 2, {"recipe/train/rho is 0.95, but 0.9 at rank 0"});
  }
  // Another cohort under the same name, as on a machine with an old copy.
  fs::create_directories(folder_ / "old");
  write_tiny_cohort(folder_ / "old", 28);
  auto cohorts = launch("run", 2, {{}, {"--cohort", (folder_ / "old" / "cohort.h5").string()}});
  for (auto& process : cohorts)
    tests::expect_result(process->wait(), 2, {"rank 1 (host", "cohort is"});
  EXPECT_FALSE(fs::exists(folder_ / "run")) << "nothing was written";
}

TEST_F(ProcessesTest, AFailureOfOneIsSaidByAll) {
  auto processes = launch("run", 2, {{}, {"--cohort", (folder_ / "absent.h5").string()}});
  tests::expect_result(processes[1]->wait(), 3, {"absent.h5"});
  // Rank 1 failed before it came: nobody is there to wait for.
  processes[0]->send(SIGTERM);
  processes[0]->wait();
  std::ofstream(folder_ / "empty.tsv") << "repeat\tfold\tparticipant_id\tsplit\n";
  auto splits = launch("run", 2, {{}, {"--splits", (folder_ / "empty.tsv").string()}});
  const CommandResult failed = splits[1]->wait();
  EXPECT_NE(failed.exit_code, 0);
  tests::expect_result(splits[0]->wait(), 1, {"rank 1 (host", "failed: "});
}

TEST_F(ProcessesTest, TooFewScansPerBatchAreRefused) {
  tests::expect_result(train("run", 2, set({"train.batch_size=1"})), 2,
                       {"train.batch_size = 1, but 2 processes share each batch",
                        "set train.batch_size = 2 or more"});
  const CommandResult half =
      Process(arguments("run", {}), folder_ / "output", {{"WORLD_SIZE", "2"}}).wait();
  tests::expect_result(half, 2, {"RANK is ''", "from 0 to 1"});
}

TEST_F(ProcessesTest, OneTaskOfSlurmIsOneProcess) {
  // Bit-equal to a run without a launcher, and no word of processes in what it writes.
  ASSERT_EQ(train("plain", 1, {}).exit_code, 0);
  const CommandResult task = Process(arguments("task", {}), folder_ / "output",
                                     {{"SLURM_JOB_ID", "77"},
                                      {"SLURM_ARRAY_TASK_ID", "3"},
                                      {"SLURM_STEP_ID", "0"},
                                      {"SLURM_PROCID", "0"},
                                      {"SLURM_NTASKS", "1"},
                                      {"SLURM_STEP_NUM_TASKS", "1"}})
                                 .wait();
  ASSERT_EQ(task.exit_code, 0) << task.err;
  EXPECT_EQ(file("plain/weights.safetensors"), file("task/weights.safetensors"));
  const core::Json state = core::read_json(last("task", "state.json"));
  EXPECT_FALSE(state.at("identity").contains("/processes"));
  EXPECT_EQ(task.err.find("rank"), std::string::npos);
}

}  // namespace
}  // namespace epvs::train
