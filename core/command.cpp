#include "core/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <new>
#include <thread>

#include "core/error.h"
#include "core/program.h"
#include "core/text.h"
#include "core/version.h"

namespace epvs::core {

Parameter& CommandLine::enlist(Parameter& parameter, std::string name, bool is_positional) {
  entries_.push_back({&parameter, std::move(name), heading_, is_positional});
  return parameter;
}

void CommandLine::options_of(ParameterTable& table) {
  for (const Parameter& declared : table.parameters()) {
    const std::size_t dot = declared.name().rfind('.');
    std::string name = dot == std::string::npos ? declared.name() : declared.name().substr(dot + 1);
    std::replace(name.begin(), name.end(), '_', '-');
    enlist(table.find(declared.name()).option("--" + name), "--" + name, false);
  }
  records(table);
}

void CommandLine::records(const ParameterTable& table) {
  tables_.push_back(&table);
}

void CommandLine::heading(std::string text) {
  heading_ = std::move(text);
}

bool CommandLine::given(const std::string& name) const {
  for (const Entry& entry : entries_) {
    if (entry.name == name) return entry.parameter->origin() == Origin::kCommandLine;
  }
  internal_error(__FILE__, __LINE__, "the option was declared");
}

Json CommandLine::to_json() const {
  Json document = Json::object();
  for (const Parameter& parameter : own_.parameters()) {
    std::string key = parameter.name();
    if (key.rfind("--", 0) == 0) key = key.substr(2);
    std::replace(key.begin(), key.end(), '-', '_');
    document[key] = parameter.value();
  }
  for (const ParameterTable* table : tables_) document.update(table->to_json(), true);
  return document;
}

std::vector<std::string> CommandLine::settings() const {
  std::vector<const ParameterTable*> all = {&own_};
  all.insert(all.end(), tables_.begin(), tables_.end());
  std::vector<std::string> lines;
  for (const bool defaults : {false, true}) {
    for (const ParameterTable* table : all) {
      for (const Parameter& parameter : table->parameters()) {
        if ((parameter.origin() == Origin::kDefault) != defaults) continue;
        lines.push_back(fmt::format("{} = {} ({})", parameter.name(), join(parameter.texts(), ","),
                                    to_text(parameter.origin())));
      }
    }
  }
  return lines;
}

void Context::begin(const std::string& summary) {
  log.info("{}", summary);
  for (const std::string& setting : line.settings()) log.debug("  {}", setting);
  provenance.add("options", line.to_json());
}

void Context::end_dry_run(const std::string& outputs) {
  log.info("--dry-run: all inputs were checked; without it {} would be written", outputs);
}

void Command::run(Context& context) {
  become_command(manual().name + "-torch", context.arguments);
}

namespace {

/// The shell's own options, by what the manual says that the command uses.
struct SharedOptions {
  bool force = false;
  bool dry_run = false;
  bool quiet = false;
  bool verbose = false;
  int threads = 0;
  std::uint64_t seed = 1;
  std::string device = "auto";

  void declare(const Manual& manual, CommandLine& line) {
    line.heading("Shared options");
    if (manual.writes_output) {
      line.option("--force", &force, "overwrite outputs that exist; without it they are refused");
      line.option("--dry-run", &dry_run,
                  "check all inputs, say what would be written, write nothing");
    }
    if (manual.uses_threads) {
      line.option("--threads", &threads, "processor threads; 0 takes all cores").range(0, 1024);
    }
    if (manual.uses_seed) {
      line.option("--seed", &seed, "seed of every random number; equal seeds give equal results");
    }
    if (manual.uses_device) {
      line.option("--device", &device,
                  "auto, cpu, cuda or cuda:N; auto takes the first GPU if any");
    }
    line.option("--quiet", &quiet, "only warnings and errors on stderr");
    line.option("--verbose", &verbose, "details on stderr as well");
  }
};

/// Options under one heading, by the name that they have on the command line.
struct ManualSection {
  std::string heading;
  std::vector<std::pair<std::string, const Parameter*>> options;
};

constexpr std::size_t kHelpWidth = 96;

std::string title(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  return terminal ? "\033[1m" + text + "\033[0m\n" : text + "\n";
}

std::string options_section(const ManualSection& section) {
  std::string page = title(section.heading);
  for (const auto& [name, parameter] : section.options) {
    const bool is_option = name.rfind("--", 0) == 0;
    page += "  " + name;
    if (is_option && !parameter->is_flag()) page += " " + parameter->placeholder();
    std::string text = parameter->help();
    const std::string constraint = parameter->constraint();
    if (!constraint.empty()) text += " (" + constraint + ")";
    page += "\n" + wrap(text, kHelpWidth, 8) + "\n";
  }
  return page + "\n";
}

std::string examples_section(const std::vector<Example>& examples) {
  std::string page = title("Examples");
  for (const Example& example : examples) {
    page += wrap(example.text, kHelpWidth, 2) + "\n      " + example.command + "\n";
  }
  return page + "\n";
}

std::string manual_page(const Manual& manual, const std::vector<ManualSection>& sections) {
  std::string page = title("Name");
  page += fmt::format("  epvs {} - {}\n\n", manual.name, manual.summary);
  page += title("Synopsis") + wrap("epvs " + manual.name + " " + manual.synopsis, kHelpWidth, 2);
  page += "\n\n" + title("Description") + wrap(manual.description, kHelpWidth, 2) + "\n\n";
  for (const ManualSection& section : sections) page += options_section(section);
  if (!manual.examples.empty()) page += examples_section(manual.examples);
  page += title("Exit status");
  page +=
      "  0 done; 1 failure while running; 2 usage or configuration; 3 invalid input data;\n"
      "  4 done, but some participants failed; 130/143 stopped by INT/TERM\n";
  if (!manual.citations.empty()) {
    page += "\n" + title("Citations");
    for (const std::string& citation : manual.citations) {
      page += wrap(citation, kHelpWidth, 2) + "\n";
    }
  }
  page += fmt::format("\nepvs {} is research software, not a medical device.\n", kVersion);
  return page;
}

void print_error(Log& log, const Manual& manual, const Error& error) {
  log.error("epvs {}: {}", manual.name, error.what());
  if (!error.hint().empty()) log.write(LogLevel::kError, "what to do: " + error.hint());
}

int run_guarded(Command& command, const Manual& manual, Context& context) {
  try {
    command.run(context);
    return static_cast<int>(ExitCode::kDone);
  } catch (const Error& error) {
    print_error(context.log, manual, error);
    return static_cast<int>(error.exit_code());
  } catch (const std::bad_alloc&) {
    context.log.error("epvs {}: out of memory", manual.name);
  } catch (const std::filesystem::filesystem_error& error) {
    context.log.error("epvs {}: {}", manual.name, error.what());
  } catch (const std::exception& error) {
    context.log.error("epvs {}: {}", manual.name, error.what());
    context.log.error(
        "this is a bug in epvs or in a library it uses; please report the command line");
  }
  return static_cast<int>(ExitCode::kRuntime);
}

}  // namespace

/// One run of a command: declares its options to CLI11, reads what was given, starts it.
class CommandShell {
 public:
  explicit CommandShell(Command& command) : command_(command), manual_(command.manual()) {
    command_.declare(line_);
    shared_.declare(manual_, line_);
    app_.set_help_flag("--help,-h");
    app_.set_version_flag("--version", std::string());
    for (const CommandLine::Entry& entry : line_.entries_) add_option(entry);
  }

  int run(int argc, const char* const* argv) {
    try {
      if (!parse(argc, argv)) return static_cast<int>(ExitCode::kDone);
      set_parameters();
    } catch (const Error& error) {
      Log log;
      print_error(log, manual_, error);
      return static_cast<int>(error.exit_code());
    }
    Log log(shared_.quiet ? LogLevel::kWarning
                          : (shared_.verbose ? LogLevel::kDebug : LogLevel::kInfo));
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    Provenance provenance(manual_.name, arguments);
    provenance.add("options", line_.to_json());
    const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    Context context{log,           provenance,      line_,
                    shared_.force, shared_.dry_run, shared_.threads == 0 ? cores : shared_.threads,
                    shared_.seed,  shared_.device,  arguments};
    return run_guarded(command_, manual_, context);
  }

 private:
  void add_option(const CommandLine::Entry& entry) {
    if (entry.parameter->is_flag() && !entry.is_positional) {
      app_.add_flag(entry.name)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      return;
    }
    // `--weights a b c` would swallow positional arguments, so it works only where there are none;
    // elsewhere lists are given as a,b,c or by repeating the option.
    const bool has_positionals =
        std::any_of(line_.entries_.begin(), line_.entries_.end(),
                    [](const CommandLine::Entry& other) { return other.is_positional; });
    const bool is_list = entry.parameter->is_list();
    const bool takes_several = is_list && (entry.is_positional || !has_positionals);
    CLI::Option* option = app_.add_option(entry.name);
    option->expected(1, takes_several ? 1 << 20 : 1);
    option->allow_extra_args(takes_several);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    if (is_list && !entry.parameter->takes_whole_texts()) option->delimiter(',');
  }

  /// Returns false when --help or --version was answered. Throws UsageError.
  bool parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      fmt::print("{}", manual_page(manual_, sections()));
      return false;
    } catch (const CLI::CallForVersion&) {
      fmt::print("epvs {} {} ({})\n", manual_.name, kVersion, kGitCommit);
      return false;
    } catch (const CLI::ExtrasError&) {
      refuse_extra(app_.remaining().front());
    } catch (const CLI::ParseError& error) {
      throw UsageError(error.what(), fmt::format("epvs {} --help lists the options", manual_.name));
    }
    return true;
  }

  [[noreturn]] void refuse_extra(const std::string& extra) const {
    if (extra.rfind("--", 0) != 0) {
      throw UsageError(fmt::format("unexpected argument '{}'", extra), usage());
    }
    std::vector<std::string> known = {"--help", "--version"};
    for (const CommandLine::Entry& entry : line_.entries_) {
      if (!entry.is_positional) known.push_back(entry.name);
    }
    const std::string name = extra.substr(0, extra.find('='));
    throw UsageError(fmt::format("unknown option {}{}", name,
                                 nearest(name, known) ? did_you_mean(name, known) : std::string()),
                     fmt::format("epvs {} --help lists the options", manual_.name));
  }

  void set_parameters() {
    for (CommandLine::Entry& entry : line_.entries_) {
      const CLI::Option& option = *app_.get_option(entry.name);
      Parameter& parameter = *entry.parameter;
      if (option.count() == 0) {
        if (!parameter.is_required()) continue;
        throw UsageError(fmt::format("{} is missing: {}", entry.name, parameter.help()), usage());
      }
      parameter.set(option.reduced_results(), Origin::kCommandLine);
    }
  }

  std::vector<ManualSection> sections() const {
    std::vector<ManualSection> sections;
    for (const bool positional : {true, false}) {
      for (const CommandLine::Entry& entry : line_.entries_) {
        if (entry.is_positional != positional) continue;
        const std::string& heading = positional ? std::string("Arguments") : entry.heading;
        if (sections.empty() || sections.back().heading != heading)
          sections.push_back({heading, {}});
        sections.back().options.emplace_back(entry.name, entry.parameter);
      }
    }
    return sections;
  }

  std::string usage() const {
    return fmt::format("usage: epvs {} {}", manual_.name, manual_.synopsis);
  }

  Command& command_;
  const Manual manual_;
  CommandLine line_;
  SharedOptions shared_;
  CLI::App app_;
};

int run_command(Command& command, int argc, const char* const* argv) {
  return CommandShell(command).run(argc, argv);
}

}  // namespace epvs::core
