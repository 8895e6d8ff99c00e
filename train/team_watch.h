// Notices that another process of a team has died or failed, and who it was. Needs c10d.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace epvs::train {

/// How fast a silent process is noticed.
struct WatchTiming {
  std::chrono::milliseconds beat{500};        ///< between two signs of life
  std::chrono::milliseconds silence{30'000};  ///< without one a process counts as dead
  /// The same once a connection broke: a process that was killed is named within seconds.
  std::chrono::milliseconds silence_in_alarm{4'000};
};

/// Each process counts up its own number in the store and watches that of the next rank (the last
/// rank that of rank 0), so that of several dead ones at least one is seen by a living one. The
/// first failure of any process becomes the verdict that all of them read.
///
/// The watching is done by a thread; it never ends the process. When the store itself is lost, the
/// process that holds it (`store_holder`) is the one that died.
class TeamWatch {
 public:
  /// `store` must be this object's own connection: a call in it may block for long. `names[rank]`
  /// is how messages call a rank; `holds_store`: the store ends with this process.
  TeamWatch(c10::intrusive_ptr<c10d::Store> store, int rank, std::vector<std::string> names,
            std::string store_holder, bool holds_store, WatchTiming timing = {});
  /// Stops the thread; leaves it behind when it hangs in a lost connection.
  ~TeamWatch();
  TeamWatch(const TeamWatch&) = delete;
  TeamWatch& operator=(const TeamWatch&) = delete;

  /// What ended the team: "rank 1 (host a, process 7) has died ..."; nothing while all live.
  std::optional<std::string> verdict() const;
  /// Throws core::RunError with the verdict, if there is one.
  void require_alive() const;
  /// After an error in a connection: waits for the verdict and throws it as core::RunError. When
  /// none comes in time, throws `what` instead.
  [[noreturn]] void explain(const std::string& what) const;
  /// Makes this process's own failure the verdict of all, unless there is one already, and waits,
  /// at most five seconds, until it has reached the others.
  void report_failure(const std::string& message) noexcept;
  /// All work is done: nobody's silence means anything from now on.
  void finish();

 private:
  struct State;
  static void watch(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

}  // namespace epvs::train
