#include "tests/support/test_support.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "core/files.h"
#include "core/program.h"
#include "core/text.h"

namespace epvs::tests {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "epvs-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

CommandResult run_epvs(const std::vector<std::string>& arguments, const fs::path& working_folder) {
  const TemporaryFolder capture;
  const fs::path out = capture / "out";
  const fs::path err = capture / "err";
  core::ProgramCall call;
  call.program = (fs::path(EPVS_BINARY_DIR) / "bin" / "epvs").string();
  call.arguments = arguments;
  call.output = out;
  call.errors = err;
  call.working_folder = working_folder;
  CommandResult result;
  result.exit_code = core::run_program(call);
  result.out = core::read_text(out);
  result.err = core::read_text(err);
  return result;
}

void expect_result(const CommandResult& result, int exit_code,
                   const std::vector<std::string>& texts) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  for (const std::string& text : texts) {
    EXPECT_NE(result.err.find(text), std::string::npos) << "no '" << text << "' in\n" << result.err;
  }
}

fs::path golden(const std::string& name) {
  return fs::path(EPVS_SOURCE_DIR) / "tests" / "golden" / name;
}

fs::path source_folder() {
  return EPVS_SOURCE_DIR;
}

std::optional<fs::path> test_data(const std::string& name) {
  const char* folder = std::getenv("EPVS_TEST_DATA");
  const fs::path root =
      folder != nullptr ? fs::path(folder) : fs::path(EPVS_SOURCE_DIR) / ".." / "shared" / "data";
  const fs::path path = root / name;
  return fs::exists(path) ? std::optional<fs::path>(path) : std::nullopt;
}

bool must_have(const std::string& what) {
  if (what == "data" && std::getenv("EPVS_TEST_DATA") != nullptr) return true;
  const auto names = [&](const std::string& list) {
    const std::vector<std::string> all = core::split(list, ',');
    return std::find(all.begin(), all.end(), what) != all.end();
  };
  if (const char* required = std::getenv("EPVS_REQUIRE")) {
    return std::string(required) == "all" || names(required);
  }
  const char* ci = std::getenv("CI");
  return ci != nullptr && std::string(ci) == "true" && names("elastix,h5py,node,onnx,python,torch");
}

std::optional<std::string> python_with(const std::string& module) {
  for (const char* python : {"/usr/bin/python3", "python3"}) {
    const std::string command = std::string(python) + " -c 'import " + module + "' >/dev/null 2>&1";
    if (std::system(command.c_str()) == 0) return python;
  }
  return std::nullopt;
}

}  // namespace epvs::tests
