// Runs the steps of an experiment, one after the other, and can be killed and continued.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/table.h"
#include "experiments/experiment.h"

namespace epvs::experiments {

enum class StepState { kOpen, kUnfinished, kChanged, kDone };

/// Done steps leave a stamp in OUT/.steps, so a second run continues where the first one ended.
class Runner {
 public:
  /// `values` holds the inputs and {out}, {recipes}, {threads}, {seed}, {device}.
  Runner(const Experiment& experiment, std::filesystem::path out,
         std::map<std::string, std::string> values);

  /// The command of a step with every {name} replaced.
  std::vector<std::string> command(const ExperimentStep& step) const;
  StepState state(const ExperimentStep& step) const;

  /// Runs what is not done. Steps whose command differs from the one that ran are refused without
  /// `force`; with it they and all later steps run again. Throws core::Error with the exit code of
  /// the step that failed; a step that ends with 4 (some participants failed) counts as done.
  void run(bool force, core::Log& log);

  /// Checks before anything is run: every step that names a check is called as its experiment says, in
  /// a temporary folder in place of {out}. Throws core::Error as run() does for the first that fails.
  void check(core::Log& log) const;

  /// table region reference scorer metric n published measured ci_low ci_high: the paper's values
  /// beside ours, n/a where the metrics lack a value.
  core::Table published_and_measured() const;

 private:
  std::filesystem::path stamp(const ExperimentStep& step, const char* ending) const;
  std::filesystem::path output_of(const ExperimentStep& step) const;  ///< its stdout
  void print_output(const ExperimentStep& step) const;
  int start(const std::vector<std::string>& arguments, const ExperimentStep& step) const;
  [[noreturn]] void fail(const std::vector<std::string>& arguments, const ExperimentStep& step,
                         int code, const std::string& hint) const;

  const Experiment& experiment_;
  std::filesystem::path out_;
  std::map<std::string, std::string> values_;
};

}  // namespace epvs::experiments
