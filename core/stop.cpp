#include "core/stop.h"

#include <array>
#include <csignal>

#include "core/error.h"

namespace epvs::core {

namespace {

// Signal handlers can reach nothing but globals.
volatile std::sig_atomic_t stop_signal_received = 0;
volatile std::sig_atomic_t checkpoint_requested = 0;

extern "C" void on_stop(int signal_number) {
  if (stop_signal_received != 0) {
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
    return;
  }
  stop_signal_received = signal_number;
}

extern "C" void on_checkpoint(int) {
  checkpoint_requested = 1;
}

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGUSR1};
std::array<struct sigaction, kSignals.size()> previous{};

}  // namespace

StopSignals::StopSignals() {
  stop_signal_received = 0;
  checkpoint_requested = 0;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = kSignals[i] == SIGUSR1 ? on_checkpoint : on_stop;
    action.sa_flags = SA_RESTART;
    sigaction(kSignals[i], &action, &previous[i]);
  }
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

int StopSignals::stop_signal() const {
  return stop_signal_received;
}

bool StopSignals::take_checkpoint_request() {
  const bool requested = checkpoint_requested != 0;
  checkpoint_requested = 0;
  return requested;
}

void StopSignals::throw_if_stopped() const {
  if (stop_signal_received != 0) throw Interrupted(stop_signal_received);
}

}  // namespace epvs::core
