// Event files, read back by the rules of TFRecord and protocol buffers.
#include "train/tensorboard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "core/files.h"
#include "tests/support/test_support.h"

namespace epvs::train {
namespace {

template <class T>
T raw(const std::string& text, std::size_t at) {
  T value;
  std::memcpy(&value, text.data() + at, sizeof(T));
  return value;
}

std::uint32_t unmasked(std::uint32_t masked) {
  const std::uint32_t rotated = masked - 0xA282EAD8U;
  return (rotated >> 17) | (rotated << 15);
}

std::vector<std::string> records(const std::string& file) {
  std::vector<std::string> found;
  for (std::size_t at = 0; at < file.size();) {
    const auto size = static_cast<std::size_t>(raw<std::uint64_t>(file, at));
    EXPECT_EQ(unmasked(raw<std::uint32_t>(file, at + 8)), crc32c(file.substr(at, 8)));
    found.push_back(file.substr(at + 12, size));
    EXPECT_EQ(unmasked(raw<std::uint32_t>(file, at + 12 + size)), crc32c(found.back()));
    at += size + 16;
  }
  return found;
}

TEST(TensorBoard, ChecksumIsCastagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
}

TEST(TensorBoard, RecordsHoldTheEvents) {
  const tests::TemporaryFolder folder;
  std::ofstream(folder / "events.out.tfevents.1.old") << "x";
  EventWriter writer(folder.path());
  EXPECT_FALSE(std::filesystem::exists(folder / "events.out.tfevents.1.old"));
  writer.scalar("train/loss", 300, 1.5);
  writer.scalar("not finite", 300, std::nan(""));
  writer.histogram("weights", 2, {0.0F, 1.0F, 1.0F, 2.0F});
  writer.image("map", 1, 4, 3, "PNGDATA");
  writer.flush();
  const auto found = records(core::read_text(writer.path()));
  ASSERT_EQ(found.size(), 4U);
  EXPECT_NE(found[0].find("brain.Event:2"), std::string::npos);
  // step 300 as a varint, then the summary: value { tag "train/loss" simple_value 1.5 }
  std::string expected = "\x10\xAC\x02\x2A\x13\x0A\x11\x0A\x0Atrain/loss\x15";
  expected.append("\x00\x00\xC0\x3F", 4);
  EXPECT_EQ(found[1].substr(9), expected);
  EXPECT_NE(found[2].find("weights"), std::string::npos);
  const std::string image = "\x08\x03\x10\x04\x18\x03\x22\x07PNGDATA";
  EXPECT_NE(found[3].find(image), std::string::npos);
}

}  // namespace
}  // namespace epvs::train
