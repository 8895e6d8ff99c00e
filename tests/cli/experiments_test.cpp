#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "core/text.h"
#include "experiments/experiment.h"
#include "experiments/runner.h"
#include "tests/support/test_support.h"

namespace epvs::experiments {
namespace {

namespace fs = std::filesystem;
using tests::expect_error;
using tests::run_epvs;
using tests::TemporaryFolder;

constexpr const char* kHead = "id = \"t\"\ntitle = \"T\"\nsource = \"S\"\n";

Experiment parse(const TemporaryFolder& folder, const std::string& text) {
  core::write_text(folder / "t.experiment.toml", text);
  return Experiment::read(folder / "t.experiment.toml");
}

TEST(Recipe, ForeachBecomesOneStepPerRow) {
  const TemporaryFolder folder;
  const Experiment recipe = parse(folder, std::string(kHead) + R"(
[inputs.n]
help = "how many"
default = "3"
[[step]]
name = "train-{net}"
minutes = 2.5
retry = ["--resume"]
command = ["train", "{recipes}/{net}.toml", "{features}", "{{x}", "{set...}"]
foreach = [{net = "a", features = 16, set = []}, {net = "b", features = 32, set = ["--set", "x=1"]}]
)");
  ASSERT_EQ(recipe.steps.size(), 2U);
  EXPECT_EQ(recipe.steps[1].name, "train-b");
  EXPECT_EQ(recipe.steps[1].minutes, 2.5);
  EXPECT_EQ(recipe.steps[1].retry, std::vector<std::string>{"--resume"});
  const Runner runner(recipe, folder / "out", {{"recipes", "R"}});
  EXPECT_EQ(runner.command(recipe.steps[1]),
            (std::vector<std::string>{"train", "R/b.toml", "32", "{x}", "--set", "x=1"}));
  EXPECT_EQ(runner.command(recipe.steps[0]).size(), 4U);
}

TEST(Recipe, RefusesWhatItDoesNotKnow) {
  const TemporaryFolder folder;
  const std::string step = "[[step]]\nname = \"a\"\ncommand = [\"x\"]\n";
  const auto refuse = [&](const std::string& text, const std::vector<std::string>& words) {
    expect_error<core::UsageError>([&] { parse(folder, text); }, words);
  };
  refuse(std::string(kHead) + "titel = \"x\"\n" + step,
         {"unknown key 'titel'", "did you mean 'title'"});
  refuse(std::string(kHead) + step + "minute = 2\n", {"[[step]] 1", "did you mean 'minutes'"});
  refuse(std::string(kHead) + step + "minutes = \"2\"\n", {"'minutes' must be a number"});
  refuse(std::string(kHead) + "[[step]]\nname = \"a\"\ncommand = \"x\"\n",
         {"'command' must be a list"});
  refuse(std::string(kHead) + step + step, {"two steps are named 'a'"});
  refuse("id = \"t\"\n", {"'title' is missing"});
  refuse(std::string(kHead) + step +
             "[[published]]\ntable=\"a\"\nregion=\"bg\"\nreference=\"r\"\nscorer=\"s\"\n"
             "metric=\"pearson\"\nvalue=1.0\n",
         {"'metrics' must name"});
  refuse("recipe_version = 99\n" + std::string(kHead) + step, {"recipe_version = 99"});
}

TEST(Recipe, UnknownNamesInCommandsAreErrors) {
  expect_error<core::UsageError>(
      [] {
        substitute("{ot}/x", {{"out", "o"}});
      },
      {"unknown name 'ot'", "did you mean 'out'"});
  expect_error<core::UsageError>([] { substitute("{out", {{"out", "o"}}); }, {"not closed"});
}

TEST(Recipe, EveryShippedRecipeIsReadable) {
  const auto recipes = find_recipes(tests::source_folder() / "experiments" / "recipes");
  EXPECT_GE(recipes.size(), 1U);
  for (const auto& [id, path] : recipes) {
    const Experiment recipe = Experiment::read(path);
    std::map<std::string, std::string> values = {
        {"recipes", "R"}, {"threads", "1"}, {"seed", "1"}, {"device", "cpu"}};
    for (const ExperimentInput& input : recipe.inputs) values[input.name] = "x";
    const Runner runner(recipe, "out", values);
    for (const ExperimentStep& step : recipe.steps) EXPECT_NO_THROW(runner.command(step)) << id;
  }
}

TEST(Recipe, TwoRecipesWithOneIdAreRefused) {
  const TemporaryFolder folder;
  const std::string text = std::string(kHead) + "[[step]]\nname = \"a\"\ncommand = [\"x\"]\n";
  core::write_text(folder / "a.experiment.toml", text);
  core::write_text(folder / "b.experiment.toml", text);
  expect_error<core::UsageError>([&] { find_recipes(folder.path()); }, {"both have the id 't'"});
  expect_error<core::UsageError>([&] { find_recipes(folder / "none"); },
                                 {"does not exist", "--recipes"});
}

/// A recipe whose steps are 'experiment' commands themselves: they need no data.
class RunnerTest : public testing::Test {
 protected:
  void write(const std::string& second_step) {
    core::write_text(folder_ / "t.experiment.toml", std::string(kHead) + R"(
[inputs.shown]
help = "experiment to show"
[[step]]
name = "first"
command = ["experiment", "list", "--recipes", "{recipes}"]
show = true
[[step]]
name = "second"
command = )" + second_step + "\n");
  }
  tests::CommandResult run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"experiment",    "run",          "t",
                                          "--recipes",     folder_.path(), "--out",
                                          folder_ / "out", "--input",      "shown=t"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_epvs(arguments);
  }
  TemporaryFolder folder_;
};

TEST_F(RunnerTest, RunsAllStepsOnceAndKeepsThemTheNextTime) {
  write(R"(["experiment", "show", "{shown}", "--recipes", "{recipes}"])");
  const auto first = run();
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_NE(first.out.find("T (S)"), std::string::npos) << "the output of a shown step";
  EXPECT_NE(first.err.find("[2/2] second"), std::string::npos);
  EXPECT_NE(core::read_text(folder_ / "out/logs/second.out.txt").find("t: T"), std::string::npos);
  const auto second = run();
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_NE(second.err.find("first: done before"), std::string::npos);
  EXPECT_NE(second.err.find("second: done before"), std::string::npos);
}

TEST_F(RunnerTest, FailedStepGivesItsExitCodeAndIsTriedAgain) {
  write(R"(["experiment", "show", "nothing", "--recipes", "{recipes}"])");
  const auto failed = run();
  EXPECT_EQ(failed.exit_code, 2);
  EXPECT_NE(failed.err.find("step 'second' failed with exit code 2"), std::string::npos);
  const auto status = run_epvs({"experiment", "status", "t", "--recipes", folder_.path(), "--out",
                                folder_ / "out", "--input", "shown=t"});
  EXPECT_NE(status.out.find("unfinished"), std::string::npos) << status.out;
  // The try after a failure adds the retry arguments, here the default --force.
  const auto again = run();
  EXPECT_NE(again.err.find("first: done before"), std::string::npos);
  EXPECT_NE(again.err.find("--force"), std::string::npos) << again.err;
}

TEST_F(RunnerTest, ChangedCommandsAreRefusedWithoutForce) {
  write(R"(["experiment", "show", "{shown}", "--recipes", "{recipes}"])");
  EXPECT_EQ(run().exit_code, 0);
  write(R"(["experiment", "list", "--recipes", "{recipes}"])");
  const auto refused = run();
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("was run with another command"), std::string::npos);
  EXPECT_EQ(run({"--force"}).exit_code, 0);
}

TEST_F(RunnerTest, InputsAreChecked) {
  write(R"(["experiment", "show", "{shown}", "--recipes", "{recipes}"])");
  const std::vector<std::string> base = {
      "experiment", "run", "t", "--recipes", folder_.path(), "--out", folder_ / "out"};
  const auto missing = run_epvs(base);
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_NE(missing.err.find("input 'shown' is missing: experiment to show"), std::string::npos);
  auto unknown = base;
  unknown.insert(unknown.end(), {"--input", "shwon=x"});
  EXPECT_NE(run_epvs(unknown).err.find("did you mean 'shown'"), std::string::npos);
}

TEST_F(RunnerTest, ADryRunChecksInputsAndSteps) {
  const auto with = [&](const std::string& check, const std::string& shown) {
    core::write_text(folder_ / "t.experiment.toml", std::string(kHead) + R"(
[inputs.shown]
help = "experiment to show"
[inputs.cohort]
help = "a file"
file = true
[[step]]
name = "first"
check = ")" + check + R"("
command = ["experiment", "show", "{shown}", "--recipes", "{recipes}"]
)");
    return run_epvs({"experiment", "run", "t", "--recipes", folder_.path(), "--out",
                     folder_ / "out", "--input", "shown=" + shown, "--input",
                     "cohort=" + (folder_ / "t.experiment.toml").string(), "--dry-run"});
  };
  for (const char* check : {"run", "dry-run"}) {
    EXPECT_EQ(with(check, "t").exit_code, 0) << check;
    const auto failed = with(check, "nothing");
    EXPECT_EQ(failed.exit_code, 2) << check;
    EXPECT_NE(failed.err.find("unknown experiment 'nothing'"), std::string::npos) << failed.err;
    EXPECT_NE(failed.err.find("step 'first' failed with exit code 2"), std::string::npos);
  }
  EXPECT_EQ(with("none", "nothing").exit_code, 0) << "a step that cannot be checked before";
  EXPECT_FALSE(fs::exists(folder_ / "out")) << "nothing is written";
  EXPECT_EQ(with("sometimes", "t").exit_code, 2);
  const auto missing =
      run_epvs({"experiment", "run", "t", "--recipes", folder_.path(), "--out", folder_ / "out",
                "--input", "shown=t", "--input", "cohort=nowhere.h5", "--dry-run"});
  EXPECT_NE(missing.exit_code, 0);
}

TEST(ExperimentCommand, ExamplesNameTheInputsOfTheirRecipes) {
  const auto recipes = find_recipes(tests::source_folder() / "experiments" / "recipes");
  const auto help = run_epvs({"experiment", "--help"});
  const std::string call = "      epvs experiment run ";
  int examples = 0;
  for (const std::string& line : core::split(help.out, '\n')) {
    if (line.rfind(call, 0) != 0) continue;
    ++examples;
    const std::vector<std::string> words = core::split(line.substr(call.size()), ' ');
    ASSERT_TRUE(recipes.count(words[0])) << line;
    const Experiment recipe = Experiment::read(recipes.at(words[0]));
    std::set<std::string> given;
    for (std::size_t i = 1; i + 1 < words.size(); ++i) {
      if (words[i] == "--input") given.insert(words[i + 1].substr(0, words[i + 1].find('=')));
    }
    for (const ExperimentInput& input : recipe.inputs) {
      EXPECT_TRUE(input.value || given.count(input.name)) << input.name << " lacks in " << line;
      given.erase(input.name);
    }
    EXPECT_TRUE(given.empty()) << *given.begin() << " is no input in " << line;
  }
  EXPECT_EQ(examples, 3);
}

TEST_F(RunnerTest, PublishedValuesStandBesideTheMeasuredOnes) {
  core::write_text(
      folder_ / "metrics.tsv",
      "region\tgroup\tn\treference\tscorer\tmetric\tparameter\testimate\tci_low\tci_high\n"
      "bg\tscanner=a\t9\tr1\tnet\tpearson\tn/a\t0.1\t0\t1\n"
      "bg\tall\t76\tr1\tnet\tpearson\tn/a\t0.5\t0.3\t0.7\n");
  Experiment recipe;
  recipe.metrics = "{out}/metrics.tsv";
  recipe.published = {{"P2 Table 2", "bg", "{rater}", "net", "pearson", 0.31},
                      {"P2 Table 2", "bg", "{rater}", "cnn", "pearson", 0.25}};
  const Runner runner(recipe, folder_.path(), {{"rater", "r1"}});
  const core::Table facing = runner.published_and_measured();
  EXPECT_EQ(facing.cell(0, "n"), "76");
  EXPECT_EQ(facing.cell(0, "published"), "0.31");
  EXPECT_EQ(facing.cell(0, "measured"), "0.5");
  EXPECT_EQ(facing.cell(1, "measured"), "n/a");
}

}  // namespace
}  // namespace epvs::experiments
