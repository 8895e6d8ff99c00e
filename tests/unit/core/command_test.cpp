#include "core/command.h"

#include <csignal>

#include "core/error.h"
#include "core/stop.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

/// Records what it was given; throws what the test asks for.
class Probe : public Command {
 public:
  Manual manual() const override {
    Manual manual;
    manual.name = "probe";
    manual.summary = "a command for tests";
    manual.synopsis = "IN [--values V] [options]";
    manual.description = "Does nothing.";
    manual.examples = {{"Run it:", "epvs probe in.tsv"}};
    manual.citations = {"Nobody 2026"};
    manual.uses_threads = manual.uses_seed = manual.uses_device = true;
    return manual;
  }
  void declare(CommandLine& line) override {
    line.positional("IN", &in, "input").required();
    line.heading("Probe options");
    line.option("--values", &values, "values").range(0, 10).unit("mm");
    line.option("--files", &files, "files").unit("FILE");
    line.option("--deep", &deep, "a flag");
    table.add("roi.sigma_voxels", &sigma, "of the Gaussian").range(0, 9);
    line.options_of(table);
  }
  void run(Context& context) override {
    ran = true;
    values_given = context.line.given("--values");
    threads = context.threads;
    seed = context.seed;
    force = context.force;
    settings = context.provenance.to_json()["options"];
    if (action) action();
  }

  std::string in;
  std::vector<double> values = {1};
  std::vector<std::string> files;
  bool deep = false;
  double sigma = 2;
  ParameterTable table;
  bool ran = false;
  bool values_given = false;
  bool force = false;
  Json settings;
  int threads = 0;
  std::uint64_t seed = 0;
  std::function<void()> action;
};

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome call(Probe& probe, std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "epvs-probe");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_command(probe, static_cast<int>(arguments.size()), arguments.data());
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(Command, ParsesPositionalsListsFlagsAndTableOptions) {
  Probe probe;
  const Outcome outcome = call(
      probe, {"--values", "2,3.5", "--values", "4", "in.tsv", "--deep", "--sigma-voxels", "3",
              "--threads", "2", "--seed=9", "--force", "--files", "a,b.tsv", "--files", "c.tsv"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(probe.ran);
  EXPECT_EQ(probe.in, "in.tsv");
  EXPECT_EQ(probe.values, (std::vector<double>{2, 3.5, 4}));
  EXPECT_EQ(probe.files, (std::vector<std::string>{"a,b.tsv", "c.tsv"}));
  EXPECT_TRUE(probe.deep);
  EXPECT_TRUE(probe.values_given);
  EXPECT_TRUE(probe.force);
  EXPECT_EQ(probe.sigma, 3);
  EXPECT_EQ(probe.threads, 2);
  EXPECT_EQ(probe.seed, 9U);
}

TEST(Command, EveryOptionIsInTheProvenance) {
  Probe probe;
  EXPECT_EQ(call(probe, {"in.tsv", "--values", "2", "--threads", "3"}).code, 0);
  EXPECT_EQ(probe.settings["IN"], "in.tsv");
  EXPECT_EQ(probe.settings["values"], Json{2.0});
  EXPECT_EQ(probe.settings["deep"], false);
  EXPECT_EQ(probe.settings["threads"], 3);
  EXPECT_EQ(probe.settings["dry_run"], false);
  EXPECT_EQ(probe.settings["roi"]["sigma_voxels"], 2.0);
}

/// Reads a recipe after the command line, as train and prepare do.
class RecipeProbe : public Probe {
 public:
  void run(Context& context) override {
    table.read_recipe_text("[roi]\nsigma_voxels = 5\n", "r.toml");
    context.begin("a cohort of 3 scans");
    if (context.dry_run) context.end_dry_run("out.tsv");
    Probe::run(context);
  }
};

TEST(Command, BeginsWithOneLineAndKeepsAllSettings) {
  for (const bool verbose : {false, true}) {
    RecipeProbe probe;
    std::vector<const char*> arguments = {"in.tsv", "--dry-run"};
    if (verbose) arguments.push_back("--verbose");
    const Outcome outcome = call(probe, arguments);
    EXPECT_EQ(outcome.err.find("a cohort of 3 scans\n"), 0U) << outcome.err;
    EXPECT_EQ(outcome.err.find("roi.sigma_voxels = 5 (recipe)") != std::string::npos, verbose);
    EXPECT_NE(outcome.err.find("--dry-run: all inputs were checked; without it out.tsv would be"),
              std::string::npos);
    EXPECT_EQ(probe.settings["roi"]["sigma_voxels"], 5.0);
  }
  RecipeProbe stated;
  EXPECT_EQ(call(stated, {"in.tsv", "--sigma-voxels", "1"}).code, 0);
  EXPECT_EQ(stated.sigma, 1) << "the command line wins over a recipe that is read later";
}

TEST(Command, UsageErrorsExitWithTwoAndSayWhatIsMeant) {
  const auto expect_usage = [](std::vector<const char*> arguments, const std::string& text) {
    Probe probe;
    const Outcome outcome = call(probe, std::move(arguments));
    EXPECT_EQ(outcome.code, 2);
    EXPECT_FALSE(probe.ran);
    EXPECT_NE(outcome.err.find(text), std::string::npos) << outcome.err;
    EXPECT_TRUE(outcome.out.empty());
  };
  expect_usage({}, "IN is missing");
  expect_usage({"in", "--vlaues", "2"}, "did you mean '--values'");
  expect_usage({"in", "--sigma-voxel=2"}, "did you mean '--sigma-voxels'");
  expect_usage({"in", "more"}, "unexpected argument 'more'");
  expect_usage({"in", "--values", "11"}, "violated constraint 0 <= --values <= 10");
  expect_usage({"in", "--values", "x"}, "--values = 'x' is not a number");
  expect_usage({"in", "--threads", "-3"}, "violated constraint");
  expect_usage({"in", "--sigma-voxels", "10"}, "--sigma-voxels = 10: violated constraint");
  expect_usage({"in", "--sigma-voxels", "1", "--sigma-voxels", "2"}, "takes one value, 2 were");
}

TEST(Command, ErrorsBecomeExitCodes) {
  const auto code_of = [](std::function<void()> action) {
    Probe probe;
    probe.action = std::move(action);
    return call(probe, {"in"}).code;
  };
  EXPECT_EQ(code_of([] {}), 0);
  EXPECT_EQ(code_of([] { throw RunError("x"); }), 1);
  EXPECT_EQ(code_of([] { throw UsageError("x"); }), 2);
  EXPECT_EQ(code_of([] { throw InputError("x"); }), 3);
  EXPECT_EQ(code_of([] { throw PartialError("x"); }), 4);
  EXPECT_EQ(code_of([] { throw Interrupted(SIGINT); }), 130);
  EXPECT_EQ(code_of([] { throw Interrupted(SIGTERM); }), 143);
  EXPECT_EQ(code_of([] { throw std::bad_alloc(); }), 1);
  EXPECT_EQ(code_of([] { EPVS_ASSERT(1 == 2); }), 1);
}

TEST(Command, MessagesCarryTheHint) {
  Probe probe;
  probe.action = [] { throw InputError("the scan is empty", "scan again"); };
  const Outcome outcome = call(probe, {"in"});
  EXPECT_NE(outcome.err.find("epvs probe: the scan is empty"), std::string::npos);
  EXPECT_NE(outcome.err.find("what to do: scan again"), std::string::npos);
}

TEST(Command, HelpReadsLikeAManualPage) {
  Probe probe;
  const Outcome outcome = call(probe, {"--help"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_FALSE(probe.ran);
  for (const char* text :
       {"NAME", "SYNOPSIS", "DESCRIPTION", "ARGUMENTS", "PROBE OPTIONS", "SHARED OPTIONS",
        "EXAMPLES", "EXIT STATUS", "CITATIONS", "Nobody 2026", "--values MM,...", "--files FILE...",
        "--sigma-voxels X", "0 to 10", "default 2", "--sigma-voxels"}) {
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text;
  }
  for (const std::string& text : {outcome.out}) {
    std::size_t begin = 0;
    while (begin < text.size()) {
      const std::size_t end = text.find('\n', begin);
      EXPECT_LE(end - begin, 100U) << text.substr(begin, end - begin);
      begin = end + 1;
    }
  }
}

TEST(StopSignals, TurnSignalsIntoWishes) {
  StopSignals signals;
  EXPECT_EQ(signals.stop_signal(), 0);
  std::raise(SIGUSR1);
  EXPECT_TRUE(signals.take_checkpoint_request());
  EXPECT_FALSE(signals.take_checkpoint_request());
  EXPECT_NO_THROW(signals.throw_if_stopped());
  std::raise(SIGTERM);
  EXPECT_EQ(signals.stop_signal(), SIGTERM);
  EXPECT_THROW(signals.throw_if_stopped(), Interrupted);
}

}  // namespace
}  // namespace epvs::core
