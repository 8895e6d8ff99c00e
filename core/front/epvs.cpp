// epvs: lists the commands and starts them, as git does. A command is the executable epvs-NAME in
// the folder of this program, or in libexec/epvs beside it.
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/program.h"
#include "core/text.h"
#include "core/version.h"

namespace {

struct CommandLineEntry {
  const char* name;
  const char* summary;
};

constexpr CommandLineEntry kCommands[] = {
    {"simulate", "phantom cohort with known EPVS, several scanners and raters"},
    {"implant", "adds known EPVS to real scans: does a network count what was added?"},
    {"prepare", "scans to regions of interest: a cohort file and quality control"},
    {"split", "participants to training, validation and test sets"},
    {"train", "trains a network on visual scores"},
    {"infer", "scores, attention maps and detections of a trained network"},
    {"baseline", "scores of simpler methods, to compare a network with"},
    {"eval", "agreement, comparison and association statistics of scores tables"},
    {"experiment", "the tables and figures of the papers, step by step"},
    {"export", "a trained network as TorchScript or ONNX"},
    {"inspect", "what is in a scan, cohort, weights file or network"},
};

void print_usage(std::FILE* stream) {
  fmt::print(stream,
             "epvs {} - counts enlarged perivascular spaces in brain MRI\n\n"
             "usage: epvs COMMAND [options]        epvs COMMAND --help\n\n",
             epvs::core::kVersion);
  for (const CommandLineEntry& command : kCommands) {
    const char* note = epvs::core::find_command(command.name) ? "" : "  (not in this build)";
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
  if (name.find('/') == std::string::npos && epvs::core::find_command(name)) {
    try {
      epvs::core::become_command(name, {argv + 2, argv + argc});
    } catch (const epvs::core::Error& error) {
      fmt::print(stderr, "error: {}\n", error.what());
      return 1;
    }
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
