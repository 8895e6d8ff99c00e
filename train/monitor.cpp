#include "train/monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/crc.hpp>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/files.h"
#include "train/augmentation/preview.h"
#include "train/tensorboard_event.pb.h"

namespace epvs::train {

namespace fs = std::filesystem;

namespace {

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

template <class T>
std::string raw(T value) {
  static_assert(std::endian::native == std::endian::little);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// CRC-32C (Castagnoli), turned as TFRecord does: a checksum of checksums differs from them then.
std::string checksum(const std::string& data) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(data.data(), data.size());
  const std::uint32_t value = crc.checksum();
  return raw(((value >> 15) | (value << 17)) + 0xA282EAD8U);
}

tensorboard::Summary::Value& value_of(tensorboard::Event& event, const std::string& tag,
                                      std::int64_t step) {
  event.set_step(step);
  tensorboard::Summary::Value& value = *event.mutable_summary()->add_value();
  value.set_tag(tag);
  return value;
}

}  // namespace

EventWriter::EventWriter(const fs::path& folder) {
  fs::create_directories(folder);
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) {
      old.push_back(entry.path());
    }
  }
  for (const fs::path& path : old) fs::remove(path);
  path_ = folder / fmt::format("events.out.tfevents.{:.0f}.epvs", std::floor(seconds_since_1970()));
  file_.open(path_, std::ios::binary);
  tensorboard::Event event;
  event.set_file_version("brain.Event:2");
  write(event);
}

void EventWriter::write(tensorboard::Event& event) {
  event.set_wall_time(seconds_since_1970());
  const std::string text = event.SerializeAsString();
  const std::string length = raw(static_cast<std::uint64_t>(text.size()));
  file_ << length << checksum(length) << text << checksum(text);
  if (!file_) {
    throw core::RunError(fmt::format("cannot write {}: {}", path_.string(), std::strerror(errno)));
  }
}

void EventWriter::scalar(const std::string& tag, std::int64_t step, double value) {
  if (!std::isfinite(value)) return;
  tensorboard::Event event;
  value_of(event, tag, step).set_simple_value(static_cast<float>(value));
  write(event);
}

void EventWriter::histogram(const std::string& tag, std::int64_t step,
                            const std::vector<float>& values) {
  if (values.empty()) return;
  constexpr std::int64_t kBins = 30;
  const auto [low_it, high_it] = std::minmax_element(values.begin(), values.end());
  const double low = *low_it;
  const double high = *high_it;
  const double width = high > low ? (high - low) / kBins : 1.0;
  std::vector<double> counts(kBins, 0.0);
  double sum = 0;
  double squares = 0;
  for (const float value : values) {
    const auto bin = static_cast<std::int64_t>((static_cast<double>(value) - low) / width);
    counts[std::min(bin, kBins - 1)] += 1;
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  tensorboard::Event event;
  tensorboard::HistogramProto& histogram = *value_of(event, tag, step).mutable_histo();
  histogram.set_min(low);
  histogram.set_max(high);
  histogram.set_num(static_cast<double>(values.size()));
  histogram.set_sum(sum);
  histogram.set_sum_squares(squares);
  for (std::int64_t i = 0; i < kBins; ++i) {
    histogram.add_bucket_limit(low + width * static_cast<double>(i + 1));
    histogram.add_bucket(counts[i]);
  }
  write(event);
}

void EventWriter::image(const std::string& tag, std::int64_t step, int width, int height,
                        const std::string& png) {
  tensorboard::Event event;
  tensorboard::Summary::Image& image = *value_of(event, tag, step).mutable_image();
  image.set_width(width);
  image.set_height(height);
  image.set_colorspace(3);
  image.set_encoded_image_string(png);
  write(event);
}

void EventWriter::flush() {
  file_.flush();
}

Monitor::Monitor(const fs::path& folder, const std::vector<EpochRow>& history)
    : folder_(folder), writer_(folder) {
  for (const EpochRow& row : history) epoch(row);
}

void Monitor::epoch(const EpochRow& row) {
  for (const EpochFigure& figure : kEpochFigures) {
    writer_.scalar(figure.curve, row.epoch, row.*figure.value);
  }
  writer_.flush();
}

void Monitor::weights(const models::Network& network, std::int64_t epoch) {
  for (const auto& item : network.named_parameters()) {
    const torch::Tensor values =
        item.value().detach().to(torch::kCPU, torch::kFloat).contiguous().view({-1});
    const float* data = values.data_ptr<float>();
    writer_.histogram("weights/" + item.key(), epoch, {data, data + values.numel()});
  }
  writer_.flush();
}

void Monitor::attention(models::Network& network, const torch::Tensor& volume,
                        const std::array<double, 3>& spacing_mm, std::int64_t epoch) {
  if (!network.has_attention()) return;
  const torch::NoGradGuard no_grad;
  const data::Picture picture = middle_slice(network.attention(volume), spacing_mm);
  const fs::path file = folder_ / ".attention.png";
  data::write_png(file, picture);
  writer_.image("attention", epoch, picture.width, picture.height, core::read_text(file));
  fs::remove(file);
  writer_.flush();
}

}  // namespace epvs::train
