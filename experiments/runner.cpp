#include "experiments/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"
#include "core/program.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "core/text.h"
#include "core/version.h"

namespace epvs::experiments {

namespace fs = std::filesystem;
using core::Json;

namespace {

fs::path program_of(const std::string& name) {
  if (const auto program = core::find_command(name)) return *program;
  throw core::UsageError(
      fmt::format("epvs {} is not in this build (epvs-{} is missing)", name, name),
      "build with its libraries; see README.md");
}

}  // namespace

Runner::Runner(const Experiment& experiment, fs::path out,
               std::map<std::string, std::string> values, std::set<std::string> given)
    : experiment_(experiment),
      out_(std::move(out)),
      values_(std::move(values)),
      given_(std::move(given)) {
  values_["out"] = out_.string();
  for (const ExperimentInput& input : experiment_.inputs) {
    std::string& value = values_.at(input.name);
    value = substitute(value, {{"out", out_.string()}, {"recipes", values_.at("recipes")}});
  }
}

std::vector<std::string> Runner::command(const ExperimentStep& step) const {
  std::vector<std::string> arguments;
  for (const std::string& argument : step.command) {
    const auto keep = [&](MatrixRow row) {
      row.insert(step.row.begin(), step.row.end());
      return failed_step(row) == nullptr;
    };
    for (const std::string& one : gather(argument, experiment_, keep)) {
      arguments.push_back(substitute(one, values_));
    }
  }
  return arguments;
}

const ExperimentStep* Runner::failed_step(const MatrixRow& row) const {
  for (const ExperimentStep& step : experiment_.steps) {
    const auto in_row = [&](const auto& entry) {
      const auto found = row.find(entry.first);
      return found != row.end() && found->second == entry.second;
    };
    if (step.may_fail && std::ranges::all_of(step.row, in_row) &&
        fs::exists(stamp(step, ".failed.json"))) {
      return &step;
    }
  }
  return nullptr;
}

fs::path Runner::stamp(const ExperimentStep& step, const char* ending) const {
  return out_ / ".steps" / (step.name + ending);
}

StepState Runner::state(const ExperimentStep& step) const {
  const auto same_command = [&](const fs::path& path) {
    return core::read_json(path).value("command", std::vector<std::string>{}) == command(step);
  };
  if (given_.contains(step.unless)) return StepState::kLeftOut;
  const fs::path failed = stamp(step, ".failed.json");
  if (fs::exists(failed)) return same_command(failed) ? StepState::kFailed : StepState::kChanged;
  if (failed_step(step.row) != nullptr) return StepState::kLeftOut;
  const fs::path done = stamp(step, ".done.json");
  const fs::path started = stamp(step, ".started.json");
  if (fs::exists(done)) return same_command(done) ? StepState::kDone : StepState::kChanged;
  if (!fs::exists(started)) return StepState::kOpen;
  return same_command(started) ? StepState::kUnfinished : StepState::kChanged;
}

fs::path Runner::output_of(const ExperimentStep& step) const {
  return out_ / "logs" / (step.name + ".out.txt");
}

void Runner::print_output(const ExperimentStep& step) const {
  fmt::print("\n{}\n", core::read_text(output_of(step)));
  std::fflush(stdout);
}

int Runner::start(const std::vector<std::string>& arguments, const ExperimentStep& step) const {
  core::ProgramCall call;
  call.program = program_of(arguments.front()).string();
  call.arguments.assign(arguments.begin() + 1, arguments.end());
  call.output = output_of(step);
  fs::create_directories(call.output.parent_path());
  const core::StopSignals signals;
  const int status = core::run_program(call, &signals);
  if (step.show) print_output(step);
  return status;
}

void Runner::fail(const std::vector<std::string>& arguments, const ExperimentStep& step, int code,
                  const std::string& hint) const {
  throw core::Error(static_cast<core::ExitCode>(code),
                    fmt::format("step '{}' failed with exit code {}: epvs {}", step.name, code,
                                core::join(arguments, " ")),
                    hint);
}

void Runner::check(core::Log& log) const {
  const core::ScratchFolder folder("epvs-experiment");
  Runner trial(experiment_, folder.path(), values_, given_);
  for (const ExperimentStep& step : experiment_.steps) {
    if (step.check == StepCheck::kNone || trial.state(step) == StepState::kLeftOut) continue;
    std::vector<std::string> arguments = trial.command(step);
    if (step.check == StepCheck::kDryRun) arguments.emplace_back("--dry-run");
    arguments.emplace_back("--quiet");
    log.debug("check: epvs {}", core::join(arguments, " "));
    ExperimentStep silent = step;
    silent.show = false;
    const int code = trial.start(arguments, silent);
    if (code != 0) {
      fail(arguments, step, code, "its message stands above; the experiment would end there");
    }
  }
}

void Runner::run_step(const ExperimentStep& step, const std::vector<std::string>& more,
                      core::Log& log) {
  std::vector<std::string> arguments = command(step);
  Json record = {{"command", arguments}, {"version", core::kVersion}};
  arguments.insert(arguments.end(), more.begin(), more.end());
  log.debug("epvs {}", core::join(arguments, " "));
  fs::remove(stamp(step, ".done.json"));
  fs::remove(stamp(step, ".failed.json"));
  core::write_json(stamp(step, ".started.json"), record);
  const auto begin = std::chrono::steady_clock::now();
  const int code = start(arguments, step);
  record["seconds"] =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  record["finished"] = core::utc_now();
  // A command that was stopped (128 + signal) or misused (2, 3) says nothing about its method.
  const bool is_result = step.may_fail && code == static_cast<int>(core::ExitCode::kRuntime);
  if (is_result) {
    log.warning("step '{}' failed, which is a result: its later steps are left out", step.name);
    core::write_json(stamp(step, ".failed.json"), record);
    return;
  }
  if (code == static_cast<int>(core::ExitCode::kPartial)) {
    log.warning("step '{}' ended with exit code 4: some participants failed", step.name);
  } else if (code != 0) {
    fail(arguments, step, code,
         "its message stands above; mend the cause and run the same command again: finished "
         "steps are kept");
  }
  core::write_json(stamp(step, ".done.json"), record);
}

void Runner::run(bool force, core::Log& log) {
  double open_minutes = 0;
  for (const ExperimentStep& step : experiment_.steps) {
    const StepState now = state(step);
    if (now == StepState::kChanged && !force) {
      throw core::UsageError(
          fmt::format("step '{}' was run with another command in {}", step.name, out_.string()),
          "choose another --out, or give --force to run it and all later steps again");
    }
    if (now == StepState::kOpen || now == StepState::kUnfinished) open_minutes += step.minutes;
  }
  double expected_done = 0;
  double spent = 0;
  bool again = false;
  for (std::size_t i = 0; i < experiment_.steps.size(); ++i) {
    const ExperimentStep& step = experiment_.steps[i];
    const std::string place = fmt::format("[{}/{}] {}", i + 1, experiment_.steps.size(), step.name);
    const StepState now = state(step);
    if (now == StepState::kLeftOut) continue;
    if (now == StepState::kFailed && !again) {
      log.info("{}: failed before, which is a result", place);
      continue;
    }
    if (now == StepState::kDone && !again) {
      log.info("{}: done before", place);
      if (step.show) print_output(step);
      continue;
    }
    again = again || now == StepState::kChanged;
    const double pace = expected_done > 0 ? spent / expected_done : 1.0;
    log.info("{} | about {} left in all", place,
             core::format_duration(60 * pace * std::max(0.0, open_minutes - expected_done)));
    std::vector<std::string> more;
    if (now == StepState::kUnfinished) {
      more = step.retry;
    } else if (again) {
      more = {"--force"};
    }
    const auto begin = std::chrono::steady_clock::now();
    run_step(step, more, log);
    expected_done += step.minutes;
    spent += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 60;
  }
}

core::Table Runner::published_and_measured() const {
  const core::Table metrics = core::Table::read(substitute(experiment_.metrics, values_));
  core::Table facing({"table", "region", "reference", "scorer", "metric", "n", "published",
                      "measured", "ci_low", "ci_high", "note"});
  for (const PublishedValue& value : experiment_.published) {
    const std::string reference = substitute(value.reference, values_);
    const std::string scorer = substitute(value.scorer, values_);
    std::vector<std::string> cells = {value.table,
                                      value.region,
                                      reference,
                                      scorer,
                                      value.metric,
                                      core::kMissing,
                                      core::format_number(value.value),
                                      core::kMissing,
                                      core::kMissing,
                                      core::kMissing,
                                      core::kMissing};
    for (const auto& [name, scorers] : experiment_.matrix) {
      if (std::ranges::find(scorers, value.scorer) == scorers.end()) continue;
      const ExperimentStep* failed = failed_step({{name, value.scorer}});
      if (failed != nullptr) cells[10] = "step " + failed->name + " failed";
    }
    for (std::size_t row = 0; row < metrics.rows(); ++row) {
      if (metrics.cell(row, "region") == value.region && metrics.cell(row, "group") == "all" &&
          metrics.cell(row, "reference") == reference && metrics.cell(row, "scorer") == scorer &&
          metrics.cell(row, "metric") == value.metric) {
        cells[5] = metrics.cell(row, "n");
        cells[7] = metrics.cell(row, "estimate");
        cells[8] = metrics.cell(row, "ci_low");
        cells[9] = metrics.cell(row, "ci_high");
      }
    }
    facing.add_row(std::move(cells));
  }
  return facing;
}

}  // namespace epvs::experiments
