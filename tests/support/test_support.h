// What tests of every room share: a temporary folder per test, commands with captured output, the
// golden files of the tree, the real scans beside the checkout.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/program.h"

namespace epvs::tests {

/// A new empty folder that is removed with everything in it by the destructor.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

struct CommandResult {
  int exit_code = -1;  ///< 128 + signal when killed
  std::string out;
  std::string err;
};

/// Runs the built `epvs` with these arguments (no shell) and waits.
CommandResult run_epvs(const std::vector<std::string>& arguments,
                       const std::filesystem::path& working_folder = ".");

/// The exit code, and texts that stderr holds.
void expect_result(const CommandResult& result, int exit_code,
                   const std::vector<std::string>& texts);

/// tests/golden/<name> of the source tree.
std::filesystem::path golden(const std::string& name);

/// The root of the source tree.
std::filesystem::path source_folder();

/// <EPVS_TEST_DATA>/<name> (default: ../shared/data beside the checkout) or nothing.
std::optional<std::filesystem::path> test_data(const std::string& name);

/// Must this machine have what a test needs (data, elastix, h5py, node, onnx, python, torch, ...)?
/// EPVS_REQUIRE lists it, by name or as "all"; without EPVS_REQUIRE, CI=true requires what
/// scripts/setup --tests installs. The real scans are required too where EPVS_TEST_DATA is set.
bool must_have(const std::string& what);

/// A Python 3 that can import this module (Debian's own first), or nothing.
std::optional<std::string> python_with(const std::string& module);

/// Runs `action`, expects an exception of type E whose message (and hint) contains every text.
template <class E, class Action>
void expect_error(Action&& action, const std::vector<std::string>& texts) {
  try {
    action();
  } catch (const E& error) {
    std::string message = error.what();
    if constexpr (requires { error.hint(); }) message += "\n" + error.hint();
    for (const std::string& text : texts) {
      EXPECT_NE(message.find(text), std::string::npos) << "the message lacks '" << text << "':\n"
                                                       << message;
    }
    return;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another type of error: " << error.what();
    return;
  }
  ADD_FAILURE() << "no error was thrown";
}

}  // namespace epvs::tests

/// Ends a test for want of `what`: skipped on a machine that may lack it, failed where it must be
/// there (tests::must_have).
#define EPVS_SKIP_WITHOUT(what, message)                                        \
  do {                                                                          \
    if (::epvs::tests::must_have(what)) {                                       \
      FAIL() << (message) << "; EPVS_REQUIRE or CI says that it must be there"; \
    }                                                                           \
    GTEST_SKIP() << (message);                                                  \
  } while (false)

/// Ends a test of registration where the program elastix is not installed.
#define EPVS_REQUIRE_ELASTIX()                                                    \
  do {                                                                            \
    if (!::epvs::core::find_program("elastix")) {                                 \
      EPVS_SKIP_WITHOUT("elastix", "elastix is not installed (Debian: elastix)"); \
    }                                                                             \
  } while (false)

/// The folder of the real scans `name`, or the end of the test.
#define EPVS_REQUIRE_TEST_DATA(variable, name)                                      \
  const auto variable##_found = ::epvs::tests::test_data(name);                     \
  if (!variable##_found) {                                                          \
    EPVS_SKIP_WITHOUT("data", std::string("real data '") + (name) +                 \
                                  "' not found; set EPVS_TEST_DATA to its folder"); \
  }                                                                                 \
  const std::filesystem::path variable = *variable##_found
