// What a training shows in TensorBoard: curves, histograms of the weights, an attention map; as event
// files without TensorFlow: TFRecord frames around protocol buffers (train/tensorboard_event.proto).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "models/network.h"
#include "train/checkpoint.h"

namespace epvs::train {

namespace tensorboard {
class Event;
}

class EventWriter {
 public:
  /// Starts a new file events.out.tfevents.<seconds>.epvs in `folder`; older event files there are
  /// removed, so that a resumed training (which writes its history again) shows each epoch once.
  /// Throws core::RunError when it cannot be written.
  explicit EventWriter(const std::filesystem::path& folder);

  /// A value that is not finite is left out.
  void scalar(const std::string& tag, std::int64_t step, double value);
  /// Thirty bins of equal width over the range of `values`.
  void histogram(const std::string& tag, std::int64_t step, const std::vector<float>& values);
  /// `png`: a whole RGB PNG file.
  void image(const std::string& tag, std::int64_t step, int width, int height,
             const std::string& png);
  void flush();

  const std::filesystem::path& path() const { return path_; }

 private:
  void write(tensorboard::Event& event);

  std::filesystem::path path_;
  std::ofstream file_;
};

class Monitor {
 public:
  /// Starts an event file in `folder` with the curves of `history`.
  Monitor(const std::filesystem::path& folder, const std::vector<EpochRow>& history);

  void epoch(const EpochRow& row);
  /// Histograms of every parameter.
  void weights(const models::Network& network, std::int64_t epoch);
  /// The middle axial slice of the attention map of (1, 1, Z, Y, X); nothing for a network without.
  void attention(models::Network& network, const torch::Tensor& volume,
                 const std::array<double, 3>& spacing_mm, std::int64_t epoch);

 private:
  std::filesystem::path folder_;
  EventWriter writer_;
};

}  // namespace epvs::train
