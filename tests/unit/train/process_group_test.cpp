// Groups of real processes over the loopback device: sums, gathers, refusals.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "core/error.h"
#include "models/torch.h"
#include "tests/support/test_support.h"
#include "train/distributed/process_group.h"

namespace epvs::train {
namespace {

using tests::expect_error;

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

Launch launch_of(int rank, int size, int port) {
  Launch launch;
  launch.rank = rank;
  launch.size = size;
  launch.address = "127.0.0.1";
  launch.port = port;
  launch.launcher = "torchrun";
  return launch;
}

/// Runs `work` in processes of its own; each must return without an exception and without a failed
/// expectation.
void in_processes(int size, const std::function<void(const Launch&)>& work) {
  const int port = free_port();
  std::vector<pid_t> children;
  for (int rank = 0; rank < size; ++rank) {
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 0;
      try {
        work(launch_of(rank, size, port));
        code = ::testing::Test::HasFailure() ? 1 : 0;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
        code = 2;
      }
      std::fflush(stdout);
      ::_exit(code);
    }
    children.push_back(child);
  }
  for (std::size_t rank = 0; rank < children.size(); ++rank) {
    int status = 0;
    ::waitpid(children[rank], &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "rank " << rank;
  }
}

void in_group(int size, const std::function<void(ProcessGroup&)>& work) {
  in_processes(size, [&](const Launch& launch) {
    ProcessGroup group = ProcessGroup::join(launch, std::chrono::seconds(60));
    work(group);
    group.finish();
  });
}

/// Different in every rank, and such that a sum of floats depends on its order.
torch::Tensor value_of(int rank, std::int64_t count, torch::Dtype type = torch::kFloat) {
  return torch::arange(count, torch::kDouble).add(1).mul(0.1 + rank).sin().div(3 + rank).to(type);
}

std::vector<NamedParameter> parameters_with_gradients(int rank) {
  std::vector<NamedParameter> parameters;
  for (const std::int64_t count : {5, 1, 300, 70}) {
    torch::Tensor value = torch::zeros({count}, torch::requires_grad());
    value.mutable_grad() = value_of(rank, count);
    parameters.push_back({"p" + std::to_string(count), value, 1.0});
  }
  return parameters;
}

TEST(ProcessGroupTest, OneProcessStartsNothing) {
  ProcessGroup group = ProcessGroup::join(Launch{}, std::chrono::seconds(1));
  EXPECT_FALSE(group.has_others());
  EXPECT_TRUE(group.is_first());
  EXPECT_EQ(group.gather(std::vector<double>{1, 2}, 2), (std::vector<double>{1, 2}));
  EXPECT_EQ(group.largest({-3, 4}), (std::vector<double>{-3, 4}));
  EXPECT_EQ(group.broadcast("text"), "text");
  EXPECT_EQ(group.share(7).size(), 7U);
  const auto parameters = parameters_with_gradients(0);
  group.sum_gradients(parameters);
  EXPECT_TRUE(torch::equal(parameters[2].value.grad(), value_of(0, 300)));
  group.finish();
}

TEST(ProcessGroupTest, SharesCoverEverythingOnce) {
  in_group(3, [](ProcessGroup& group) {
    for (const std::size_t n : {0, 1, 2, 3, 7, 9}) {
      std::size_t next = 0;
      for (int rank = 0; rank < 3; ++rank) {
        const ProcessGroup::Share share = group.share(n, rank);
        EXPECT_EQ(share.begin, next);
        EXPECT_LE(share.size(), group.share(n, 0).size()) << "rank 0 has the most";
        EXPECT_LE(group.share(n, 0).size() - share.size(), 1U);
        next = share.end;
      }
      EXPECT_EQ(next, n);
    }
  });
}

TEST(ProcessGroupTest, GradientsAreSummedAlikeWithAnyBucket) {
  in_group(3, [](ProcessGroup& group) {
    // One number, a few tensors, all in one.
    for (const std::size_t bucket : {1, 1000, 1 << 20}) {
      auto parameters = parameters_with_gradients(group.rank());
      group.sum_gradients(parameters, bucket);
      for (const NamedParameter& parameter : parameters) {
        const std::int64_t count = parameter.value.numel();
        const torch::Tensor expected = value_of(0, count, torch::kDouble) +
                                       value_of(1, count, torch::kDouble) +
                                       value_of(2, count, torch::kDouble);
        EXPECT_LT((parameter.value.grad() - expected).abs().max().item<double>(), 2e-7);
        // All ranks hold the same bits.
        const auto bytes = parameter.value.grad().contiguous();
        const std::string own(static_cast<const char*>(bytes.data_ptr()), bytes.nbytes());
        for (const std::string& other : group.gather(own)) EXPECT_EQ(other, own);
      }
    }
  });
}

TEST(ProcessGroupTest, AnUndefinedGradientCountsAsZero) {
  in_group(2, [](ProcessGroup& group) {
    auto parameters = parameters_with_gradients(group.rank());
    if (group.rank() == 1) parameters[0].value.mutable_grad() = torch::Tensor();
    group.sum_gradients(parameters);
    EXPECT_TRUE(torch::equal(parameters[0].value.grad(), value_of(0, 5)));
    EXPECT_FALSE(torch::equal(parameters[1].value.grad(), value_of(0, 1)));
  });
}

TEST(ProcessGroupTest, NumbersAndTextsComeTogetherByRank) {
  in_group(3, [](ProcessGroup& group) {
    const std::vector<double> own(static_cast<std::size_t>(2 - group.rank()), group.rank() + 0.25);
    EXPECT_EQ(group.gather(own, 2), (std::vector<double>{0.25, 0.25, 1.25}));
    const std::string text(static_cast<std::size_t>(group.rank()), 'x');
    EXPECT_EQ(group.gather(text), (std::vector<std::string>{"", "x", "xx"}));
    EXPECT_EQ(group.largest({1.0 * group.rank(), -1.0 * group.rank()}),
              (std::vector<double>{2, 0}));
    EXPECT_EQ(group.broadcast(group.is_first() ? "from 0" : "other"), "from 0");
    EXPECT_EQ(group.broadcast(group.is_first() ? "" : "other"), "");
    EXPECT_EQ(group.local_rank(), group.rank()) << "all on this machine";
    EXPECT_EQ(group.local_size(), 3);
    for (const torch::Dtype type : {torch::kFloat, torch::kDouble}) {
      torch::Tensor tensor = value_of(group.rank(), 12, type).view({3, 4});
      torch::Tensor column = tensor.narrow(1, 1, 1);  // not contiguous
      group.broadcast({tensor, column});
      EXPECT_TRUE(torch::equal(tensor, value_of(0, 12, type).view({3, 4})));
    }
    torch::Tensor steps = torch::full({1}, 10 + group.rank(), torch::kInt64);
    group.broadcast({steps});
    EXPECT_EQ(steps.item<std::int64_t>(), 10);
  });
}

TEST(ProcessGroupTest, DifferencesAreNamedInEveryProcess) {
  in_group(3, [](ProcessGroup& group) {
    const core::Json equal{{"/seed", 1}, {"/fold", 2}};
    group.require_equal(equal);
    core::Json other = equal;
    if (group.rank() == 2) other["/seed"] = 5;
    expect_error<core::UsageError>([&] { group.require_equal(other); },
                                   {"rank 2 (host", "seed is 5, but 1 at rank 0 (host"});
    core::Json more = equal;
    if (group.rank() == 1) more["/device"] = "cuda";
    expect_error<core::UsageError>([&] { group.require_equal(more); },
                                   {"rank 1 (host", "device is \"cuda\", but absent at rank 0"});
  });
}

TEST(ProcessGroupTest, AFailureIsToldToTheOthers) {
  in_processes(3, [](const Launch& launch) {
    ProcessGroup group = ProcessGroup::join(launch, std::chrono::seconds(60));
    if (launch.rank == 1) {
      group.fail("no scan of sub-07");
      return;
    }
    expect_error<core::RunError>(
        [&] {
          for (;;) group.barrier();
        },
        {"rank 1 (host", "failed: no scan of sub-07", "--resume"});
    group.fail("followed");
  });
}

TEST(ProcessGroupTest, AProcessThatDoesNotComeIsNamed) {
  expect_error<core::RunError>(
      [] { ProcessGroup::join(launch_of(0, 2, free_port()), std::chrono::seconds(1)); },
      {"rank 0 of 2: rank 1 has not come to 127.0.0.1 port", "start all processes"});
}

TEST(ProcessGroupTest, PortsThatAreTakenOrSilentAreNamed) {
  const int listener = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const int taken = ntohs(address.sin6_port);
  expect_error<core::RunError>(
      [&] { ProcessGroup::join(launch_of(0, 2, taken), std::chrono::seconds(1)); },
      {"rank 0 cannot listen at port " + std::to_string(taken), "MASTER_PORT"});
  ::close(listener);
  expect_error<core::RunError>(
      [&] { ProcessGroup::join(launch_of(1, 2, taken), std::chrono::seconds(1)); },
      {"rank 1 of 2 cannot reach rank 0 at 127.0.0.1 port", "was rank 0 started?"});
}

}  // namespace
}  // namespace epvs::train
