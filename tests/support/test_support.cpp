#include "tests/support/test_support.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "core/files.h"

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
  const std::string program = (fs::path(EPVS_BINARY_DIR) / "bin" / "epvs").string();
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int out_fd = ::open(out.c_str(), O_WRONLY | O_CREAT, 0600);
    const int err_fd = ::open(err.c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(out_fd, STDOUT_FILENO);
    ::dup2(err_fd, STDERR_FILENO);
    if (::chdir(working_folder.c_str()) != 0) ::_exit(126);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CommandResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = core::read_text(out);
  result.err = core::read_text(err);
  return result;
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

std::optional<std::string> python_with(const std::string& module) {
  for (const char* python : {"/usr/bin/python3", "python3"}) {
    const std::string command = std::string(python) + " -c 'import " + module + "' >/dev/null 2>&1";
    if (std::system(command.c_str()) == 0) return python;
  }
  return std::nullopt;
}

}  // namespace epvs::tests
