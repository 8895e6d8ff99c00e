// TensorBoard event files, written without TensorFlow: TFRecord frames around protocol buffers.
// https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace epvs::train {

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
  void image(const std::string& tag, std::int64_t step, std::int64_t width, std::int64_t height,
             const std::string& png);
  void flush();

  const std::filesystem::path& path() const { return path_; }

 private:
  void write_value(std::int64_t step, const std::string& value);
  void write_event(const std::string& event);

  std::filesystem::path path_;
  std::ofstream file_;
};

/// CRC-32C (Castagnoli), as TFRecord uses it.
std::uint32_t crc32c(std::string_view data);

}  // namespace epvs::train
