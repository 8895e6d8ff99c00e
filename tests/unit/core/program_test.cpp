#include "core/program.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

ProgramCall shell(const std::string& script) {
  ProgramCall call;
  call.program = "sh";
  call.arguments = {"-c", script};
  return call;
}

TEST(Program, GivesTheExitStatusOrTheSignal) {
  EXPECT_EQ(run_program(shell("exit 0")), 0);
  EXPECT_EQ(run_program(shell("exit 7")), 7);
  EXPECT_EQ(run_program(shell("kill -KILL $$")), 128 + SIGKILL);
  EXPECT_EQ(describe_exit(7), "ended with exit status 7");
  EXPECT_NE(describe_exit(137).find("killed by signal 9"), std::string::npos);
}

TEST(Program, AMissingCommandIsNamed) {
  tests::expect_error<RunError>([] { become_command("nowhere", {}); },
                                {"epvs-nowhere is missing", "build or install"});
}

TEST(Program, ArgumentsPassThroughNoShell) {
  const tests::TemporaryFolder folder;
  ProgramCall call;
  call.program = "printf";
  call.arguments = {"%s|", "a b", "$HOME", "\"'", ""};
  call.output = folder / "out.txt";
  EXPECT_EQ(run_program(call), 0);
  EXPECT_EQ(read_text(folder / "out.txt"), "a b|$HOME|\"'||");
}

TEST(Program, OutputGoesToFilesTogetherOrApart) {
  const tests::TemporaryFolder folder;
  ProgramCall call = shell("echo one; echo two >&2; echo three");
  call.output = call.errors = folder / "both.txt";
  EXPECT_EQ(run_program(call), 0);
  EXPECT_EQ(read_text(folder / "both.txt"), "one\ntwo\nthree\n");
  call.output = folder / "out.txt";
  call.errors = folder / "err.txt";
  EXPECT_EQ(run_program(call), 0);
  EXPECT_EQ(read_text(folder / "out.txt"), "one\nthree\n");
  EXPECT_EQ(read_text(folder / "err.txt"), "two\n");
  call.output = folder.path() / "no" / "out.txt";
  tests::expect_error<RunError>([&] { (void)run_program(call); }, {"cannot write", "no/out.txt"});
}

TEST(Program, FolderAndEnvironment) {
  const tests::TemporaryFolder folder;
  ::setenv("EPVS_TEST_GONE", "here", 1);
  ProgramCall call = shell("pwd -P; echo $EPVS_TEST_NEW; echo gone=$EPVS_TEST_GONE");
  call.output = folder / "out.txt";
  call.working_folder = folder.path();
  call.environment = {{"EPVS_TEST_NEW", "a value"}, {"EPVS_TEST_GONE", std::nullopt}};
  EXPECT_EQ(run_program(call), 0);
  ::unsetenv("EPVS_TEST_GONE");
  EXPECT_EQ(read_text(folder / "out.txt"),
            std::filesystem::canonical(folder.path()).string() + "\na value\ngone=\n");
  call.working_folder = folder / "missing";
  tests::expect_error<RunError>([&] { (void)run_program(call); }, {"missing", "does not exist"});
}

TEST(Program, AMissingProgramIsAnErrorWithTheHint) {
  ProgramCall call;
  call.program = "elastix-that-nobody-has";
  call.hint = "install the package elastix";
  tests::expect_error<RunError>([&] { (void)run_program(call); },
                                {"elastix-that-nobody-has", "on PATH", "install the package"});
  EXPECT_FALSE(find_program("/etc/passwd"));
  EXPECT_TRUE(find_program("sh"));
  const tests::TemporaryFolder folder;
  write_text(folder / "bad", "\x01 no program");
  std::filesystem::permissions(folder / "bad", std::filesystem::perms::owner_all);
  call.program = (folder / "bad").string();
  tests::expect_error<RunError>([&] { (void)run_program(call); }, {"cannot start", "/bad"});
}

TEST(Program, StopSignalsArePassedOnOnce) {
  const tests::TemporaryFolder folder;
  ProgramCall call = shell("trap 'echo got >> log; exit 9' INT; echo up > up; sleep 3 & wait");
  call.working_folder = folder.path();
  const StopSignals signals;
  const std::jthread sender([&] {
    while (!std::filesystem::exists(folder / "up")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ::kill(::getpid(), SIGINT);
  });
  EXPECT_EQ(run_program(call, &signals), 9);
  EXPECT_EQ(read_text(folder / "log"), "got\n");
}

TEST(Program, EndsWithWhoStartedIt) {
  const auto begin = std::chrono::steady_clock::now();
  { const RunningProgram program(shell("exec sleep 30")); }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));

  // A starter that is killed outright takes its program along.
  const tests::TemporaryFolder folder;
  const std::string pid_file = (folder / "pid").string();
  const pid_t starter = ::fork();
  if (starter == 0) {
    const RunningProgram program(shell("echo $$ > " + pid_file + "; exec sleep 30"));
    while (true) ::pause();
  }
  std::string text;
  for (int i = 0; i < 500 && text.find('\n') == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (std::filesystem::exists(pid_file)) text = read_text(pid_file);
  }
  const auto program = parse_integer(trim(text));
  ASSERT_TRUE(program.has_value());
  ::kill(starter, SIGKILL);
  const auto gone = [&] {
    // A process that ended may stay as a zombie until it is collected: its state says so.
    const std::filesystem::path stat = "/proc/" + std::to_string(*program) + "/stat";
    return !std::filesystem::exists(stat) || read_text(stat).find(") Z ") != std::string::npos;
  };
  for (int i = 0; i < 500 && !gone(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(gone());
}

}  // namespace
}  // namespace epvs::core
