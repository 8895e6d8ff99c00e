#include "train/tensorboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace epvs::train {

namespace fs = std::filesystem;

namespace {

constexpr int kVarint = 0;
constexpr int kFixed64 = 1;
constexpr int kBytes = 2;
constexpr int kFixed32 = 5;

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>((value & 0x7F) | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

template <class T>
void put_raw(std::string& out, T value) {
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_key(std::string& out, int field, int type) {
  put_varint(out, static_cast<std::uint64_t>(field << 3 | type));
}

void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out.append(bytes);
}

void put_double(std::string& out, int field, double value) {
  put_key(out, field, kFixed64);
  put_raw(out, value);
}

void put_packed(std::string& out, int field, const std::vector<double>& values) {
  std::string packed;
  for (const double value : values) put_raw(packed, value);
  put_bytes(out, field, packed);
}

std::string with_wall_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::string event;
  put_double(event, 1, std::chrono::duration<double>(now).count());
  return event;
}

/// TFRecord stores rotated checksums, so that a checksum of checksums differs from them.
std::uint32_t masked(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) != 0 ? 0x82F63B78U : 0U);
    table[i] = value;
  }
  return table;
}

}  // namespace

std::uint32_t crc32c(std::string_view data) {
  static constexpr std::array<std::uint32_t, 256> kTable = crc_table();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char c : data)
    crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFFU] ^ (crc >> 8);
  return crc ^ 0xFFFFFFFFU;
}

EventWriter::EventWriter(const fs::path& folder) {
  fs::create_directories(folder);
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) {
      old.push_back(entry.path());
    }
  }
  for (const fs::path& path : old) fs::remove(path);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  path_ = folder / fmt::format("events.out.tfevents.{}.epvs", seconds);
  file_.open(path_, std::ios::binary);
  std::string event = with_wall_time();
  put_bytes(event, 3, "brain.Event:2");
  write_event(event);
}

void EventWriter::write_event(const std::string& event) {
  std::string length;
  put_raw(length, static_cast<std::uint64_t>(event.size()));
  std::string record = length;
  put_raw(record, masked(crc32c(length)));
  record += event;
  put_raw(record, masked(crc32c(event)));
  file_.write(record.data(), static_cast<std::streamsize>(record.size()));
  if (!file_) {
    throw core::RunError(fmt::format("cannot write {}: {}", path_.string(), std::strerror(errno)));
  }
}

void EventWriter::write_value(std::int64_t step, const std::string& value) {
  std::string summary;
  put_bytes(summary, 1, value);
  std::string event = with_wall_time();
  put_key(event, 2, kVarint);
  put_varint(event, static_cast<std::uint64_t>(step));
  put_bytes(event, 5, summary);
  write_event(event);
}

void EventWriter::scalar(const std::string& tag, std::int64_t step, double value) {
  if (!std::isfinite(value)) return;
  std::string message;
  put_bytes(message, 1, tag);
  put_key(message, 2, kFixed32);
  put_raw(message, static_cast<float>(value));
  write_value(step, message);
}

void EventWriter::histogram(const std::string& tag, std::int64_t step,
                            const std::vector<float>& values) {
  if (values.empty()) return;
  constexpr std::size_t kBins = 30;
  const auto [low_it, high_it] = std::minmax_element(values.begin(), values.end());
  const double low = *low_it;
  const double high = *high_it;
  const double width = high > low ? (high - low) / kBins : 1.0;
  std::vector<double> limits;
  std::vector<double> counts(kBins, 0.0);
  for (std::size_t i = 0; i < kBins; ++i) {
    limits.push_back(low + width * static_cast<double>(i + 1));
  }
  double sum = 0;
  double squares = 0;
  for (const float value : values) {
    const auto bin = static_cast<std::size_t>((static_cast<double>(value) - low) / width);
    counts[std::min(bin, kBins - 1)] += 1;
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  std::string proto;
  put_double(proto, 1, low);
  put_double(proto, 2, high);
  put_double(proto, 3, static_cast<double>(values.size()));
  put_double(proto, 4, sum);
  put_double(proto, 5, squares);
  put_packed(proto, 6, limits);
  put_packed(proto, 7, counts);
  std::string message;
  put_bytes(message, 1, tag);
  put_bytes(message, 5, proto);
  write_value(step, message);
}

void EventWriter::image(const std::string& tag, std::int64_t step, std::int64_t width,
                        std::int64_t height, const std::string& png) {
  std::string proto;
  put_key(proto, 1, kVarint);
  put_varint(proto, static_cast<std::uint64_t>(height));
  put_key(proto, 2, kVarint);
  put_varint(proto, static_cast<std::uint64_t>(width));
  put_key(proto, 3, kVarint);
  put_varint(proto, 3);  // RGB
  put_bytes(proto, 4, png);
  std::string message;
  put_bytes(message, 1, tag);
  put_bytes(message, 4, proto);
  write_value(step, message);
}

void EventWriter::flush() {
  file_.flush();
}

}  // namespace epvs::train
