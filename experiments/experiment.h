// An experiment: the steps (epvs commands) from scans to a table of a paper, and what the paper
// published in that table. Written in TOML, see experiments/recipes/ and docs/experiments.md.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/enum_names.h"

namespace epvs::experiments {

/// A value that the user gives (or a default), put in place of {name} in the steps.
struct ExperimentInput {
  std::string name;
  std::string help;
  std::optional<std::string> value;  ///< default; nothing means that it must be given
  bool file = false;                 ///< a file or folder that must exist
};

/// What `epvs experiment run --dry-run` does with a step: nothing, because it needs what earlier steps
/// make; calls it with --dry-run; or runs it in a temporary folder, for later checks need its output.
enum class StepCheck { kNone, kDryRun, kRun };

constexpr auto names_of(StepCheck) {
  return std::to_array<core::EnumName<StepCheck>>(
      {{StepCheck::kNone, "none"}, {StepCheck::kDryRun, "dry-run"}, {StepCheck::kRun, "run"}});
}

/// What varies, by name: {{"variant", "proposed"}}; part of the name of a step and of its outputs.
using MatrixRow = std::map<std::string, std::string>;

struct ExperimentStep {
  std::string name;
  std::vector<std::string> command;  ///< without the leading "epvs"
  std::vector<std::string> retry;    ///< added when an earlier try of this step did not finish
  double minutes = 1;                ///< expected on two cores; for the time left
  bool show = false;                 ///< its stdout is printed
  StepCheck check = StepCheck::kNone;
  bool may_fail = false;  ///< a failure is a result: later steps of its row are left out
  std::string unless;     ///< left out where the user gives this input
  MatrixRow row;
};

/// One number of the paper, to stand beside the measured one.
struct PublishedValue {
  std::string table;  ///< "P2 Table 2"
  std::string region;
  std::string reference;
  std::string scorer;
  std::string metric;
  double value = 0;
};

struct Experiment {
  std::string id;
  std::string title;
  std::string source;  ///< paper, table or figure
  std::string description;
  std::vector<ExperimentInput> inputs;
  /// Defaults of the inputs, by the name of the size: smoke, small, full.
  std::map<std::string, std::map<std::string, std::string>> sizes;
  std::map<std::string, std::vector<std::string>> matrix;  ///< values by name, in their order
  std::vector<ExperimentStep> steps;  ///< each already expanded, {names} and {name*} in place
  std::vector<PublishedValue> published;
  std::string metrics;  ///< metrics.tsv that holds the measured values

  /// Throws UsageError naming file and key for anything unknown, missing or of the wrong type.
  static Experiment read(const std::filesystem::path& path);
};

/// An argument with {name*} stands for one argument per value of the matrix: all combinations, the
/// last name fastest, for which `keep` holds. Others stand for themselves.
std::vector<std::string> gather(const std::string& argument, const Experiment& experiment,
                                const std::function<bool(const MatrixRow&)>& keep);

/// Replaces {name} by values[name]; "{{" stays "{". Throws UsageError for an unknown name.
std::string substitute(const std::string& text, const std::map<std::string, std::string>& values);

/// The folder of the recipes: beside the installed program, or in the source tree.
std::filesystem::path default_recipe_folder();

/// Recipe files (*.experiment.toml) below `folder`, by id. Throws UsageError when two share an id.
std::map<std::string, std::filesystem::path> find_recipes(const std::filesystem::path& folder);

}  // namespace epvs::experiments
