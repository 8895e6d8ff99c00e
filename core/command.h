// The command shell: what every epvs command shares, so that a main is one line.
//
//   int main(int argc, char** argv) {
//     epvs::eval::EvalCommand command;
//     return epvs::core::run_command(command, argc, argv);
//   }
//
// The shell parses options, prints --help as a manual page, answers an unknown option with the
// nearest known one, turns errors into a message and the exit codes of core/error.h, and gives each
// command the same meaning of --force, --dry-run, --threads, --seed, --device, --quiet.
#pragma once

#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/parameters.h"
#include "core/provenance.h"

namespace epvs::core {

struct Example {
  std::string text;     ///< what it does, a sentence
  std::string command;  ///< the command line
};

/// Everything --help says beside the options.
struct Manual {
  std::string name;         ///< "eval"; the command is `epvs eval`
  std::string summary;      ///< one line, without a full stop
  std::string synopsis;     ///< "--scores TABLE... --reference SCORER --out DIR [options]"
  std::string description;  ///< paragraphs separated by \n
  std::vector<Example> examples;
  std::vector<std::string> citations;
  bool writes_output = true;  ///< has --force and --dry-run
  bool uses_threads = false;  ///< has --threads
  bool uses_seed = false;     ///< has --seed
  bool uses_device = false;   ///< has --device
};

/// Declares options. Values keep what they hold when the option is not given.
class CommandLine {
 public:
  /// "--bootstrap": long name with dashes. Lists may be given as a,b or repeated.
  template <class T>
  Parameter& option(std::string name, T* value, std::string help) {
    return enlist(own_.add(name, value, std::move(help)), name, false);
  }
  /// A positional argument, shown in upper case: "BIDS_DIR".
  template <class T>
  Parameter& positional(std::string name, T* value, std::string help) {
    return enlist(own_.add(name, value, std::move(help)), name, true);
  }
  /// Every parameter of `table` as an option: "roi.sigma_voxels" becomes --sigma-voxels. The table
  /// must outlive the command line.
  void options_of(ParameterTable& table);
  /// The settings of `table` are shown and recorded with the options, but are no options
  /// themselves: the recipe of a training. The table must outlive the command line.
  void records(const ParameterTable& table);
  /// Options declared from now on stand under this heading in --help.
  void heading(std::string text);
  /// After parsing: was the option or positional given?
  bool given(const std::string& name) const;
  /// Every option and every recorded table with its present value: options under their name
  /// without dashes, the others nested by the dots of their names.
  Json to_json() const;
  /// "name = value (origin)" of every setting that is not a default, then of the defaults.
  std::vector<std::string> settings() const;

 private:
  friend class CommandShell;
  struct Entry {
    Parameter* parameter;
    std::string name;
    std::string heading;
    bool is_positional;
  };
  Parameter& enlist(Parameter& parameter, std::string name, bool is_positional);

  ParameterTable own_;
  std::deque<Entry> entries_;
  std::vector<const ParameterTable*> tables_;
  std::string heading_ = "Options";
};

/// What a running command gets from the shell.
struct Context {
  Log& log;
  Provenance& provenance;
  const CommandLine& line;
  bool force = false;
  bool dry_run = false;
  int threads = 1;                            ///< --threads; 0 on the command line means all cores
  std::uint64_t seed = 1;                     ///< --seed
  std::string device = "auto";                ///< --device: auto, cpu, cuda, cuda:n
  const std::vector<std::string>& arguments;  ///< as given, the program's name left out

  /// Once the settings are known: one line for the reader, `summary`. All settings go to the
  /// provenance ("options"), to the log file if there is one, and with --verbose to stderr.
  void begin(const std::string& summary);
  /// The last line of every --dry-run; `outputs` are the files or folders that were not written.
  void end_dry_run(const std::string& outputs);
};

class Command {
 public:
  virtual ~Command() = default;
  virtual Manual manual() const = 0;
  virtual void declare(CommandLine& line) = 0;
  /// Throws core::Error for every failure; returning means exit code 0.
  ///
  /// A command whose libraries take long to load is two programs: epvs-NAME declares what there is
  /// and so answers --help, --version and wrong usage at once; its run() is this one, which becomes
  /// epvs-NAME-torch with the same arguments.
  virtual void run(Context& context);
};

/// Parses, runs and reports. Returns the exit code; never throws.
int run_command(Command& command, int argc, const char* const* argv);

}  // namespace epvs::core
