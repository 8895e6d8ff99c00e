// The variables of torchrun, mpirun and srun, as those programs set them.
#include "train/distributed/launch.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/support/test_support.h"
#include "train/distributed/collectives.h"

namespace epvs::train {
namespace {

using tests::expect_error;

Environment with(Environment environment, const Environment& more) {
  for (const auto& [name, value] : more) environment[name] = value;
  return environment;
}

const Environment kTorchrun = {
    {"RANK", "3"}, {"WORLD_SIZE", "8"}, {"MASTER_ADDR", "gpu1"}, {"MASTER_PORT", "29501"}};
const Environment kStep = {
    {"SLURM_PROCID", "5"}, {"SLURM_NTASKS", "8"}, {"SLURM_STEP_NUM_TASKS", "8"}};

TEST(LaunchTest, NoVariablesIsOneProcess) {
  const Launch launch = find_launch({{"HOME", "/root"}, {"MASTER_PORT", "29502"}, {"RANK", "1"}});
  EXPECT_EQ(launch.rank, 0);
  EXPECT_EQ(launch.size, 1);
  EXPECT_EQ(launch.launcher, "");
}

TEST(LaunchTest, EachLauncherHasItsVariables) {
  const auto expect = [](const Environment& environment, const std::string& launcher, int rank,
                         int size) {
    const Launch launch = find_launch(environment);
    EXPECT_EQ(launch.launcher, launcher);
    EXPECT_EQ(launch.rank, rank);
    EXPECT_EQ(launch.size, size);
    return launch;
  };
  const Launch torchrun = expect(kTorchrun, "torchrun", 3, 8);
  EXPECT_EQ(torchrun.address, "gpu1");
  EXPECT_EQ(torchrun.port, 29501);
  EXPECT_FALSE(torchrun.agent_listens);
  const Launch open_mpi =
      expect({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}}, "mpirun", 1, 2);
  EXPECT_EQ(open_mpi.address, "127.0.0.1") << "one machine where nothing else is said";
  EXPECT_EQ(open_mpi.port, 29500);
  expect({{"PMI_RANK", "0"}, {"PMI_SIZE", "4"}}, "mpirun", 0, 4);
  const Launch srun = expect(with(kStep, {{"MASTER_ADDR", "node03"}}), "srun", 5, 8);
  EXPECT_EQ(srun.address, "node03");
}

TEST(LaunchTest, TorchrunMayListenItselfAndStartAgain) {
  const Launch launch = find_launch(with(
      kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "2"}}));
  EXPECT_TRUE(launch.agent_listens);
  EXPECT_EQ(launch.attempt, "2");
}

TEST(LaunchTest, SlurmWithoutAStepOrWithOneTaskIsOneProcess) {
  // A batch script: the job has 8 tasks, but this is no step of it.
  EXPECT_EQ(find_launch({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).size, 1);
  // srun of one task within that job, and a task of a job array.
  EXPECT_EQ(find_launch(with(kStep, {{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}})).size,
            1);
}

TEST(LaunchTest, TheInnermostLauncherCounts) {
  // torchrun and mpirun started by Slurm: the variables of the step count their daemons.
  EXPECT_EQ(find_launch(with(kStep, kTorchrun)).launcher, "torchrun");
  const Launch mpi =
      find_launch(with(kStep, {{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "4"}}));
  EXPECT_EQ(mpi.launcher, "mpirun");
  EXPECT_EQ(mpi.size, 4);
}

TEST(LaunchTest, WrongVariablesAreNamed) {
  const auto refuse = [](const Environment& change, const std::vector<std::string>& texts) {
    expect_error<core::UsageError>([&] { find_launch(with(kTorchrun, change)); }, texts);
  };
  refuse({{"RANK", "8"}}, {"RANK is '8'", "from 0 to 7"});
  refuse({{"RANK", "-1"}}, {"RANK is '-1'", "from 0 to 7"});
  refuse({{"RANK", "two"}}, {"RANK is 'two'", "whole number"});
  refuse({{"RANK", ""}}, {"RANK is ''", "from 0 to 7", "unset them"});
  refuse({{"WORLD_SIZE", "0"}}, {"WORLD_SIZE is '0'", "from 1"});
  refuse({{"MASTER_PORT", "70000"}}, {"MASTER_PORT is '70000'", "65535"});
}

// This executable is linked as a build without c10d is.
TEST(LaunchTest, ABuildWithoutC10dSaysSo) {
  const Launch launch = find_launch(kTorchrun);
  expect_error<core::UsageError>([&] { connect(launch, std::chrono::seconds(1)); },
                                 {"torchrun asks for 8 processes", "no c10d", "libgloo-dev"});
}

}  // namespace
}  // namespace epvs::train
