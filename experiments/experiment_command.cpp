#include "experiments/experiment_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "experiments/experiment.h"
#include "experiments/runner.h"

namespace epvs::experiments {

namespace {

const char* state_name(StepState state) {
  switch (state) {
    case StepState::kOpen:
      return "open";
    case StepState::kUnfinished:
      return "unfinished";
    case StepState::kChanged:
      return "ran with another command";
    case StepState::kDone:
      return "done";
    case StepState::kFailed:
      return "failed";
    case StepState::kLeftOut:
      return "left out";
  }
  return "?";
}

void print_experiment(const Experiment& experiment) {
  fmt::print("{}: {}\n  {}\n\n", experiment.id, experiment.title, experiment.source);
  if (!experiment.description.empty())
    fmt::print("{}\n\n", core::wrap(experiment.description, 96, 2));
  if (!experiment.inputs.empty()) fmt::print("inputs (--input name=value)\n");
  for (const ExperimentInput& input : experiment.inputs) {
    fmt::print("  {} ({})\n{}\n", input.name,
               input.value ? "default " + *input.value : std::string("required"),
               core::wrap(input.help, 96, 6));
  }
  for (const auto& [size, values] : experiment.sizes) {
    std::vector<std::string> texts;
    for (const auto& [name, value] : values) texts.push_back(name + "=" + value);
    fmt::print("\n--size {}\n{}\n", size, core::wrap(core::join(texts, " "), 96, 6));
  }
  fmt::print("\nsteps\n");
  for (const ExperimentStep& step : experiment.steps) {
    fmt::print("  {:<24} epvs {}\n", step.name, core::join(step.command, " "));
  }
  if (experiment.published.empty()) return;
  fmt::print("\npublished\n");
  for (const PublishedValue& value : experiment.published) {
    fmt::print("  {:<14} {:<12} {} with {}: {} = {}\n", value.table, value.region, value.scorer,
               value.reference, value.metric, value.value);
  }
}

std::vector<std::string> names_of_inputs(const Experiment& experiment) {
  std::vector<std::string> names;
  for (const ExperimentInput& input : experiment.inputs) names.push_back(input.name);
  return names;
}

/// --input name=value, by name.
std::map<std::string, std::string> given_inputs(const Experiment& experiment,
                                                const std::vector<std::string>& assignments) {
  const std::vector<std::string> names = names_of_inputs(experiment);
  std::map<std::string, std::string> given;
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos) {
      throw core::UsageError(fmt::format("--input '{}' is not of the form name=value", assignment));
    }
    const std::string name = assignment.substr(0, equals);
    if (std::ranges::find(names, name) == names.end()) {
      throw core::UsageError(fmt::format("experiment '{}' has no input '{}'{}", experiment.id, name,
                                         core::did_you_mean(name, names)));
    }
    given[name] = assignment.substr(equals + 1);
  }
  return given;
}

/// Given inputs before those of the size before defaults.
std::map<std::string, std::string> input_values(const Experiment& experiment,
                                                const std::map<std::string, std::string>& given,
                                                const std::string& size) {
  std::map<std::string, std::string> values = given;
  if (!size.empty()) {
    const auto found = experiment.sizes.find(size);
    if (found == experiment.sizes.end()) {
      std::vector<std::string> sizes;
      for (const auto& [name, inputs] : experiment.sizes) sizes.push_back(name);
      throw core::UsageError(
          fmt::format("experiment '{}' has no size '{}'", experiment.id, size),
          sizes.empty() ? "it has one size" : "its sizes: " + core::join(sizes, ", "));
    }
    values.insert(found->second.begin(), found->second.end());
  }
  for (const ExperimentInput& input : experiment.inputs) {
    if (input.value) values.emplace(input.name, *input.value);
  }
  for (const ExperimentInput& input : experiment.inputs) {
    if (values.count(input.name) == 0) {
      throw core::UsageError(
          fmt::format("input '{}' is missing: {}", input.name, input.help),
          fmt::format("give --input {}=VALUE; epvs experiment show {} lists all inputs", input.name,
                      experiment.id));
    }
  }
  return values;
}

}  // namespace

core::Manual ExperimentCommand::manual() const {
  core::Manual manual;
  manual.name = "experiment";
  manual.summary = "the tables and figures of the papers, step by step";
  manual.synopsis = "list|show|run|status [ID] [--out DIR] [--input NAME=VALUE ...]";
  manual.description =
      "An experiment is a list of epvs commands that leads from scans and visual scores to a table "
      "of a paper, and the values that the paper published. 'list' names the experiments, 'show' "
      "prints the inputs and steps of one, 'run' runs it, 'status' tells which steps are done.\n"
      "A run can be killed at any time: started again with the same command it keeps every "
      "finished step and continues the unfinished one. At the end the published and the measured "
      "values stand side by side in published_and_measured.tsv.\n"
      "--dry-run checks that the inputs exist and lets the first steps check theirs: that the "
      "splits can be made and each network trained on the cohort.";
  manual.examples = {
      {"The demonstration on a phantom cohort:", "epvs experiment run demo --out demo"},
      {"Tables 2 and 3 of the second paper: networks of research scans on your own clinical scans:",
       "epvs experiment run mlcn2019-tables-2-3 --out t23 --input research_cohort=research.h5 "
       "--input research_scores=research.tsv --input clinical_cohort=clinical.h5 --input "
       "clinical_scores=visual.tsv --input clinical_participants=participants.tsv"},
      {"Table 3 of the first paper, on 80 scans of your own; check first, run without --dry-run:",
       "epvs experiment run media2019-table-3 --out t3 --input cohort=cohort.h5 --input "
       "scores=visual.tsv --input train=50 --input validation=10 --input test=20 --dry-run"}};
  manual.citations = {
      "Dubost F, et al. 3D regression neural network for the quantification of enlarged "
      "perivascular spaces in brain MRI. Medical Image Analysis 51, 2019. "
      "doi:10.1016/j.media.2018.10.008",
      "Dubost F, et al. Automated quantification of enlarged perivascular spaces in clinical brain "
      "MRI across sites. MLCN 2019. doi:10.1007/978-3-030-32695-1_12"};
  manual.uses_threads = manual.uses_seed = manual.uses_device = true;
  return manual;
}

void ExperimentCommand::declare(core::CommandLine& line) {
  recipes_ = default_recipe_folder();
  line.positional("ACTION", &action_, "what to do")
      .choices({"list", "show", "run", "status"})
      .required();
  line.positional("ID", &id_, "the experiment; 'list' names them");
  line.option("--out", &out_, "folder of the run: every intermediate file and the tables")
      .unit("DIR");
  line.option("--input", &inputs_, "sets an input of the experiment; repeat for more")
      .unit("NAME=VALUE");
  line.option(
          "--size", &size_,
          "smoke (seconds), small (two cores) or full (the paper's): defaults of the inputs, where "
          "the experiment has sizes")
      .unit("NAME");
  line.option("--recipes", &recipes_, "folder with *.experiment.toml files").unit("DIR");
}

void ExperimentCommand::run(core::Context& context) {
  const auto recipes = find_recipes(recipes_);
  if (action_ == "list") {
    for (const auto& [id, path] : recipes) {
      const Experiment experiment = Experiment::read(path);
      fmt::print("{:<24} {} ({})\n", id, experiment.title, experiment.source);
    }
    return;
  }
  const auto found = recipes.find(id_);
  if (found == recipes.end()) {
    std::vector<std::string> ids;
    for (const auto& [id, path] : recipes) ids.push_back(id);
    throw core::UsageError(id_.empty() ? "ID is missing: which experiment?"
                                       : fmt::format("unknown experiment '{}'", id_),
                           "known: " + core::join(ids, ", "));
  }
  const Experiment experiment = Experiment::read(found->second);
  if (action_ == "show") {
    print_experiment(experiment);
    return;
  }
  if (out_.empty()) throw core::UsageError("--out is missing: the folder of the run");
  const std::map<std::string, std::string> given = given_inputs(experiment, inputs_);
  std::map<std::string, std::string> values = input_values(experiment, given, size_);
  values["recipes"] = recipes_.string();
  values["threads"] = std::to_string(context.threads);
  values["seed"] = std::to_string(context.seed);
  values["device"] = context.device;
  std::set<std::string> given_names;
  for (const auto& [name, value] : given) given_names.insert(name);
  Runner runner(experiment, out_, values, given_names);
  if (action_ == "status" || context.dry_run) {
    for (const ExperimentStep& step : experiment.steps) {
      fmt::print("{:<26} {:<12} epvs {}\n", step.name, state_name(runner.state(step)),
                 core::join(runner.command(step), " "));
    }
  }
  if (action_ == "status") return;
  for (const ExperimentInput& input : experiment.inputs) {
    if (input.file) core::require_exists(values.at(input.name), "input '" + input.name + "'");
  }
  if (context.dry_run) {
    runner.check(context.log);
    context.end_dry_run(out_.string());
    return;
  }
  std::filesystem::create_directories(out_);
  context.provenance.add_input(found->second);
  runner.run(context.force, context.log);
  context.provenance.write_beside(out_ / "experiment.tsv");
  if (experiment.published.empty()) return;
  const core::Table facing = runner.published_and_measured();
  facing.write(out_ / "published_and_measured.tsv");
  fmt::print("{}", facing.to_aligned(3));
}

}  // namespace epvs::experiments
