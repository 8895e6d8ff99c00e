// Runs the steps of an experiment, one after the other, and can be killed and continued.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/table.h"
#include "experiments/experiment.h"

namespace epvs::experiments {

/// kFailed: a step that may fail did, which is its result. kLeftOut: a step of its row failed, or the
/// user gave what it would make.
enum class StepState { kOpen, kUnfinished, kChanged, kDone, kFailed, kLeftOut };

/// Done steps leave a stamp in OUT/.steps, so a second run continues where the first one ended.
class Runner {
 public:
  /// `values` holds the inputs and {out}, {recipes}, {threads}, {seed}, {device}; values of inputs may
  /// hold {out} and {recipes} themselves. `given`: the inputs that the user gave.
  Runner(const Experiment& experiment, std::filesystem::path out,
         std::map<std::string, std::string> values, std::set<std::string> given);

  /// The command of a step with every {name} replaced and every {name*} gathered, without the rows
  /// that failed.
  std::vector<std::string> command(const ExperimentStep& step) const;
  StepState state(const ExperimentStep& step) const;

  /// Runs what is not done. Steps whose command differs from the one that ran are refused without
  /// `force`; with it they and all later steps run again. Throws core::Error with the exit code of
  /// the step that failed; a step that ends with 4 (some participants failed) counts as done. A step
  /// that may fail and does leaves out the later steps of its row.
  void run(bool force, core::Log& log);

  /// Checks before anything is run: every step that names a check is called as its experiment says, in
  /// a temporary folder in place of {out}. Throws core::Error as run() does for the first that fails.
  void check(core::Log& log) const;

  /// table region reference scorer metric n published measured ci_low ci_high note: the paper's values
  /// beside ours, n/a where the metrics lack a value; the note names the step that failed.
  core::Table published_and_measured() const;

 private:
  std::filesystem::path stamp(const ExperimentStep& step, const char* ending) const;
  std::filesystem::path output_of(const ExperimentStep& step) const;  ///< its stdout
  void print_output(const ExperimentStep& step) const;
  /// Did a step of this row, or of a part of it, fail?
  const ExperimentStep* failed_step(const MatrixRow& row) const;
  void run_step(const ExperimentStep& step, const std::vector<std::string>& more, core::Log& log);
  int start(const std::vector<std::string>& arguments, const ExperimentStep& step) const;
  [[noreturn]] void fail(const std::vector<std::string>& arguments, const ExperimentStep& step,
                         int code, const std::string& hint) const;

  const Experiment& experiment_;
  std::filesystem::path out_;
  std::map<std::string, std::string> values_;
  std::set<std::string> given_;
};

}  // namespace epvs::experiments
