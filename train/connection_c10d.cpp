// Connections through LibTorch's c10d: a TCP store to meet, Gloo on the CPU, NCCL on CUDA.
#include <ATen/ATen.h>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <csignal>
#include <cstdlib>
#include <future>
#include <optional>
#include <thread>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "train/connection.h"
#include "train/team_watch.h"

namespace epvs::train {

namespace {

using Clock = std::chrono::steady_clock;
using c10d::Store;
using core::Json;

/// Longer than any step: that a process lives is the business of TeamWatch.
constexpr std::chrono::milliseconds kNever = std::chrono::hours(24);
constexpr std::chrono::milliseconds kSlice{1000};

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown host";
}

std::string reason(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text =
      torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

c10::intrusive_ptr<Store> open_store(const Launch& launch, bool is_server,
                                     std::chrono::milliseconds patience) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.port);
  options.isServer = is_server;
  options.waitWorkers = false;
  options.timeout = patience;
  try {
    return c10::make_intrusive<c10d::PrefixStore>(
        "epvs/" + launch.attempt, c10::make_intrusive<c10d::TCPStore>(launch.address, options));
  } catch (const std::exception& error) {
    if (is_server) {
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

/// The own address on the way to rank 0: the one that other machines reach.
std::string own_address(const Launch& launch) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(launch.port);
  if (::getaddrinfo(launch.address.c_str(), port.c_str(), &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  std::string address;
  for (const addrinfo* entry = found; entry != nullptr && address.empty(); entry = entry->ai_next) {
    const int socket = ::socket(entry->ai_family, entry->ai_socktype, entry->ai_protocol);
    if (socket < 0) continue;
    // A datagram socket sends nothing when it is connected; the system only chooses the way.
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    char text[NI_MAXHOST] = {};
    if (::connect(socket, entry->ai_addr, entry->ai_addrlen) == 0 &&
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      address = text;
    }
    ::close(socket);
  }
  return address;
}

std::shared_ptr<::gloo::transport::Device> gloo_device(const Launch& launch) {
  using Gloo = c10d::ProcessGroupGloo;
  if (const char* name = std::getenv("GLOO_SOCKET_IFNAME"); name != nullptr && *name != 0) {
    return Gloo::createDeviceForInterface(name);
  }
  const std::string address = own_address(launch);
  return address.empty() ? Gloo::createDefaultDevice() : Gloo::createDeviceForHostname(address);
}

/// Every process writes its line into the store and reads those of all others.
std::vector<Member> meet(Store& store, const Launch& launch, std::chrono::milliseconds patience) {
  const auto key = [](int rank) { return fmt::format("member/{}", rank); };
  if (store.add(fmt::format("came/{}", launch.rank), 1) > 1) {
    throw core::UsageError(
        fmt::format("another process is rank {} of {} already", launch.rank, launch.size),
        "every process needs its own rank (RANK)");
  }
  const std::string own =
      Json{{"host", host_name()}, {"process", ::getpid()}, {"size", launch.size}}.dump();
  store.set(key(launch.rank), {own.begin(), own.end()});
  const auto deadline = Clock::now() + patience;
  std::vector<Member> members;
  while (static_cast<int>(members.size()) < launch.size) {
    const int rank = static_cast<int>(members.size());
    if (!store.check({key(rank)})) {
      if (Clock::now() > deadline) {
        std::vector<std::string> missing;
        for (int other = rank; other < launch.size; ++other) {
          if (!store.check({key(other)})) missing.push_back(std::to_string(other));
        }
        throw core::RunError(
            fmt::format("rank {} of {}: no process of rank {} has come to {} port {} in {}",
                        launch.rank, launch.size, core::join(missing, ", "), launch.address,
                        launch.port,
                        core::format_duration(std::chrono::duration<double>(patience).count())),
            "start all processes; --join-seconds sets how long they wait for each other");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    const auto text = store.get(key(rank));
    const Json line = Json::parse(text.begin(), text.end());
    if (line.at("size") != launch.size) {
      throw core::UsageError(fmt::format("rank {} belongs to {} processes, rank {} to {}", rank,
                                         line.at("size").get<int>(), launch.rank, launch.size),
                             "every process needs the same number of processes (WORLD_SIZE)");
    }
    Member member;
    member.host = line.at("host");
    member.process = line.at("process");
    member.name = fmt::format("rank {} (host {}, process {})", rank, member.host, member.process);
    members.push_back(std::move(member));
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

class C10dConnection : public Connection {
 public:
  C10dConnection(const Launch& launch, std::chrono::milliseconds patience);
  ~C10dConnection() override;

  const std::vector<Member>& members() const override { return members_; }
  std::function<void()> start_sum(torch::Tensor tensor) override;
  bool reduces_on(const torch::Device& device) const override;
  std::vector<torch::Tensor> gather(const torch::Tensor& tensor) override;
  void broadcast(torch::Tensor& tensor) override;
  void use_device(const torch::Device& device) override;
  void finish() override;
  void fail(const std::string& message) noexcept override;

 private:
  void make_gloo(std::chrono::milliseconds patience);
  /// Runs `start` and waits for what it started.
  template <class Start>
  void run(Start&& start);
  void wait(c10d::Work& work) const;

  Launch launch_;
  bool holds_store_ = false;
  c10::intrusive_ptr<Store> store_;
  std::vector<Member> members_;
  std::unique_ptr<TeamWatch> watch_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
#ifdef USE_C10D_NCCL
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl_;
#endif
  bool finished_ = false;
};

C10dConnection::C10dConnection(const Launch& launch, std::chrono::milliseconds patience)
    : launch_(launch), holds_store_(launch.rank == 0 && !launch.agent_listens) {
  // Writing to a process that died must fail as an error, not kill this one.
  std::signal(SIGPIPE, SIG_IGN);
  store_ = open_store(launch, holds_store_, patience);
  try {
    members_ = meet(*store_, launch, patience);
  } catch (const core::Error&) {
    // The store ends with this process: the others, too, read first what is wrong.
    if (holds_store_) std::this_thread::sleep_for(std::chrono::milliseconds(500));
    throw;
  } catch (const std::exception& error) {
    throw core::RunError(fmt::format("rank {} of {} lost rank 0 at {} port {}: {}", launch.rank,
                                     launch.size, launch.address, launch.port, reason(error)),
                         "look into the output of rank 0");
  }
  std::vector<std::string> names;
  for (const Member& member : members_) names.push_back(member.name);
  const std::string holder =
      launch.agent_listens ? fmt::format("torchrun at {} port {}", launch.address, launch.port)
                           : members_.front().name;
  watch_ = std::make_unique<TeamWatch>(open_store(launch, false, patience), launch.rank,
                                       std::move(names), holder, holds_store_);
  make_gloo(patience);
}

void C10dConnection::make_gloo(std::chrono::milliseconds patience) {
  // Connecting can hang when another process dies meanwhile, so this thread keeps watching.
  auto options = c10d::ProcessGroupGloo::Options::create(kNever);
  options->devices.push_back(gloo_device(launch_));
  options->threads = 2;
  using Group = c10::intrusive_ptr<c10d::ProcessGroupGloo>;
  std::packaged_task<Group()> task([options, store = store_, launch = launch_] {
    return c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", store), launch.rank, launch.size, options);
  });
  std::future<Group> group = task.get_future();
  std::thread(std::move(task)).detach();
  const auto deadline = Clock::now() + patience;
  while (group.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) {
    watch_->require_alive();
    if (Clock::now() > deadline) {
      throw core::RunError(
          "the processes met, but cannot connect to each other",
          "set GLOO_SOCKET_IFNAME to the network interface that all machines reach");
    }
  }
  try {
    gloo_ = group.get();
  } catch (const std::exception& error) {
    watch_->explain(reason(error));
  }
}

C10dConnection::~C10dConnection() {
  watch_.reset();
  if (finished_) return;
  // A collective that waits for a dead process cannot be called off in c10d, and the destructor of
  // the group would wait for it: leave it to the end of the process.
  static_cast<void>(gloo_.release());
#ifdef USE_C10D_NCCL
  static_cast<void>(nccl_.release());
#endif
}

void C10dConnection::wait(c10d::Work& work) const {
  while (!work.isCompleted()) {
    try {
      work.wait(kSlice);
    } catch (const std::exception&) {
      if (work.isCompleted()) break;
      watch_->require_alive();
    }
  }
  work.wait();
}

template <class Start>
void C10dConnection::run(Start&& start) {
  watch_->require_alive();
  try {
    const auto work = start();
    wait(*work);
  } catch (const core::Error&) {
    throw;
  } catch (const std::exception& error) {
    watch_->explain(reason(error));
  }
}

bool C10dConnection::reduces_on(const torch::Device& device) const {
#ifdef USE_C10D_NCCL
  if (device.is_cuda()) return nccl_ != nullptr;
#endif
  return device.is_cpu();
}

void C10dConnection::use_device(const torch::Device& device) {
#ifdef USE_C10D_NCCL
  if (!device.is_cuda()) return;
  auto options = c10d::ProcessGroupNCCL::Options::create();
  nccl_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(
      c10::make_intrusive<c10d::PrefixStore>("nccl", store_), launch_.rank, launch_.size, options);
#else
  static_cast<void>(device);
#endif
}

std::function<void()> C10dConnection::start_sum(torch::Tensor tensor) {
  watch_->require_alive();
  std::vector<torch::Tensor> tensors = {tensor};
  try {
#ifdef USE_C10D_NCCL
    if (tensor.is_cuda()) {
      auto work = nccl_->allreduce(tensors);
      return [this, work, tensor] {
        // NCCL's wait() only orders streams; a lost process shows as work that never ends.
        run([&] {
          while (!work->isCompleted()) {
            watch_->require_alive();
            std::this_thread::sleep_for(std::chrono::microseconds(50));
          }
          return work;
        });
      };
    }
#endif
    auto work = gloo_->allreduce(tensors);
    return [this, work, tensor] { run([&] { return work; }); };
  } catch (const std::exception& error) {
    watch_->explain(reason(error));
  }
}

std::vector<torch::Tensor> C10dConnection::gather(const torch::Tensor& tensor) {
  std::vector<std::vector<torch::Tensor>> outputs(1);
  for (int rank = 0; rank < launch_.size; ++rank) outputs[0].push_back(at::empty_like(tensor));
  std::vector<torch::Tensor> inputs = {tensor};
  run([&] { return gloo_->allgather(outputs, inputs); });
  return outputs.front();
}

void C10dConnection::broadcast(torch::Tensor& tensor) {
  std::vector<torch::Tensor> tensors = {tensor};
  run([&] { return gloo_->broadcast(tensors); });
}

void C10dConnection::finish() {
  run([&] { return gloo_->barrier(); });
  watch_->finish();
  finished_ = true;
  try {
    store_->add("finished", 1);
    // The store ends with its holder, so that one leaves last.
    const auto deadline = Clock::now() + std::chrono::seconds(5);
    while (holds_store_ && store_->add("finished", 0) < launch_.size && Clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  } catch (const std::exception&) {
    return;  // another process left without waiting: all work was done at the barrier
  }
}

void C10dConnection::fail(const std::string& message) noexcept {
  watch_->report_failure(message);
}

}  // namespace

std::unique_ptr<Connection> connect(const Launch& launch, std::chrono::milliseconds patience) {
  EPVS_ASSERT(launch.size > 1);
  return std::make_unique<C10dConnection>(launch, patience);
}

}  // namespace epvs::train
