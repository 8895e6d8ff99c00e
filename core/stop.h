// Signals that a command obeys when it can: INT and TERM ask it to stop, USR1 asks for a checkpoint.
#pragma once

namespace epvs::core {

/// Installs the handlers while it lives and restores the old ones afterwards. A second INT or TERM
/// kills the process at once. One instance at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// The number of the signal that asked to stop, or 0.
  int stop_signal() const;
  /// True once for each USR1 that arrived since the last call.
  bool take_checkpoint_request();
  /// Throws Interrupted when a stop was asked for.
  void throw_if_stopped() const;
};

}  // namespace epvs::core
