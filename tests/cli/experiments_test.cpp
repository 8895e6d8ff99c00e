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

const std::string kMatrix = R"(
[variables]
inputs = ["--cohort", "{cohort}", "--name", "{net}"]
[matrix]
net = [{net = "a", features = 16, set = []}, {net = "b", features = 32, set = ["--set", "x=1"]}]
region = ["bg", "cso"]
)";

TEST(Recipe, AStepGoesThroughListsOfTheMatrix) {
  const TemporaryFolder folder;
  const Experiment recipe = parse(folder, std::string(kHead) + R"(
[inputs.cohort]
help = "a cohort"
default = "{out}/c.h5"
)" + kMatrix + R"(
[[step]]
name = "train-{net}-{region}"
each = ["net", "region"]
minutes = 2.5
retry = ["--resume"]
command = ["train", "{recipes}/{net}.toml", "{features}", "{{x}", "{set...}", "{inputs...}"]
[[step]]
name = "eval-{region}"
each = ["region"]
command = ["eval", "{out}/{net*}-{region}.tsv", "{net*}"]
[[step]]
name = "all"
command = ["eval", "{net*}-{region*}"]
)");
  ASSERT_EQ(recipe.steps.size(), 7U);
  EXPECT_EQ(recipe.steps[1].name, "train-a-cso");
  EXPECT_EQ(recipe.steps[2].name, "train-b-bg");
  EXPECT_EQ(recipe.steps[2].minutes, 2.5);
  EXPECT_EQ(recipe.steps[2].retry, std::vector<std::string>{"--resume"});
  const Runner runner(recipe, "O", {{"recipes", "R"}, {"cohort", "{out}/c.h5"}}, {});
  using Words = std::vector<std::string>;
  EXPECT_EQ(runner.command(recipe.steps[2]), (Words{"train", "R/b.toml", "32", "{x}", "--set",
                                                    "x=1", "--cohort", "O/c.h5", "--name", "b"}));
  EXPECT_EQ(runner.command(recipe.steps[0]).size(), 8U);
  EXPECT_EQ(runner.command(recipe.steps[5]),
            (Words{"eval", "O/a-cso.tsv", "O/b-cso.tsv", "a", "b"}));
  EXPECT_EQ(runner.command(recipe.steps[6]), (Words{"eval", "a-bg", "a-cso", "b-bg", "b-cso"}));
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
             "[[published]]\ntable=\"a\"\nregion=\"bg\"\nreference=\"r\"\n"
             "metrics=[\"pearson\"]\nrows=[[\"s\", 1.0]]\n",
         {"'metrics' must name"});
  refuse(std::string(kHead) + step +
             "[[published]]\ntable=\"a\"\nregion=\"bg\"\nreference=\"r\"\n"
             "metrics=[\"pearson\", \"mae\"]\nrows=[[\"s\", 1.0]]\n",
         {"[\"s\",1.0] must be a scorer and a number for each of pearson, mae"});
  refuse(std::string(kHead) + kMatrix + step + "each = [\"nett\"]\n",
         {"[matrix] has no 'nett'", "did you mean 'net'"});
  refuse(std::string(kHead) + "[matrix]\nnet = [{set = \"x\"}]\n" + step, {"has no 'net'"});
  refuse(std::string(kHead) + "[matrix]\nnet = [\"a\", \"a\"]\n" + step, {"has 'a' twice"});
  refuse(std::string(kHead) + step + "unless = \"cohort\"\n", {"there is no input 'cohort'"});
  refuse(std::string(kHead) + "[sizes.small]\nn = \"1\"\n" + step, {"there is no input 'n'"});
  refuse(std::string(kHead) + "[inputs.seed]\nhelp = \"x\"\n" + step, {"cannot be named 'seed'"});
  for (const char* name : {"../../x", "a/b", ".a"}) {
    refuse(std::string(kHead) + "[[step]]\nname = \"" + name + "\"\ncommand = [\"x\"]\n",
           {"is no name for a step", "no slash"});
  }
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
    const Runner runner(recipe, "out", values, {});
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

/// A step per output; the one below /proc cannot be written and fails with exit code 1.
class RunnerMatrixTest : public RunnerTest {
 protected:
  void SetUp() override {
    core::write_text(folder_ / "people.tsv", "participant_id\nsub-1\nsub-2\nsub-3\nsub-4\nsub-5\n");
    core::write_text(folder_ / "t.experiment.toml", std::string(kHead) + R"(
metrics = "{out}/metrics.tsv"
[inputs.people]
help = "a table"
default = "{out}/made.tsv"
[inputs.number]
help = "a number"
default = "1"
[sizes.small]
number = "7"
[matrix]
where = [{where = "good", to = "{out}"}, {where = "bad", to = "/proc/none"}]
[[step]]
name = "make"
unless = "people"
command = ["experiment", "list", "--recipes", "{recipes}"]
[[step]]
name = "split-{where}"
each = ["where"]
may_fail = true
command = ["split", "{people}", "--out", "{to}/{where}.tsv", "--test", "1", "--seed", "{number}"]
[[step]]
name = "again-{where}"
each = ["where"]
command = ["split", "{out}/{where}.tsv", "--out", "{out}/again.tsv", "--test", "1"]
[[step]]
name = "show"
command = ["experiment", "show", "t", "--recipes", "{recipes}", "--out", "{where*}"]
[[published]]
table = "T"
region = "bg"
reference = "r"
metrics = ["mae"]
rows = [["good", 1], ["bad", 2]]
)");
    core::write_text(folder_ / "out/metrics.tsv",
                     "region\tgroup\tn\treference\tscorer\tmetric\tparameter\testimate\tci_low\t"
                     "ci_high\nbg\tall\t9\tr\tgood\tmae\tn/a\t0.5\t0\t1\n");
  }
  tests::CommandResult call(const std::string& action, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "experiment", action, "t", "--recipes", folder_.path(), "--out", folder_ / "out"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_epvs(arguments);
  }
};

TEST_F(RunnerMatrixTest, AFailureThatMayBeIsAResultAndItsRowIsLeftOut) {
  const std::vector<std::string> input = {"--input", "people=" + (folder_ / "people.tsv").string()};
  const auto result = call("run", input);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("step 'split-bad' failed, which is a result"), std::string::npos);
  EXPECT_TRUE(fs::exists(folder_ / "out/again.tsv"));
  const core::Table facing = core::Table::read(folder_ / "out/published_and_measured.tsv");
  EXPECT_EQ(facing.cell(0, "measured"), "0.5");
  EXPECT_EQ(facing.cell(1, "measured"), "n/a");
  EXPECT_EQ(facing.cell(1, "note"), "step split-bad failed");
  std::map<std::string, std::string> states;
  for (const std::string& line : core::split(call("status", input).out, '\n')) {
    if (!line.empty()) states[line.substr(0, line.find(' '))] = line;
  }
  const auto expect_state = [&](const std::string& step, const std::string& state) {
    EXPECT_NE(states[step].find(" " + state + " "), std::string::npos) << states[step];
  };
  expect_state("make", "left out");
  expect_state("split-good", "done");
  expect_state("split-bad", "failed");
  expect_state("again-bad", "left out");
  expect_state("show", "done");
  EXPECT_NE(states["show"].find("--out good"), std::string::npos) << "without the failed value";
  EXPECT_EQ(states["show"].find("bad"), std::string::npos);
  EXPECT_NE(call("run", input).err.find("split-bad: failed before"), std::string::npos);
}

TEST_F(RunnerMatrixTest, SizesAndInputsDecideWhatIsMade) {
  const std::string small = call("status", {"--size", "small"}).out;
  EXPECT_NE(small.find("--seed 7"), std::string::npos) << small;
  EXPECT_NE(small.find((folder_ / "out/made.tsv").string()), std::string::npos) << small;
  EXPECT_EQ(small.find("left out"), std::string::npos);
  const std::string given = call("status", {"--size", "small", "--input", "number=9"}).out;
  EXPECT_NE(given.find("--seed 9"), std::string::npos) << given;
  tests::expect_result(call("status", {"--size", "big"}), 2, {"no size 'big'", "small"});
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
  const Runner runner(recipe, folder_.path(), {{"rater", "r1"}}, {});
  const core::Table facing = runner.published_and_measured();
  EXPECT_EQ(facing.cell(0, "n"), "76");
  EXPECT_EQ(facing.cell(0, "published"), "0.31");
  EXPECT_EQ(facing.cell(0, "measured"), "0.5");
  EXPECT_EQ(facing.cell(1, "measured"), "n/a");
}

}  // namespace
}  // namespace epvs::experiments
