// Every command of the build answers --help like a manual page, and wrong usage with exit code 2.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <regex>

#include "core/text.h"
#include "tests/support/test_support.h"

namespace epvs {
namespace {

using tests::run_epvs;

class EveryCommand : public testing::TestWithParam<std::string> {};

TEST_P(EveryCommand, HelpReadsLikeAManualPage) {
  const auto help = run_epvs({GetParam(), "--help"});
  ASSERT_EQ(help.exit_code, 0) << help.err;
  EXPECT_TRUE(help.err.empty()) << help.err;
  for (const char* section :
       {"NAME\n", "SYNOPSIS\n", "DESCRIPTION\n", "EXAMPLES\n", "EXIT STATUS\n", "CITATIONS\n"}) {
    EXPECT_NE(help.out.find(section), std::string::npos) << section;
  }
  EXPECT_NE(help.out.find("epvs " + GetParam()), std::string::npos);
  for (const std::string& line : core::split(help.out, '\n')) {
    const bool example = line.rfind("      epvs ", 0) == 0;
    EXPECT_TRUE(example || line.size() <= 100) << line;
  }
}

TEST_P(EveryCommand, EveryOptionOfTheExamplesExists) {
  const auto help = run_epvs({GetParam(), "--help"});
  const std::regex option("--[a-z][a-z0-9-]*");
  std::string declared;
  std::vector<std::string> examples;
  for (const std::string& line : core::split(help.out, '\n')) {
    if (line.rfind("      epvs " + GetParam() + " ", 0) == 0) examples.push_back(line);
    if (line.rfind("  --", 0) == 0) declared += line + " ";
  }
  EXPECT_FALSE(examples.empty());
  for (const std::string& example : examples) {
    const std::string own = example.substr(0, example.find('|'));
    for (std::sregex_iterator it(own.begin(), own.end(), option), end; it != end; ++it) {
      EXPECT_NE(declared.find("  " + it->str() + " "), std::string::npos)
          << it->str() << " in: " << example;
    }
  }
}

TEST_P(EveryCommand, UnknownOptionsNameTheNearest) {
  const auto wrong = run_epvs({GetParam(), "--quite"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.err.find("did you mean '--quiet'"), std::string::npos) << wrong.err;
  EXPECT_TRUE(wrong.out.empty());
}

TEST_P(EveryCommand, VersionIsPrinted) {
  const auto version = run_epvs({GetParam(), "--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out.rfind("epvs " + GetParam() + " ", 0), 0U) << version.out;
}

INSTANTIATE_TEST_SUITE_P(Cli, EveryCommand, testing::ValuesIn(core::split(EPVS_CLI_COMMANDS, ' ')),
                         [](const auto& parameter) {
                           std::string name = parameter.param;  // GoogleTest takes no dashes
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// stderr of the command, with a line for each shared library that its processes load.
std::string libraries_loaded_by(const std::vector<std::string>& arguments) {
  ::setenv("LD_DEBUG", "files", 1);
  const std::string lines = run_epvs(arguments).err;
  ::unsetenv("LD_DEBUG");
  EXPECT_NE(lines.find("libc.so"), std::string::npos);
  return lines;
}

/// Loading Torch takes most of a second.
TEST_P(EveryCommand, HelpAndWrongUsageLoadNoTorch) {
  for (const char* argument : {"--help", "--version", "--quite"}) {
    const std::string lines = libraries_loaded_by({GetParam(), argument});
    EXPECT_EQ(lines.find("libtorch"), std::string::npos) << argument;
  }
}

TEST(TrainCommand, WorksWithTorch) {
  if (run_epvs({"train", "--version"}).exit_code != 0) GTEST_SKIP() << "built without Torch";
  const std::string lines = libraries_loaded_by({"train", "--print-recipe"});
  EXPECT_NE(lines.find("libtorch"), std::string::npos);
}

TEST(EvalCommand, HelpTakesLessThanFiftyMilliseconds) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "times mean nothing under a sanitizer";
#endif
  run_epvs({"eval", "--help"});
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run_epvs({"eval", "--help"});
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  EXPECT_LT(best, 0.050);
}

TEST(Front, ListsCommandsAndNamesTheNearest) {
  const auto help = run_epvs({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* name : {"simulate", "prepare", "split", "train", "infer", "eval", "inspect"}) {
    EXPECT_NE(help.out.find(name), std::string::npos) << name;
  }
  const auto unknown = run_epvs({"evall"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("did you mean 'eval'"), std::string::npos);
  EXPECT_EQ(run_epvs({}).exit_code, 2);
  EXPECT_EQ(run_epvs({"../evil"}).exit_code, 2);
}

}  // namespace
}  // namespace epvs
