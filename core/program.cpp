#include "core/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/env.hpp>
#include <boost/process/environment.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/text.h"

namespace epvs::core {

namespace {

namespace fs = std::filesystem;
namespace process = boost::process;

/// A file for output, closed again in this program once the other one has it.
class OutputFile {
 public:
  explicit OutputFile(const fs::path& path) {
    if (path.empty()) return;
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) return;
    throw RunError(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)));
  }
  ~OutputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

/// What happens in the new process before the other program begins: only calls that are safe after
/// fork().
struct BeforeStart : process::extend::handler {
  int output;
  int errors;
  const char* folder;
  pid_t parent;

  template <class Executor>
  void on_exec_setup(Executor& /*executor*/) const {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(128 + SIGTERM);
    if (output >= 0 && ::dup2(output, STDOUT_FILENO) < 0) ::_exit(126);
    if (errors >= 0 && ::dup2(errors, STDERR_FILENO) < 0) ::_exit(126);
    if (folder != nullptr && ::chdir(folder) != 0) ::_exit(126);
  }
};

process::environment environment_of(const ProgramCall& call) {
  process::environment environment = boost::this_process::environment();
  for (const auto& [name, value] : call.environment) {
    if (value) {
      environment[name] = *value;
    } else {
      environment.erase(name);
    }
  }
  return environment;
}

bool is_executable(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

struct RunningProgram::State {
  process::child child;

  void end() {
    std::error_code ignored;
    if (!child.running(ignored)) return;
    ::kill(child.id(), SIGTERM);
    child.wait(ignored);
  }
};

RunningProgram::RunningProgram(const ProgramCall& call) : state_(std::make_unique<State>()) {
  const std::optional<fs::path> program = find_program(call.program);
  if (!program) {
    throw RunError(fmt::format("the program {} was not found{}", call.program,
                               call.program.find('/') == std::string::npos ? " on PATH" : ""),
                   call.hint);
  }
  if (!call.working_folder.empty() && !fs::is_directory(call.working_folder)) {
    throw RunError(fmt::format("the folder {} to run {} in does not exist",
                               call.working_folder.string(), call.program));
  }
  const OutputFile output(call.output);
  const OutputFile other_errors(call.errors == call.output ? fs::path() : call.errors);
  const int errors = call.errors.empty()          ? -1
                     : call.errors == call.output ? output.descriptor()
                                                  : other_errors.descriptor();
  BeforeStart before;
  before.output = output.descriptor();
  before.errors = errors;
  before.folder = call.working_folder.empty() ? nullptr : call.working_folder.c_str();
  before.parent = ::getpid();
  std::error_code error;
  state_->child =
      process::child(process::exe = fs::absolute(*program).string(), process::args = call.arguments,
                     environment_of(call), before, error);
  if (error) {
    throw RunError(fmt::format("cannot start {}: {}", program->string(), error.message()),
                   call.hint);
  }
}

RunningProgram::~RunningProgram() {
  if (state_) state_->end();
}

RunningProgram::RunningProgram(RunningProgram&&) noexcept = default;

RunningProgram& RunningProgram::operator=(RunningProgram&& other) noexcept {
  if (state_) state_->end();
  state_ = std::move(other.state_);
  return *this;
}

int RunningProgram::id() const {
  return state_->child.id();
}

bool RunningProgram::running() {
  std::error_code ignored;
  return state_->child.running(ignored);
}

void RunningProgram::send(int signal_number) {
  if (running()) ::kill(state_->child.id(), signal_number);
}

int RunningProgram::wait(const StopSignals* stop) {
  bool passed_on = false;
  while (stop != nullptr && running()) {
    if (stop->stop_signal() != 0 && !passed_on) {
      send(stop->stop_signal());
      passed_on = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::error_code error;
  state_->child.wait(error);
  if (error) throw RunError("cannot wait for a program: " + error.message());
  const int status = state_->child.native_exit_code();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_program(const ProgramCall& call, const StopSignals* stop) {
  return RunningProgram(call).wait(stop);
}

std::string describe_exit(int status) {
  if (status <= 128) return fmt::format("ended with exit status {}", status);
  return fmt::format("was killed by signal {} ({})", status - 128, ::strsignal(status - 128));
}

std::optional<fs::path> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return is_executable(name) ? std::optional<fs::path>(name) : std::nullopt;
  }
  const char* variable = std::getenv("PATH");
  for (const std::string& folder : split(variable == nullptr ? "/usr/bin:/bin" : variable, ':')) {
    const fs::path path = fs::path(folder.empty() ? "." : folder) / name;
    if (is_executable(path)) return path;
  }
  return std::nullopt;
}

std::optional<fs::path> find_command(const std::string& name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const fs::path folder = error ? fs::path(".") : self.parent_path();
  for (const fs::path& place :
       {folder, folder.parent_path() / "libexec" / "epvs", folder / "libexec" / "epvs"}) {
    const fs::path path = place / ("epvs-" + name);
    if (is_executable(path)) return path;
  }
  return std::nullopt;
}

void become_command(const std::string& name, const std::vector<std::string>& arguments) {
  const std::optional<fs::path> program = find_command(name);
  if (!program) {
    throw RunError(fmt::format("the program epvs-{} is missing", name),
                   "it belongs beside this one or in libexec/epvs; build or install epvs again");
  }
  std::vector<char*> pointers = {const_cast<char*>(program->c_str())};
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  ::execv(program->c_str(), pointers.data());
  throw RunError(fmt::format("cannot start {}: {}", program->string(), std::strerror(errno)));
}

}  // namespace epvs::core
