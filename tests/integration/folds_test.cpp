// Cross-validation by the real commands: every participant is scored once by a network that never
// saw it, and the ensemble of the folds gives mean and spread of its networks.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/scores.h"
#include "core/table.h"
#include "tests/support/test_support.h"
#include "tests/support/train_fixture.h"

namespace epvs {
namespace {

constexpr int kParticipants = 18;
constexpr int kFolds = 3;

class Folds : public testing::Test {
 protected:
  std::string file(const std::string& name) const { return folder_ / name; }
  std::string fold_file(const char* name, int fold) const {
    return file(name + std::to_string(fold));
  }
  void run(const std::vector<std::string>& arguments) const {
    const auto result = tests::run_epvs(arguments);
    ASSERT_EQ(result.exit_code, 0) << arguments[0] << "\n" << result.err;
  }
  void infer(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"infer",     "--cohort", file("cohort.h5"),
                                          "--threads", "1",        "--device",
                                          "cpu",       "--scorer", "network"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    run(arguments);
  }
  /// Column of a table of scores by participant.
  static std::map<std::string, double> column(const std::string& path, const char* name) {
    const core::Table table = core::Table::read(path);
    std::map<std::string, double> values;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      values[table.cell(row, "participant_id")] = table.number(row, name);
    }
    return values;
  }
  tests::TemporaryFolder folder_;
};

TEST_F(Folds, EveryParticipantIsTestedOnceAndTheEnsembleIsMeanAndSpread) {
  train::write_tiny_cohort(folder_.path(), kParticipants);
  train::write_tiny_recipe(file("recipe.toml"));
  run({"split", file("scores.tsv"), "--folds", std::to_string(kFolds), "--out", file("folds.tsv"),
       "--seed", "1"});
  std::map<std::string, double> tested;
  std::vector<std::map<std::string, double>> everybody;
  std::vector<std::string> ensemble = {"--out", file("ensemble.tsv")};
  std::vector<std::string> eval = {"eval",   "--scores", file("scores.tsv"), "--reference",
                                   "rater1", "--out",    file("eval")};
  for (int fold = 0; fold < kFolds; ++fold) {
    const std::string network = fold_file("run", fold);
    run({"train",     file("recipe.toml"),
         "--cohort",  file("cohort.h5"),
         "--scores",  file("scores.tsv"),
         "--target",  "rater1",
         "--splits",  file("folds.tsv"),
         "--fold",    std::to_string(fold),
         "--out",     network,
         "--set",     "train.epochs=2",
         "--threads", "1",
         "--device",  "cpu"});
    infer({"--run", network, "--splits", file("folds.tsv"), "--fold", std::to_string(fold), "--out",
           fold_file("test.tsv", fold)});
    infer({"--run", network, "--out", fold_file("all.tsv", fold)});
    for (const auto& [participant, score] : column(fold_file("test.tsv", fold), "network")) {
      EXPECT_TRUE(tested.emplace(participant, score).second) << participant << " in two folds";
    }
    everybody.push_back(column(fold_file("all.tsv", fold), "network"));
    ensemble.insert(ensemble.end(), {"--run", network});
    eval.insert(eval.end(), {"--scores", fold_file("test.tsv", fold)});
  }
  EXPECT_EQ(tested.size(), kParticipants);

  infer(ensemble);
  const auto mean = column(file("ensemble.tsv"), "network");
  const auto spread = column(file("ensemble.tsv"), "network_sd");
  ASSERT_EQ(mean.size(), kParticipants);
  double largest_spread = 0;
  for (const auto& [participant, score] : mean) {
    double sum = 0;
    double squares = 0;
    for (const auto& scores : everybody) sum += scores.at(participant);
    for (const auto& scores : everybody) {
      squares += std::pow(scores.at(participant) - sum / kFolds, 2);
    }
    EXPECT_NEAR(score, sum / kFolds, 1e-4) << participant;
    EXPECT_NEAR(spread.at(participant), std::sqrt(squares / (kFolds - 1)), 1e-4) << participant;
    largest_spread = std::max(largest_spread, spread.at(participant));
  }
  EXPECT_GT(largest_spread, 1e-3) << "the networks of the folds differ";

  run(eval);
  const core::Table metrics = core::Table::read(file("eval/metrics.tsv"));
  ASSERT_GT(metrics.rows(), 0U);
  for (std::size_t row = 0; row < metrics.rows(); ++row) {
    EXPECT_EQ(metrics.cell(row, "n"), std::to_string(kParticipants)) << "all folds together";
  }
}

}  // namespace
}  // namespace epvs
