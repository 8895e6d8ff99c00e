// Errors: every failure that a user can cause or see is one of these types.
//
// A message says which thing, which value, what was expected; the hint says what to do. The command
// shell (core/command.h) prints both and turns the type into the exit code of the command contract.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace epvs::core {

/// Exit codes of every command.
enum class ExitCode : int {
  kDone = 0,
  kRuntime = 1,  ///< something failed while running: disk full, device lost, training diverged
  kUsage = 2,    ///< wrong command line or recipe
  kInput = 3,    ///< invalid input data
  kPartial = 4,  ///< done, but some participants failed
  kInterrupt = 130,
  kTerminate = 143,
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode exit_code, const std::string& message, std::string hint = {});

  ExitCode exit_code() const { return exit_code_; }
  /// What the user can do about it; may be empty.
  const std::string& hint() const { return hint_; }
  /// Throws the same error, of the same type, with "context: " before its message.
  [[noreturn]] void rethrow_in(const std::string& context) const;

 private:
  ExitCode exit_code_;
  std::string hint_;
};

/// One type per exit code.
template <ExitCode kCode>
class ErrorOf : public Error {
 public:
  explicit ErrorOf(const std::string& message, std::string hint = {})
      : Error(kCode, message, std::move(hint)) {}
};
using UsageError = ErrorOf<ExitCode::kUsage>;      ///< wrong command line, recipe, option value
using InputError = ErrorOf<ExitCode::kInput>;      ///< invalid input: a file, a table, a scan
using RunError = ErrorOf<ExitCode::kRuntime>;      ///< failure of the run itself
using PartialError = ErrorOf<ExitCode::kPartial>;  ///< the work is done, but not for everyone

/// Stopped by a signal after the state was saved (exit code 128 + signal).
class Interrupted : public Error {
 public:
  explicit Interrupted(int signal_number, const std::string& message = "stopped by signal");
};

/// Throws std::logic_error naming the place: for our own bugs, never for users' mistakes.
[[noreturn]] void internal_error(const char* file, int line, const char* condition);

}  // namespace epvs::core

/// Checks an invariant of our own code; a failure is a bug in epvs.
#define EPVS_ASSERT(condition)                                      \
  do {                                                              \
    if (!(condition)) {                                             \
      ::epvs::core::internal_error(__FILE__, __LINE__, #condition); \
    }                                                               \
  } while (false)
