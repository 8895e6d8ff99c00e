// Starting other programs, and becoming one: the only place where epvs does it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/stop.h"

namespace epvs::core {

/// What to start and where its output goes.
struct ProgramCall {
  /// A path, or a name that is looked for on PATH.
  std::string program;
  std::vector<std::string> arguments;
  /// Files for standard output and standard error, overwritten; they may be the same. Empty: where
  /// the output of this program goes.
  std::filesystem::path output;
  std::filesystem::path errors;
  /// Empty: that of this program.
  std::filesystem::path working_folder;
  /// Set on top of the environment of this program; without a value the variable is removed.
  std::map<std::string, std::optional<std::string>> environment;
  /// What the user can do when the program is not there.
  std::string hint;
};

/// A program that runs beside this one. It has its own process group, so Ctrl-C on a terminal
/// reaches it only through send(), and it is sent TERM when the thread that started it ends, for
/// whatever reason.
class RunningProgram {
 public:
  /// Starts it. Throws RunError, with the hint, when there is no such program or it cannot be
  /// started.
  explicit RunningProgram(const ProgramCall& call);
  /// Sends TERM to a program that still runs, and waits for its end.
  ~RunningProgram();
  RunningProgram(RunningProgram&&) noexcept;
  RunningProgram& operator=(RunningProgram&&) noexcept;

  /// The number of the process.
  int id() const;
  bool running();
  void send(int signal_number);
  /// Waits for the end. With `stop`, INT and TERM that this program receives are passed on once.
  /// Returns the exit status, 128 + the number of the signal that killed it.
  [[nodiscard]] int wait(const StopSignals* stop = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Starts a program and waits for its end; see RunningProgram.
[[nodiscard]] int run_program(const ProgramCall& call, const StopSignals* stop = nullptr);

/// "ended with exit status 3", "was killed by signal 9 (Killed)": of what wait() returned.
std::string describe_exit(int status);

/// The program by path or on PATH, or nothing.
std::optional<std::filesystem::path> find_program(const std::string& name);

/// The executable epvs-NAME beside this program or in libexec/epvs, or nothing.
std::optional<std::filesystem::path> find_command(const std::string& name);

/// This process goes on as epvs-NAME. Throws RunError when it is not there or cannot be started.
[[noreturn]] void become_command(const std::string& name,
                                 const std::vector<std::string>& arguments);

}  // namespace epvs::core
