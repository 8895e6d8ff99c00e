#include "core/error.h"

namespace epvs::core {

Error::Error(ExitCode exit_code, const std::string& message, std::string hint)
    : std::runtime_error(message), exit_code_(exit_code), hint_(std::move(hint)) {}

void Error::rethrow_in(const std::string& context) const {
  const std::string message = context + ": " + what();
  switch (exit_code_) {
    case ExitCode::kUsage:
      throw UsageError(message, hint_);
    case ExitCode::kInput:
      throw InputError(message, hint_);
    case ExitCode::kRuntime:
      throw RunError(message, hint_);
    case ExitCode::kPartial:
      throw PartialError(message, hint_);
    default:
      throw Error(exit_code_, message, hint_);
  }
}

Interrupted::Interrupted(int signal_number, const std::string& message)
    : Error(static_cast<ExitCode>(128 + signal_number), message) {}

void internal_error(const char* file, int line, const char* condition) {
  throw std::logic_error(
      fmt::format("internal error at {}:{}: {} does not hold", file, line, condition));
}

}  // namespace epvs::core
