// Event files, read back by an independent program (read_events.py).
#include "train/monitor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/files.h"
#include "core/json.h"
#include "tests/support/test_support.h"

namespace epvs::train {
namespace {

std::vector<core::Json> read_events(const std::string& python, const std::filesystem::path& file,
                                    const std::filesystem::path& out) {
  const auto script = tests::source_folder() / "tests" / "integration" / "read_events.py";
  const std::string command =
      fmt::format("{} '{}' '{}' > '{}'", python, script.string(), file.string(), out.string());
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::istringstream lines(core::read_text(out));
  std::vector<core::Json> events;
  for (std::string line; std::getline(lines, line);) events.push_back(core::Json::parse(line));
  return events;
}

TEST(TensorBoard, AnotherProgramReadsTheEvents) {
  const auto python = tests::python_with("google.protobuf");
  if (!python) {
    EPVS_SKIP_WITHOUT("onnx", "no Python has google.protobuf (Debian: python3-protobuf)");
  }
  const tests::TemporaryFolder folder;
  std::ofstream(folder / "events.out.tfevents.1.old") << "x";
  EventWriter writer(folder.path());
  EXPECT_FALSE(std::filesystem::exists(folder / "events.out.tfevents.1.old"));
  writer.scalar("train/loss", 300, 1.5);
  writer.scalar("not finite", 300, std::nan(""));
  writer.histogram("weights", 2, {0.0F, 1.0F, 1.0F, 3.0F});
  const std::string png =
      "PNG\xFF"
      "DATA";
  writer.image("map", 1, 4, 3, png);
  writer.flush();
  const auto events = read_events(*python, writer.path(), folder / "events.json");
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0]["file_version"], "brain.Event:2");
  EXPECT_GT(events[0]["wall_time"].get<double>(), 1.6e9);
  EXPECT_EQ(events[1]["tag"], "train/loss");
  EXPECT_EQ(events[1]["step"], 300);
  EXPECT_EQ(events[1]["simple_value"], 1.5);
  EXPECT_EQ(events[2]["histo"], core::Json({0.0, 3.0, 4.0, 5.0, 11.0}));
  ASSERT_EQ(events[2]["limits"].size(), 30U);
  EXPECT_NEAR(events[2]["limits"][0].get<double>(), 0.1, 1e-12);
  EXPECT_EQ(events[2]["counts"][0], 1.0);
  EXPECT_EQ(events[2]["counts"][10], 2.0);
  EXPECT_EQ(events[2]["counts"][29], 1.0);
  EXPECT_EQ(events[3]["step"], 1);
  EXPECT_EQ(events[3]["image"], core::Json({4, 3, 3,
                                            "PNG\u00FF"
                                            "DATA"}));
}

}  // namespace
}  // namespace epvs::train
