#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "core/error.h"
#include "core/text.h"

namespace epvs::core {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  return static_cast<spdlog::level::level_enum>(level);
}

}  // namespace

struct Log::State {
  std::mutex mutex;
  spdlog::logger logger{"epvs"};
  bool terminal = ::isatty(STDERR_FILENO) != 0;
  bool bar_shown = false;
  LogLevel threshold = LogLevel::kInfo;  ///< of stderr; files get everything
  std::string prefix;

  void clear_bar() {
    if (bar_shown) std::fputs("\r\033[2K", stderr);
    bar_shown = false;
  }
};

Log::Log(LogLevel threshold) : state_(std::make_unique<State>()) {
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  sink->set_pattern("%^%v%$");
  sink->set_level(to_spdlog(threshold));
  state_->threshold = threshold;
  state_->logger.sinks().push_back(std::move(sink));
  state_->logger.set_level(spdlog::level::trace);
  state_->logger.flush_on(spdlog::level::trace);
}

Log::~Log() = default;

void Log::add_file(const std::filesystem::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    sink->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
    const std::lock_guard lock(state_->mutex);
    state_->logger.sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    throw RunError(fmt::format("cannot open the log file {}: {}", path.string(), error.what()));
  }
}

void Log::set_prefix(const std::string& prefix) {
  const std::lock_guard lock(state_->mutex);
  state_->prefix = prefix;
}

void Log::write(LogLevel level, const std::string& text) {
  const std::lock_guard lock(state_->mutex);
  const std::string line = state_->prefix + text;
  if (level >= state_->threshold) state_->clear_bar();
  const char* kind = level == LogLevel::kWarning ? "warning: "
                     : level == LogLevel::kError ? "error: "
                                                 : "";
  state_->logger.log(to_spdlog(level), kind + line);
}

namespace {

std::string plural(const std::string& noun) {
  const bool sibilant = noun.ends_with("ch") || noun.ends_with("s") || noun.ends_with("x");
  return noun + (sibilant ? "es" : "s");
}

}  // namespace

struct Progress::State {
  using Clock = std::chrono::steady_clock;
  Log& log;
  std::string task;
  std::size_t total;
  std::string item;
  std::mutex mutex;
  std::size_t done = 0;
  std::size_t skipped = 0;
  Clock::time_point start = Clock::now();
  Clock::time_point last_shown = start - std::chrono::hours(1);

  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

  std::string figures(const std::string& detail) const {
    const std::size_t counted = done - skipped;
    const double seconds = elapsed();
    std::string text = fmt::format("{}/{} {}", done, total, plural(item));
    if (counted > 0 && seconds > 0) {
      const double rate = static_cast<double>(counted) / seconds;
      text += rate >= 1 ? fmt::format(", {:.1f}/s", rate)
                        : fmt::format(", {} each", format_duration(1 / rate));
      if (done < total) {
        text += fmt::format(", {} left", format_duration(static_cast<double>(total - done) / rate));
      } else {
        text += fmt::format(", took {}", format_duration(seconds));
      }
    }
    return detail.empty() ? text : text + " | " + detail;
  }

  void show(const std::string& detail) {
    const auto now = Clock::now();
    const double since = std::chrono::duration<double>(now - last_shown).count();
    const bool last = done >= total;
    if (log.state_->terminal) {
      if (since < 0.1 && !last) return;
      constexpr std::size_t kWidth = 24;
      const std::size_t filled = total == 0 ? kWidth : std::min(kWidth, kWidth * done / total);
      const std::lock_guard lock(log.state_->mutex);
      if (log.state_->threshold > LogLevel::kInfo) return;
      log.state_->clear_bar();
      const std::string line = fmt::format("{} [{}{}] {}", task, std::string(filled, '#'),
                                           std::string(kWidth - filled, '.'), figures(detail));
      fmt::print(stderr, "{}{}", line, last ? "\n" : "");
      std::fflush(stderr);
      log.state_->bar_shown = !last;
    } else {
      if (since < 10 && !last) return;
      log.info("{}: {}", task, figures(detail));
    }
    last_shown = now;
  }
};

Progress::Progress(Log& log, std::string task, std::size_t total, std::string item)
    : state_(new State{log, std::move(task), total, std::move(item), {}}) {
  if (total > 0) state_->show({});
}

Progress::~Progress() {
  const std::lock_guard lock(state_->log.state_->mutex);
  state_->log.state_->clear_bar();
}

void Progress::advance(std::size_t count, const std::string& detail) {
  const std::lock_guard lock(state_->mutex);
  state_->done += count;
  state_->show(detail);
}

void Progress::skip(std::size_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->done += count;
  state_->skipped += count;
}

}  // namespace epvs::core
