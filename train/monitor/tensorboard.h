// TensorBoard event files without TensorFlow: TFRecord frames around protocol buffers
// (train/monitor/tensorboard_event.proto).
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

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

}  // namespace epvs::train
