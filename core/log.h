// Log lines on stderr and in a run's log.txt, and progress with the time that is left.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

namespace epvs::core {

enum class LogLevel { kDebug = 1, kInfo, kWarning, kError };  ///< as spdlog counts them

/// Lines from `threshold` on go to stderr; after add_file all lines go to a file, which is flushed
/// after every line.
class Log {
 public:
  explicit Log(LogLevel threshold = LogLevel::kInfo);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// Appends to `path` from now on. Throws RunError when it cannot be opened.
  void add_file(const std::filesystem::path& path);
  /// Stands before every line from now on: "rank 1: ".
  void set_prefix(const std::string& prefix);
  void write(LogLevel level, const std::string& line);

  template <class... Args>
  void debug(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::kDebug, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::kInfo, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warning(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::kWarning, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void error(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::kError, fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  friend class Progress;
  struct State;
  std::unique_ptr<State> state_;
};

/// Progress of `total` items with rate and time left: a bar that redraws itself on a terminal,
/// otherwise a plain line at the start, at most every ten seconds, and at the end.
class Progress {
 public:
  /// `item` is the singular noun of what is counted: "participant", "epoch".
  Progress(Log& log, std::string task, std::size_t total, std::string item);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Counts `count` more items as done; `detail` is shown after the figures. Thread-safe.
  void advance(std::size_t count = 1, const std::string& detail = {});
  /// Items that were done before this run: counted as done, not in the rate.
  void skip(std::size_t count);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace epvs::core
