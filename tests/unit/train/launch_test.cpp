// The variables of torchrun, mpirun, PMI and srun, as those programs set them.
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/support/test_support.h"
#include "train/connection.h"
#include "train/launch.h"

namespace epvs::train {
namespace {

using tests::expect_error;

Environment with(Environment environment, const Environment& more) {
  for (const auto& [name, value] : more) environment[name] = value;
  return environment;
}

TEST(LaunchTest, NoVariablesIsOneProcess) {
  const Launch launch = find_launch({{"HOME", "/root"}, {"MASTER_PORT", "29500"}});
  EXPECT_EQ(launch.rank, 0);
  EXPECT_EQ(launch.size, 1);
  EXPECT_EQ(launch.launcher, "");
  EXPECT_EQ(launch.port, 0) << "nobody listens";
}

const Environment kTorchrun = {{"RANK", "3"},           {"WORLD_SIZE", "8"},
                               {"LOCAL_RANK", "1"},     {"LOCAL_WORLD_SIZE", "2"},
                               {"MASTER_ADDR", "gpu1"}, {"MASTER_PORT", "29501"}};

TEST(LaunchTest, Torchrun) {
  const Launch launch = find_launch(kTorchrun);
  EXPECT_EQ(launch.launcher, "torchrun");
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch.size, 8);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.address, "gpu1");
  EXPECT_EQ(launch.port, 29501);
  EXPECT_FALSE(launch.agent_listens);
  const Launch agent = find_launch(with(
      kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "2"}}));
  EXPECT_TRUE(agent.agent_listens);
  EXPECT_EQ(agent.attempt, "2");
}

TEST(LaunchTest, LocalRankMayBeLeftOut) {
  Environment environment = kTorchrun;
  environment.erase("LOCAL_RANK");
  EXPECT_FALSE(find_launch(environment).local_rank.has_value());
}

TEST(LaunchTest, OpenMpi) {
  const Environment one_machine = {
      {"OMPI_COMM_WORLD_RANK", "1"},       {"OMPI_COMM_WORLD_SIZE", "2"},
      {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
      {"PMIX_NAMESPACE", "1380319233"},    {"PMIX_RANK", "1"}};
  const Launch launch = find_launch(one_machine);
  EXPECT_EQ(launch.launcher, "mpirun");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 2);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.address, "127.0.0.1");
  EXPECT_GE(launch.port, 15000);
  EXPECT_LT(launch.port, 30000);
  EXPECT_EQ(find_launch(with(one_machine, {{"OMPI_COMM_WORLD_RANK", "0"}})).port, launch.port)
      << "all processes of a job meet at one port";
  EXPECT_NE(find_launch(with(one_machine, {{"PMIX_NAMESPACE", "1380319234"}})).port, launch.port)
      << "another job has another one";
  // Over two machines the host of rank 0 must be told.
  const Environment two =
      with(one_machine, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}});
  expect_error<core::UsageError>(
      [&] { find_launch(two); },
      {"1 of 2 processes (mpirun)", "MASTER_ADDR is not set", "mpirun -x MASTER_ADDR"});
  const Launch told = find_launch(with(two, {{"MASTER_ADDR", "a1"}, {"MASTER_PORT", "1234"}}));
  EXPECT_EQ(told.address, "a1");
  EXPECT_EQ(told.port, 1234);
}

TEST(LaunchTest, Pmi) {
  const Launch launch = find_launch({{"PMI_RANK", "0"},
                                     {"PMI_SIZE", "4"},
                                     {"MPI_LOCALRANKID", "0"},
                                     {"MPI_LOCALNRANKS", "4"},
                                     {"MASTER_PORT", "4000"}});
  EXPECT_EQ(launch.launcher, "PMI");
  EXPECT_EQ(launch.size, 4);
  EXPECT_EQ(launch.address, "127.0.0.1");
  EXPECT_EQ(launch.port, 4000);
}

const Environment kStep = {{"SLURM_JOB_ID", "77"},
                           {"SLURM_STEP_ID", "0"},
                           {"SLURM_PROCID", "5"},
                           {"SLURM_LOCALID", "1"},
                           {"SLURM_NTASKS", "8"},
                           {"SLURM_STEP_NUM_TASKS", "8"},
                           {"SLURM_STEP_NUM_NODES", "2"},
                           {"SLURM_STEP_NODELIST", "node[03-04]"},
                           {"SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1"}};

TEST(LaunchTest, Srun) {
  const Launch launch = find_launch(kStep);
  EXPECT_EQ(launch.launcher, "srun");
  EXPECT_EQ(launch.rank, 5);
  EXPECT_EQ(launch.size, 8);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.address, "node03") << "rank 0 runs on the first node, not where srun was called";
  Environment without_list = kStep;
  without_list.erase("SLURM_STEP_NODELIST");
  EXPECT_EQ(find_launch(without_list).address, "10.0.0.1");
  EXPECT_EQ(find_launch(with(kStep, {{"SLURM_STEP_NUM_NODES", "1"}})).address, "127.0.0.1");
  EXPECT_EQ(find_launch(with(kStep, {{"MASTER_ADDR", "node99"}})).address, "node99");
  EXPECT_EQ(find_launch(with(kStep, {{"SLURM_PROCID", "0"}})).port, launch.port);
  EXPECT_NE(find_launch(with(kStep, {{"SLURM_JOB_ID", "78"}})).port, launch.port);
}

TEST(LaunchTest, SlurmWithoutAStepOrWithOneTaskIsOneProcess) {
  // A batch script: the job has 8 tasks, but this is no step of it.
  EXPECT_EQ(find_launch({{"SLURM_JOB_ID", "77"},
                         {"SLURM_PROCID", "0"},
                         {"SLURM_LOCALID", "0"},
                         {"SLURM_NTASKS", "8"}})
                .size,
            1);
  // srun of one task within that job, and a task of a job array.
  EXPECT_EQ(find_launch(with(kStep, {{"SLURM_PROCID", "0"},
                                     {"SLURM_LOCALID", "0"},
                                     {"SLURM_STEP_NUM_TASKS", "1"}}))
                .size,
            1);
  // Old srun: a step without its own count.
  Environment old = kStep;
  old.erase("SLURM_STEP_NUM_TASKS");
  EXPECT_EQ(find_launch(with(old, {{"MASTER_ADDR", "a"}})).size, 8);
}

TEST(LaunchTest, TheInnermostLauncherCounts) {
  // torchrun and mpirun started by Slurm: the variables of the step count their daemons.
  EXPECT_EQ(find_launch(with(kStep, kTorchrun)).launcher, "torchrun");
  const Launch mpi = find_launch(with(kStep, {{"OMPI_COMM_WORLD_RANK", "1"},
                                              {"OMPI_COMM_WORLD_SIZE", "4"},
                                              {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}}));
  EXPECT_EQ(mpi.launcher, "mpirun");
  EXPECT_EQ(mpi.size, 4);
  EXPECT_EQ(mpi.address, "node03");
}

TEST(LaunchTest, OneProcessNeedsNoMeetingPoint) {
  const Launch launch = find_launch({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  EXPECT_EQ(launch.size, 1);
  EXPECT_EQ(launch.address, "");
}

TEST(LaunchTest, WrongVariablesAreNamed) {
  const auto refuse = [](const Environment& change, const std::vector<std::string>& texts) {
    expect_error<core::UsageError>([&] { find_launch(with(kTorchrun, change)); }, texts);
  };
  refuse({{"RANK", "8"}}, {"RANK is '8'", "from 0 to 7"});
  refuse({{"RANK", "-1"}}, {"RANK is '-1'", "from 0 to 7"});
  refuse({{"RANK", "two"}}, {"RANK is 'two'", "whole number"});
  refuse({{"WORLD_SIZE", "0"}}, {"WORLD_SIZE is '0'", "from 1"});
  refuse({{"LOCAL_RANK", "9"}}, {"LOCAL_RANK is '9'", "from 0 to 7"});
  refuse({{"LOCAL_WORLD_SIZE", "9"}}, {"LOCAL_WORLD_SIZE is '9'", "from 1 to 8"});
  refuse({{"MASTER_PORT", "70000"}}, {"MASTER_PORT is '70000'", "65535"});
  refuse({{"WORLD_SIZE", ""}}, {"RANK is '3', but WORLD_SIZE is not set"});
  refuse({{"RANK", ""}}, {"WORLD_SIZE is '8', but RANK is not set", "unset them"});
  refuse({{"MASTER_ADDR", ""}}, {"3 of 8 processes (torchrun)", "MASTER_ADDR is not set"});
  refuse({{"MASTER_PORT", ""}}, {"MASTER_PORT is not set", "export MASTER_ADDR and MASTER_PORT"});
}

TEST(LaunchTest, FirstHostOfAList) {
  EXPECT_EQ(first_host("a"), "a");
  EXPECT_EQ(first_host("a,b"), "a");
  EXPECT_EQ(first_host("a,b[1-2]"), "a");
  EXPECT_EQ(first_host("node[03-05,7],x"), "node03");
  EXPECT_EQ(first_host("node[12]"), "node12");
  EXPECT_EQ(first_host("n[7,9]-ib,m"), "n7-ib");
  for (const char* list : {"", ",a", "node[", "node[]", "node[1][2]"}) {
    expect_error<core::UsageError>([&] { first_host(list); },
                                   {"SLURM_STEP_NODELIST", "no list of hosts", "MASTER_ADDR"});
  }
}

// This executable is linked as a build without c10d is.
TEST(LaunchTest, ABuildWithoutC10dSaysSo) {
  const Launch launch = find_launch(kTorchrun);
  expect_error<core::UsageError>([&] { connect(launch, std::chrono::seconds(1)); },
                                 {"torchrun asks for 8 processes", "no c10d", "libgloo-dev"});
}

}  // namespace
}  // namespace epvs::train
