// epvs: lists the commands and starts them, as git does. A command is the executable epvs-NAME in
// the folder of this program, or in libexec/epvs beside it.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/text.h"
#include "core/version.h"

namespace fs = std::filesystem;

namespace {

struct CommandLineEntry {
  const char* name;
  const char* summary;
};

constexpr CommandLineEntry kCommands[] = {
    {"simulate", "phantom cohort with known EPVS, several scanners and raters"},
    {"prepare", "scans to regions of interest: a cohort file and quality control"},
    {"split", "participants to training, validation and test sets"},
    {"train", "trains a network on visual scores"},
    {"infer", "scores, attention maps and detections of a trained network"},
    {"eval", "agreement, comparison and association statistics of scores tables"},
    {"experiment", "the tables and figures of the papers, one recipe each"},
    {"export", "a trained network as TorchScript or ONNX"},
    {"import-keras", "weights of Keras as a weights file of epvs"},
    {"inspect", "what is in a scan, cohort, weights file or network"},
};

std::vector<fs::path> command_folders() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const fs::path folder = error ? fs::path(".") : self.parent_path();
  return {folder, folder.parent_path() / "libexec" / "epvs", folder / "libexec" / "epvs"};
}

bool find_command(const std::string& name, fs::path& path) {
  for (const fs::path& folder : command_folders()) {
    path = folder / ("epvs-" + name);
    if (::access(path.c_str(), X_OK) == 0) return true;
  }
  return false;
}

void print_usage(std::FILE* stream) {
  fmt::print(stream,
             "epvs {} - counts enlarged perivascular spaces in brain MRI\n\n"
             "usage: epvs COMMAND [options]        epvs COMMAND --help\n\n",
             epvs::core::kVersion);
  for (const CommandLineEntry& command : kCommands) {
    fs::path path;
    const char* note = find_command(command.name, path) ? "" : "  (not in this build)";
    fmt::print(stream, "  {:<12} {}{}\n", command.name, command.summary, note);
  }
  fmt::print(stream,
             "\nThe path from scans to a table: prepare, split, train, infer, eval.\n"
             "Research software, not a medical device.\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name.empty() || name == "--help" || name == "-h" || name == "help") {
    print_usage(name.empty() ? stderr : stdout);
    return name.empty() ? 2 : 0;
  }
  if (name == "--version") {
    fmt::print("epvs {} ({})\n", epvs::core::kVersion, epvs::core::kGitCommit);
    return 0;
  }
  fs::path path;
  if (name.find('/') == std::string::npos && find_command(name, path)) {
    argv[1] = const_cast<char*>(path.c_str());
    ::execv(path.c_str(), argv + 1);
    fmt::print(stderr, "error: cannot start {}: {}\n", path.string(), std::strerror(errno));
    return 1;
  }
  std::vector<std::string> names;
  bool known = false;
  for (const CommandLineEntry& command : kCommands) {
    names.emplace_back(command.name);
    known = known || name == command.name;
  }
  if (known) {
    fmt::print(stderr, "error: 'epvs {}' is not in this build\n", name);
    fmt::print(stderr,
               "what to do: build with its libraries (LibTorch for train and infer, ITK for "
               "prepare); see README.md\n");
    return 2;
  }
  fmt::print(stderr, "error: unknown command '{}'{}\n", name,
             epvs::core::did_you_mean(name, names));
  return 2;
}
