#include "train/local_processes.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "core/stop.h"
#include "train/launch.h"

namespace epvs::train {

namespace {

/// A port that nobody listens at; another program could take it before rank 0 does.
int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool found = socket >= 0 &&
                     ::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (socket >= 0) ::close(socket);
  if (!found) throw core::RunError("no free port on 127.0.0.1", "set the variables of torchrun");
  return ntohs(address.sin_port);
}

/// The command line of this process, word by word.
std::vector<std::string> own_arguments() {
  const std::string text = core::read_text("/proc/self/cmdline");
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\0', begin);
    words.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return words;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

pid_t start(std::vector<std::string> arguments, int rank, int count, int port) {
  Environment environment = process_environment();
  environment["RANK"] = environment["LOCAL_RANK"] = std::to_string(rank);
  environment["WORLD_SIZE"] = environment["LOCAL_WORLD_SIZE"] = std::to_string(count);
  environment["MASTER_ADDR"] = "127.0.0.1";
  environment["MASTER_PORT"] = std::to_string(port);
  environment.erase("TORCHELASTIC_USE_AGENT_STORE");  // rank 0 listens
  std::vector<std::string> entries;
  for (const auto& [name, value] : environment) entries.push_back(name + "=" + value);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(entries);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
  // Only calls that are safe after fork(). An own process group: Ctrl-C reaches the parent alone,
  // which passes it on; twice it would end the training without a checkpoint.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  ::execve("/proc/self/exe", argv.data(), envp.data());
  ::_exit(127);
}

/// What the others do when one process could not be started.
void stop_all(const std::vector<pid_t>& children) {
  for (const pid_t child : children) ::kill(child, SIGTERM);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
}

class Children {
 public:
  void add(pid_t child) { running_.push_back(child); }
  const std::vector<pid_t>& all() const { return running_; }

  void send(int signal_number) const {
    for (const pid_t child : running_) {
      if (child > 0) ::kill(child, signal_number);
    }
  }
  /// Collects those that ended; true while some run.
  bool collect() {
    bool some_run = false;
    for (std::size_t rank = 0; rank < running_.size(); ++rank) {
      if (running_[rank] <= 0) continue;
      int status = 0;
      if (::waitpid(running_[rank], &status, WNOHANG) != running_[rank]) {
        some_run = true;
        continue;
      }
      running_[rank] = 0;
      const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      if (good || failed_rank_ >= 0) continue;
      failed_rank_ = static_cast<int>(rank);
      failed_status_ = status;
    }
    return some_run;
  }
  void throw_if_failed() const {
    if (failed_rank_ < 0) return;
    if (WIFSIGNALED(failed_status_)) {
      throw core::RunError(
          fmt::format("the process of rank {} was killed by signal {} ({})", failed_rank_,
                      WTERMSIG(failed_status_), ::strsignal(WTERMSIG(failed_status_))),
          "9 without your doing is often a lack of memory: fewer --processes, or a smaller "
          "train.batch_size");
    }
    const int code = WEXITSTATUS(failed_status_);
    if (code == 128 + SIGINT || code == 128 + SIGTERM) throw core::Interrupted(code - 128);
    throw core::Error(
        static_cast<core::ExitCode>(code),
        fmt::format("the process of rank {} ended with exit code {}", failed_rank_, code),
        "its own message stands above");
  }

 private:
  std::vector<pid_t> running_;
  int failed_rank_ = -1;
  int failed_status_ = 0;
};

}  // namespace

void run_local_processes(int count, core::Log& log) {
  core::StopSignals signals;
  const std::vector<std::string> arguments = own_arguments();
  const int port = free_port();
  Children children;
  for (int rank = 0; rank < count; ++rank) {
    const pid_t child = start(arguments, rank, count, port);
    if (child < 0) {
      stop_all(children.all());
      throw core::RunError(
          fmt::format("cannot start process {} of {}: {}", rank + 1, count, std::strerror(errno)),
          "take fewer --processes");
    }
    children.add(child);
  }
  log.info("{} processes on this machine, meeting at port {}", count, port);
  bool passed_on = false;
  while (children.collect()) {
    if (signals.stop_signal() != 0 && !passed_on) {
      children.send(signals.stop_signal());
      passed_on = true;
    }
    if (signals.take_checkpoint_request()) children.send(SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  children.throw_if_failed();
}

}  // namespace epvs::train
