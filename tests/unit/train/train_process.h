// One running epvs-train, with its own variables and captured output.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "core/files.h"
#include "tests/support/test_support.h"

namespace epvs::train {

/// Starts EPVS_TRAIN_PROGRAM; stdout and stderr go to one file.
class Process {
 public:
  Process(std::vector<std::string> arguments, std::filesystem::path output,
          const std::map<std::string, std::string>& variables = {})
      : output_(std::move(output)) {
    arguments.insert(arguments.begin(), EPVS_TRAIN_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    child_ = ::fork();
    if (child_ == 0) {
      for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
      const int fd = ::open(output_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(fd, STDERR_FILENO);
      ::dup2(fd, STDOUT_FILENO);
      ::execv(EPVS_TRAIN_PROGRAM, argv.data());
      ::_exit(127);
    }
  }
  pid_t id() const { return child_; }
  void send(int signal_number) const { ::kill(child_, signal_number); }
  /// 128 + signal when killed. `err` holds all output.
  tests::CommandResult wait() {
    int status = 0;
    ::waitpid(child_, &status, 0);
    tests::CommandResult result;
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.err = core::read_text(output_);
    return result;
  }

 private:
  std::filesystem::path output_;
  pid_t child_ = -1;
};

inline void sleep_ms(std::int64_t ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

}  // namespace epvs::train
