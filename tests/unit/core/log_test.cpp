#include "core/log.h"

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

TEST(Log, FileGetsEveryLineAtOnceAlsoDetailsAndAppends) {
  const tests::TemporaryFolder folder;
  testing::internal::CaptureStderr();
  {
    Log log;
    log.add_file(folder / "log.txt");
    log.info("first {}", 1);
    EXPECT_NE(read_text(folder / "log.txt").find("info first 1"), std::string::npos);
    log.debug("details");
    log.warning("careful");
  }
  {
    Log log;
    log.add_file(folder / "log.txt");
    log.info("second");
  }
  const std::string shown = testing::internal::GetCapturedStderr();
  EXPECT_EQ(shown, "first 1\nwarning: careful\nsecond\n");
  const std::string kept = read_text(folder / "log.txt");
  EXPECT_EQ(split(kept, '\n').size(), 5U) << kept;
  EXPECT_NE(kept.find("debug details"), std::string::npos) << kept;
}

TEST(Log, QuietShowsOnlyWarnings) {
  testing::internal::CaptureStderr();
  Log log(LogLevel::kWarning);
  log.info("no");
  log.error("yes");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: yes\n");
}

TEST(Log, FileThatCannotBeOpenedIsAnError) {
  Log log;
  tests::expect_error<RunError>([&] { log.add_file("/proc/no/such/log.txt"); }, {"cannot open"});
}

TEST(Progress, PlainLinesAtStartAndEndWithFigures) {
  testing::internal::CaptureStderr();
  {
    Log log;
    Progress progress(log, "prepare", 100, "participant");
    progress.skip(40);
    for (int i = 0; i < 60; ++i) progress.advance(1, "sub-x");
  }
  const std::string shown = testing::internal::GetCapturedStderr();
  const auto lines = split(shown, '\n');
  ASSERT_EQ(lines.size(), 3U) << shown;
  EXPECT_EQ(lines[0], "prepare: 0/100 participants");
  EXPECT_NE(lines[1].find("100/100 participants"), std::string::npos);
  EXPECT_NE(lines[1].find("took"), std::string::npos);
  EXPECT_NE(lines[1].find("| sub-x"), std::string::npos);
}

}  // namespace
}  // namespace epvs::core
