#include "train/team_watch.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "core/error.h"

namespace epvs::train {

using Clock = std::chrono::steady_clock;

namespace {

constexpr const char* kVerdict = "watch/verdict";
constexpr const char* kAlarm = "watch/alarm";
constexpr const char* kReaders = "watch/readers";
constexpr const char* kHint =
    "the last checkpoint is kept: look into the output of that process, start all of them again "
    "with --resume";

std::string beat_key(std::size_t rank) {
  return fmt::format("watch/beat/{}", rank);
}

std::vector<std::uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

}  // namespace

struct TeamWatch::State {
  c10::intrusive_ptr<c10d::Store> store;
  std::size_t rank = 0;
  std::vector<std::string> names;
  std::string store_holder;
  bool holds_store = false;
  WatchTiming timing;

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::optional<std::string> verdict;
  std::string own_failure;  ///< to be written by the thread
  Clock::time_point last_answer = Clock::now();
  mutable bool alarm = false;  ///< to be written by the thread
  bool stop = false;
  bool all_told = false;  ///< the verdict has reached the others, or cannot
  bool ended = false;     ///< the thread
  std::thread thread;

  // Of the thread alone.
  std::int64_t next_beat = -1;
  Clock::time_point next_changed = Clock::now();
  bool alarm_written = false;
  bool read_counted = false;

  std::size_t next() const { return (rank + 1) % names.size(); }

  void set_verdict(const std::string& text) {
    const std::lock_guard lock(mutex);
    if (!verdict) verdict = text;
    changed.notify_all();
  }

  /// The first text that any process gives is the verdict of all.
  void propose(const std::string& text) {
    const auto first = store->compareSet(kVerdict, {}, bytes_of(text));
    set_verdict({first.begin(), first.end()});
  }

  void look_at_next(bool in_alarm) {
    const std::int64_t beat = store->add(beat_key(next()), 0);
    const auto now = Clock::now();
    if (beat != next_beat) {
      next_beat = beat;
      next_changed = now;
      return;
    }
    if (now - next_changed < (in_alarm ? timing.silence_in_alarm : timing.silence)) return;
    propose(fmt::format("{} has died or cannot be reached", names[next()]));
  }

  void tick() {
    std::string failure;
    bool raise = false;
    {
      const std::lock_guard lock(mutex);
      failure = own_failure;
      raise = alarm;
    }
    store->add(beat_key(rank), 1);
    if (!failure.empty() && !verdict_known()) {
      propose(fmt::format("{} failed: {}", names[rank], failure));
    }
    if (raise && !alarm_written) {
      store->add(kAlarm, 1);
      alarm_written = true;
    }
    if (!verdict_known()) {
      if (store->check({kVerdict})) {
        const auto text = store->get(kVerdict);
        set_verdict({text.begin(), text.end()});
      } else {
        look_at_next(store->add(kAlarm, 0) > 0);
      }
    }
    const bool known = verdict_known();
    if (known && !read_counted) {
      store->add(kReaders, 1);
      read_counted = true;
    }
    // The one that died reads nothing.
    const auto living = static_cast<std::int64_t>(names.size()) - (failure.empty() ? 1 : 0);
    const bool told = known && (!holds_store || store->add(kReaders, 0) >= living);
    const std::lock_guard lock(mutex);
    last_answer = Clock::now();
    if (told) all_told = true;
    changed.notify_all();
  }

  bool verdict_known() const {
    const std::lock_guard lock(mutex);
    return verdict.has_value();
  }
};

TeamWatch::TeamWatch(c10::intrusive_ptr<c10d::Store> store, int rank,
                     std::vector<std::string> names, std::string store_holder, bool holds_store,
                     WatchTiming timing)
    : state_(std::make_shared<State>()) {
  state_->store = std::move(store);
  state_->rank = static_cast<std::size_t>(rank);
  state_->names = std::move(names);
  state_->store_holder = std::move(store_holder);
  state_->holds_store = holds_store;
  state_->timing = timing;
  state_->thread = std::thread([state = state_] { watch(state); });
}

TeamWatch::~TeamWatch() {
  std::unique_lock lock(state_->mutex);
  state_->stop = true;
  state_->changed.notify_all();
  const bool ended =
      state_->changed.wait_for(lock, std::chrono::seconds(2), [this] { return state_->ended; });
  lock.unlock();
  // The thread holds the state too, so that it may outlive this object.
  if (ended) {
    state_->thread.join();
  } else {
    state_->thread.detach();
  }
}

void TeamWatch::watch(const std::shared_ptr<State>& state) {
  bool store_lives = true;
  for (;;) {
    if (store_lives) {
      try {
        state->tick();
      } catch (const std::exception&) {
        store_lives = false;
        bool stop = false;
        {
          const std::lock_guard lock(state->mutex);
          stop = state->stop;
          state->all_told = true;
        }
        if (!stop) {
          state->set_verdict(fmt::format("{} has died or cannot be reached", state->store_holder));
        }
      }
    }
    std::unique_lock lock(state->mutex);
    state->changed.wait_for(lock, state->timing.beat, [&] {
      return state->stop || (!state->own_failure.empty() && !state->verdict);
    });
    if (state->stop) {
      state->ended = true;
      state->changed.notify_all();
      return;
    }
  }
}

std::optional<std::string> TeamWatch::verdict() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->verdict) return state_->verdict;
  // The thread hangs in a call: the machine of the store is gone without a word.
  if (!state_->stop && Clock::now() - state_->last_answer > state_->timing.silence) {
    state_->verdict = fmt::format("{} no longer answers", state_->store_holder);
  }
  return state_->verdict;
}

void TeamWatch::require_alive() const {
  if (const auto text = verdict()) throw core::RunError(*text, kHint);
}

void TeamWatch::explain(const std::string& what) const {
  const auto deadline = Clock::now() + state_->timing.silence;
  {
    std::unique_lock lock(state_->mutex);
    state_->alarm = true;
    state_->changed.notify_all();
    state_->changed.wait_until(lock, deadline, [this] { return state_->verdict.has_value(); });
  }
  require_alive();
  throw core::RunError(fmt::format("the connection to another process broke: {}", what), kHint);
}

void TeamWatch::report_failure(const std::string& message) noexcept {
  try {
    std::unique_lock lock(state_->mutex);
    if (state_->stop) return;
    if (!state_->verdict) state_->own_failure = message.empty() ? "no reason given" : message;
    state_->changed.notify_all();
    state_->changed.wait_for(lock, std::chrono::seconds(5), [this] { return state_->all_told; });
  } catch (const std::exception&) {
    return;  // the others will notice our silence
  }
}

void TeamWatch::finish() {
  const std::lock_guard lock(state_->mutex);
  state_->stop = true;
  state_->changed.notify_all();
}

}  // namespace epvs::train
