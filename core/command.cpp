#include "core/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <new>
#include <thread>

#include "core/error.h"
#include "core/text.h"
#include "core/version.h"

namespace epvs::core {

namespace {

constexpr std::size_t kHelpWidth = 96;

std::string option_label(const Parameter& parameter, const std::string& name, bool is_positional) {
  if (is_positional || parameter.is_flag()) return name;
  return name + " " + parameter.type_name();
}

std::string heading(const std::string& text) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  return terminal ? "\033[1m" + text + "\033[0m\n" : text + "\n";
}

std::string entry_help(const Parameter& parameter, const std::string& label) {
  std::string text = parameter.help();
  const std::string constraint = parameter.constraint();
  if (!constraint.empty()) text += " (" + constraint + ")";
  return "  " + label + "\n" + wrap(text, kHelpWidth, 8) + "\n";
}

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
      line.option("--dry-run", &dry_run, "check all inputs, say what would be done, write nothing");
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

void print_error(Log& log, const Manual& manual, const Error& error) {
  log.error("epvs {}: {}", manual.name, error.what());
  if (!error.hint().empty()) log.write(LogLevel::kError, "what to do: " + error.hint());
}

}  // namespace

Parameter& CommandLine::add(std::string name, Parameter::Target target, std::string help,
                            bool is_positional) {
  Parameter& parameter = owned_.emplace_back(name, target, std::move(help));
  entries_.push_back({&parameter, heading_, is_positional});
  names_.push_back(std::move(name));
  return parameter;
}

void CommandLine::options_of(ParameterTable& table) {
  for (const Parameter& declared : table.parameters()) {
    const std::size_t dot = declared.name().rfind('.');
    std::string name = dot == std::string::npos ? declared.name() : declared.name().substr(dot + 1);
    std::replace(name.begin(), name.end(), '_', '-');
    entries_.push_back({&table.find(declared.name()), heading_, false});
    names_.push_back("--" + name);
  }
}

void CommandLine::heading(std::string text) {
  heading_ = std::move(text);
}

bool CommandLine::given(const std::string& name) const {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] == name) return entries_[i].was_given;
  }
  internal_error(__FILE__, __LINE__, "the option was declared");
}

namespace {

std::string help_page(const Manual& manual, const std::vector<std::string>& headings,
                      const std::vector<std::pair<std::string, std::string>>& sections) {
  std::string page = heading("NAME");
  page += fmt::format("  epvs {} - {}\n\n", manual.name, manual.summary);
  page += heading("SYNOPSIS") + wrap("epvs " + manual.name + " " + manual.synopsis, kHelpWidth, 2);
  page += "\n\n" + heading("DESCRIPTION") + wrap(manual.description, kHelpWidth, 2) + "\n\n";
  for (const std::string& title : headings) {
    std::string upper = title;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    page += heading(upper);
    for (const auto& [section, text] : sections) {
      if (section == title) page += text;
    }
    page += "\n";
  }
  if (!manual.examples.empty()) {
    page += heading("EXAMPLES");
    for (const Example& example : manual.examples) {
      page += wrap(example.text, kHelpWidth, 2) + "\n      " + example.command + "\n";
    }
    page += "\n";
  }
  page += heading("EXIT STATUS");
  page +=
      "  0 done; 1 failure while running; 2 usage or configuration; 3 invalid input data;\n"
      "  4 done, but some participants failed; 130/143 stopped by INT/TERM\n";
  if (!manual.citations.empty()) {
    page += "\n" + heading("CITATIONS");
    for (const std::string& citation : manual.citations) {
      page += wrap(citation, kHelpWidth, 2) + "\n";
    }
  }
  page += fmt::format("\nepvs {} is research software, not a medical device.\n", kVersion);
  return page;
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

int run_command(Command& command, int argc, const char* const* argv) {
  const Manual manual = command.manual();
  CommandLine line;
  SharedOptions shared;
  command.declare(line);
  shared.declare(manual, line);

  CLI::App app;
  app.set_help_flag();
  bool help = false;
  bool version = false;
  app.add_flag("--help,-h", help);
  app.add_flag("--version", version);
  std::deque<std::vector<std::string>> texts(line.entries_.size());
  std::deque<bool> flags(line.entries_.size(), false);
  std::vector<CLI::Option*> options;
  std::vector<std::string> known = {"--help", "--version"};
  // `--weights a b c` would swallow positional arguments, so it works only where there are none;
  // elsewhere lists are given as a,b,c or by repeating the option.
  const bool has_positionals =
      std::any_of(line.entries_.begin(), line.entries_.end(),
                  [](const CommandLine::Entry& entry) { return entry.is_positional; });
  for (std::size_t i = 0; i < line.entries_.size(); ++i) {
    const CommandLine::Entry& entry = line.entries_[i];
    const std::string& name = line.names_[i];
    if (!entry.is_positional) known.push_back(name);
    if (entry.parameter->is_flag() && !entry.is_positional) {
      options.push_back(app.add_flag(name, flags[i]));
      continue;
    }
    CLI::Option* option = app.add_option(name, texts[i]);
    const bool takes_several =
        entry.parameter->is_list() && (entry.is_positional || !has_positionals);
    option->expected(1, takes_several ? 1 << 20 : 1);
    option->allow_extra_args(takes_several);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    options.push_back(option);
  }

  Log early_log;
  try {
    try {
      app.parse(argc, argv);
    } catch (const CLI::ExtrasError&) {
      for (const std::string& extra : app.remaining()) {
        if (help || version) break;
        const std::string option_name = extra.substr(0, extra.find('='));
        if (extra.rfind("--", 0) == 0) {
          throw UsageError(
              fmt::format(
                  "unknown option {}{}", option_name,
                  nearest(option_name, known) ? did_you_mean(option_name, known) : std::string()),
              fmt::format("epvs {} --help lists the options", manual.name));
        }
        throw UsageError(fmt::format("unexpected argument '{}'", extra),
                         fmt::format("usage: epvs {} {}", manual.name, manual.synopsis));
      }
    } catch (const CLI::ParseError& error) {
      throw UsageError(error.what(), fmt::format("epvs {} --help lists the options", manual.name));
    }

    if (help) {
      std::vector<std::string> headings;
      std::vector<std::pair<std::string, std::string>> sections;
      for (const bool positional : {true, false}) {
        for (std::size_t i = 0; i < line.entries_.size(); ++i) {
          const CommandLine::Entry& entry = line.entries_[i];
          if (entry.is_positional != positional) continue;
          const std::string title = positional ? "Arguments" : entry.heading;
          if (std::find(headings.begin(), headings.end(), title) == headings.end()) {
            headings.push_back(title);
          }
          sections.emplace_back(
              title, entry_help(*entry.parameter,
                                option_label(*entry.parameter, line.names_[i], positional)));
        }
      }
      fmt::print("{}", help_page(manual, headings, sections));
      return 0;
    }
    if (version) {
      fmt::print("epvs {} {} ({})\n", manual.name, kVersion, kGitCommit);
      return 0;
    }

    for (std::size_t i = 0; i < line.entries_.size(); ++i) {
      CommandLine::Entry& entry = line.entries_[i];
      entry.was_given = options[i]->count() > 0;
      if (!entry.was_given) {
        if (entry.parameter->is_required()) {
          throw UsageError(
              fmt::format("{} is missing: {}", line.names_[i], entry.parameter->help()),
              fmt::format("usage: epvs {} {}", manual.name, manual.synopsis));
        }
        continue;
      }
      if (entry.parameter->is_flag() && !entry.is_positional) {
        entry.parameter->set({flags[i] ? "true" : "false"});
        continue;
      }
      std::vector<std::string> values = texts[i];
      if (entry.parameter->is_list()) {
        values.clear();
        for (const std::string& text : texts[i]) {
          if (entry.parameter->takes_whole_texts()) {
            values.push_back(text);
            continue;
          }
          for (std::string& part : split(text, ',')) values.push_back(std::move(part));
        }
      }
      entry.parameter->set(values);
    }
  } catch (const Error& error) {
    print_error(early_log, manual, error);
    return static_cast<int>(error.exit_code());
  }

  Log log(shared.quiet ? LogLevel::kWarning
                       : (shared.verbose ? LogLevel::kDebug : LogLevel::kInfo));
  Provenance provenance(manual.name, std::vector<std::string>(argv + 1, argv + argc));
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Context context{log,          provenance,     line,
                  shared.force, shared.dry_run, shared.threads == 0 ? cores : shared.threads,
                  shared.seed,  shared.device};
  return run_guarded(command, manual, context);
}

}  // namespace epvs::core
