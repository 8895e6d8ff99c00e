// Collectives through LibTorch's c10d: a TCP store to meet, Gloo on the CPU, NCCL on CUDA. A build whose
// LibTorch has no c10d with Gloo trains with one process.
#include "train/distributed/collectives.h"

#include <fmt/format.h>

#include "core/error.h"

#ifdef EPVS_HAS_C10D

#include <ATen/ATen.h>
#include <unistd.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <csignal>
#include <cstdlib>
#include <thread>

#include "core/text.h"

namespace epvs::train {

namespace {

using Clock = std::chrono::steady_clock;
using c10d::Store;

/// How long the others may take to answer once a connection broke: they notice at their next
/// collective operation, at most a training step later.
constexpr std::chrono::seconds kRollCall{20};
constexpr const char* kLives = "lives";
constexpr const char* kHint =
    "the last checkpoint is kept: look into the output of that process, start all of them again "
    "with --resume";

std::string reason(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text =
      torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

void put(Store& store, const std::string& key, const std::string& text) {
  store.set(key, std::vector<std::uint8_t>(text.begin(), text.end()));
}

std::string get(Store& store, const std::string& key) {
  const auto text = store.get(key);
  return {text.begin(), text.end()};
}

std::string key_of(const char* what, std::size_t rank) {
  return fmt::format("{}/{}", what, rank);
}

c10::intrusive_ptr<Store> open_store(const Launch& launch, std::chrono::milliseconds patience) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.port);
  options.isServer = launch.rank == 0 && !launch.agent_listens;
  options.waitWorkers = false;
  options.timeout = patience;
  try {
    return c10::make_intrusive<c10d::PrefixStore>(
        "epvs/" + launch.attempt, c10::make_intrusive<c10d::TCPStore>(launch.address, options));
  } catch (const std::exception& error) {
    if (options.isServer) {
      throw core::RunError(
          fmt::format("rank 0 cannot listen at port {}: {}", launch.port, reason(error)),
          "another program has the port: set MASTER_PORT to a free one for all processes");
    }
    throw core::RunError(
        fmt::format("rank {} of {} cannot reach rank 0 at {} port {}: {}", launch.rank, launch.size,
                    launch.address, launch.port, reason(error)),
        "are MASTER_ADDR and MASTER_PORT those of rank 0, and was rank 0 started?");
  }
}

/// Every process writes its host and number into the store and reads those of all others.
std::vector<Member> meet(Store& store, const Launch& launch) {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  put(store, key_of("host", static_cast<std::size_t>(launch.rank)), host);
  put(store, key_of("process", static_cast<std::size_t>(launch.rank)), std::to_string(::getpid()));
  std::vector<Member> members(static_cast<std::size_t>(launch.size));
  for (std::size_t rank = 0; rank < members.size(); ++rank) {
    try {
      const std::string process = get(store, key_of("process", rank));
      members[rank].host = get(store, key_of("host", rank));
      members[rank].name =
          fmt::format("rank {} (host {}, process {})", rank, members[rank].host, process);
    } catch (const std::exception& error) {
      throw core::RunError(
          fmt::format("rank {} of {}: rank {} has not come to {} port {}: {}", launch.rank,
                      launch.size, rank, launch.address, launch.port, reason(error)),
          "start all processes, each with its own rank and the same number of processes");
    }
  }
  for (Member& member : members) {
    member.local_size = 0;
    for (const Member& other : members) {
      if (other.host != member.host) continue;
      if (&other < &member) ++member.local_rank;
      ++member.local_size;
    }
  }
  return members;
}

class C10dCollectives : public Collectives {
 public:
  C10dCollectives(const Launch& launch, std::chrono::milliseconds patience);
  ~C10dCollectives() override;

  const std::vector<Member>& members() const override { return members_; }
  std::function<void()> start_sum(torch::Tensor tensor) override;
  bool reduces_on(const torch::Device& device) const override;
  std::vector<torch::Tensor> gather(const torch::Tensor& tensor) override;
  void broadcast(torch::Tensor& tensor) override;
  void use_device(const torch::Device& device) override;
  void finish() override;
  void fail(const std::string& message) noexcept override;

 private:
  /// Runs `start` and waits for what it started; c10d's errors are explained.
  template <class Start>
  void run(Start&& start);
  /// Calls the roll and throws core::RunError naming those that do not answer, or say why they
  /// failed.
  [[noreturn]] void explain(const std::string& what);

  Launch launch_;
  c10::intrusive_ptr<Store> store_;
  std::vector<Member> members_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
#ifdef USE_C10D_NCCL
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl_;
#endif
  bool finished_ = false;
};

C10dCollectives::C10dCollectives(const Launch& launch, std::chrono::milliseconds patience)
    : launch_(launch) {
  // Writing to a process that died must fail as an error, not kill this one.
  std::signal(SIGPIPE, SIG_IGN);
  store_ = open_store(launch, patience);
  members_ = meet(*store_, launch);
  auto options = c10d::ProcessGroupGloo::Options::create();
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  const bool named = interface != nullptr && *interface != 0;
  try {
    options->devices.push_back(named ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                     : c10d::ProcessGroupGloo::createDefaultDevice());
    gloo_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", store_), launch.rank, launch.size, options);
  } catch (const std::exception& error) {
    throw core::RunError(
        fmt::format("rank {} of {}: the processes met, but cannot connect to each other: {}",
                    launch.rank, launch.size, reason(error)),
        "set GLOO_SOCKET_IFNAME to the network interface that all machines reach");
  }
}

C10dCollectives::~C10dCollectives() {
  if (finished_) return;
  // A collective that waits for a dead process cannot be called off in c10d, and the destructor of
  // the group would wait for it: leave it to the end of the process.
  static_cast<void>(gloo_.release());
#ifdef USE_C10D_NCCL
  static_cast<void>(nccl_.release());
#endif
}

template <class Start>
void C10dCollectives::run(Start&& start) {
  try {
    start()->wait();
  } catch (const std::exception& error) {
    explain(reason(error));
  }
}

void C10dCollectives::explain(const std::string& what) {
  std::vector<std::string> lost;
  try {
    put(*store_, key_of("end", static_cast<std::size_t>(launch_.rank)), kLives);
    const auto deadline = Clock::now() + kRollCall;
    for (std::size_t rank = 0; rank < members_.size(); ++rank) {
      const std::string key = key_of("end", rank);
      while (!store_->check({key}) && Clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
      const std::string failure = store_->check({key}) ? get(*store_, key) : "no longer answers";
      if (failure != kLives) lost.push_back(members_[rank].name + " " + failure);
    }
    // The store ends with rank 0, so that one leaves last.
    store_->add("told", 1);
    const auto living = static_cast<std::int64_t>(members_.size() - lost.size());
    while (launch_.rank == 0 && store_->add("told", 0) < living && Clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  } catch (const std::exception&) {
    lost = {members_.front().name + " no longer answers"};
  }
  if (!lost.empty()) throw core::RunError(core::join(lost, "; "), kHint);
  throw core::RunError(fmt::format("the connection to another process broke: {}", what), kHint);
}

bool C10dCollectives::reduces_on(const torch::Device& device) const {
#ifdef USE_C10D_NCCL
  if (device.is_cuda()) return nccl_ != nullptr;
#endif
  return device.is_cpu();
}

void C10dCollectives::use_device(const torch::Device& device) {
#ifdef USE_C10D_NCCL
  if (!device.is_cuda()) return;
  // wait() then waits for the end and throws after c10d's timeout; both names, old and new.
  ::setenv("NCCL_BLOCKING_WAIT", "1", 1);
  ::setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 1);
  nccl_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(
      c10::make_intrusive<c10d::PrefixStore>("nccl", store_), launch_.rank, launch_.size,
      c10d::ProcessGroupNCCL::Options::create());
#else
  static_cast<void>(device);
#endif
}

std::function<void()> C10dCollectives::start_sum(torch::Tensor tensor) {
  std::vector<torch::Tensor> tensors = {tensor};
  try {
#ifdef USE_C10D_NCCL
    if (tensor.is_cuda()) {
      auto work = nccl_->allreduce(tensors);
      return [this, work, tensor] { run([&] { return work; }); };
    }
#endif
    auto work = gloo_->allreduce(tensors);
    return [this, work, tensor] { run([&] { return work; }); };
  } catch (const std::exception& error) {
    explain(reason(error));
  }
}

std::vector<torch::Tensor> C10dCollectives::gather(const torch::Tensor& tensor) {
  std::vector<std::vector<torch::Tensor>> outputs(1);
  for (int rank = 0; rank < launch_.size; ++rank) outputs[0].push_back(at::empty_like(tensor));
  std::vector<torch::Tensor> inputs = {tensor};
  run([&] { return gloo_->allgather(outputs, inputs); });
  return outputs.front();
}

void C10dCollectives::broadcast(torch::Tensor& tensor) {
  std::vector<torch::Tensor> tensors = {tensor};
  run([&] { return gloo_->broadcast(tensors); });
}

void C10dCollectives::finish() {
  run([&] { return gloo_->barrier(); });
  finished_ = true;
}

void C10dCollectives::fail(const std::string& message) noexcept {
  try {
    const std::string key = key_of("end", static_cast<std::size_t>(launch_.rank));
    if (!store_->check({key})) put(*store_, key, "failed: " + message);
  } catch (const std::exception&) {
    return;  // the store is gone: the others see that this process no longer answers
  }
}

}  // namespace

std::unique_ptr<Collectives> connect(const Launch& launch, std::chrono::milliseconds patience) {
  EPVS_ASSERT(launch.size > 1);
  return std::make_unique<C10dCollectives>(launch, patience);
}

}  // namespace epvs::train

#else

namespace epvs::train {

std::unique_ptr<Collectives> connect(const Launch& launch, std::chrono::milliseconds) {
  throw core::UsageError(
      fmt::format("{} asks for {} processes, but this build of epvs has no c10d", launch.launcher,
                  launch.size),
      "train with one process, or build epvs with a LibTorch that has Gloo and with Gloo's headers "
      "(Debian: libtorch-dev, libgloo-dev)");
}

}  // namespace epvs::train

#endif
