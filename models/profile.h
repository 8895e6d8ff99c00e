// Where the time of a training or of an inference goes: --profile of `epvs train` and `epvs infer`.
#pragma once

#include <c10/core/Device.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/log.h"
#include "models/network_options.h"

namespace epvs::models {

/// Seconds and work of named parts, in the order in which they were first seen. Parts do not
/// overlap; what none of them covers is "other".
class Profile {
 public:
  /// Time counts from here. `precision` is that of the convolutions.
  Profile(c10::Device device, Precision precision);

  /// Logs a table of the parts, their shares and the limit of the device, which is measured now;
  /// returns the same as JSON for the provenance. `unit` is what is counted: "step", "scan".
  core::Json report(core::Log& log, const std::string& unit, std::int64_t count) const;

 private:
  friend class Timed;
  using Clock = std::chrono::steady_clock;
  struct Part {
    std::string name;
    double seconds = 0;
    double flops = 0;
  };
  Part& part(const char* name);

  c10::Device device_;
  Precision precision_;
  Clock::time_point start_;
  std::vector<Part> parts_;
};

/// Adds the time until it ends to a part of a profile; without a profile it does nothing. On a GPU
/// it waits at both ends for the work that was started, which makes the whole slower.
class Timed {
 public:
  /// `flops`: floating point operations of the part, as layer tables count them (models/layers.h).
  Timed(Profile* profile, const char* part, double flops = 0);
  ~Timed();
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  Profile* profile_;
  const char* part_;
  double flops_;
  Profile::Clock::time_point start_;
};

/// Floating point operations per second that the device reaches in a 3x3x3 convolution of 32 to 32
/// channels of 40x64x84 voxels, on the CPU in oneDNN's own layout: what a network of such layers
/// can reach at most. The best of seven, about half a second on two cores.
double convolution_rate(c10::Device device, Precision precision);

}  // namespace epvs::models
