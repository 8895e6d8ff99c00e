// Both networks learn to count: on a small phantom cohort they agree with the rater on participants
// that they never saw, and with shuffled labels they do not. By the real commands, CPU, one thread.
#include <cmath>
#include <map>
#include <string>

#include "core/random.h"
#include "core/table.h"
#include "tests/support/test_support.h"

namespace epvs {
namespace {

/// An easy cohort on a coarse grid (3 mm): one scanner, wide EPVS, little noise, no lacunes.
const std::vector<std::string> kCohort = {"--preset",
                                          "demo",
                                          "--participants",
                                          "200",
                                          "--no-scans",
                                          "--scanners",
                                          "research-1.5t",
                                          "--spacing-mm",
                                          "2.5,2.5,2.5",
                                          "--anatomy-grid-mm",
                                          "2.5",
                                          "--noise-scale",
                                          "0.2",
                                          "--bias-scale",
                                          "0",
                                          "--lacunes",
                                          "0",
                                          "--diameter-mean-mm",
                                          "3.4",
                                          "--diameter-sd-mm",
                                          "0.1",
                                          "--diameter-range-mm",
                                          "2.6,4.2",
                                          "--length-range-mm",
                                          "7,9",
                                          "--minimum-gap-mm",
                                          "3",
                                          "--rater-sensitivity",
                                          "2.5",
                                          "--prepare",
                                          "spacing_mm=3,3,3",
                                          "--prepare",
                                          "crop_voxels=28,22,16",
                                          "--prepare",
                                          "dilation_voxels=1",
                                          "--prepare",
                                          "sigma_voxels=0.7",
                                          "--seed",
                                          "1",
                                          "--threads",
                                          "1"};

class Learning : public testing::Test {
 protected:
  std::string file(const std::string& name) const { return folder_ / name; }

  void run(const std::vector<std::string>& arguments) const {
    const auto result = tests::run_epvs(arguments);
    ASSERT_EQ(result.exit_code, 0) << arguments[0] << "\n" << result.err;
  }

  void simulate() const {
    std::vector<std::string> arguments = {"simulate", file("bids"), "--cohort", file("cohort.h5")};
    arguments.insert(arguments.end(), kCohort.begin(), kCohort.end());
    run(arguments);
    run({"split", file("bids/participants.tsv"), "--out", file("splits.tsv"), "--test", "64",
         "--validation", "16", "--seed", "1"});
  }

  /// The counts of rater 1 dealt to other participants, of all splits.
  void shuffle_labels() const {
    const core::Table visual = core::Table::read(file("bids/phenotype/visual_scores.tsv"));
    core::Random random(core::mix_seed(1, {"shuffled labels"}));
    const auto order = random.permutation(visual.rows());
    core::Table shuffled({"participant_id", "region", "rater1"});
    for (std::size_t row = 0; row < visual.rows(); ++row) {
      shuffled.add_row({visual.cell(row, "participant_id"), visual.cell(row, "region"),
                        visual.cell(order[row], "rater1")});
    }
    shuffled.write(file("shuffled.tsv"));
  }

  /// Trains on `labels`, scores the held-out participants, and returns estimate, ci_low and ci_high
  /// of their ICC(2,1) with the rater, whatever the labels were.
  std::map<std::string, double> icc_after_training_on(const std::string& labels,
                                                      const std::string& architecture,
                                                      const std::string& kind) const {
    const std::string name = architecture + "-" + kind;
    const std::string scores = file("scores-" + name + ".tsv");
    const std::string recipe = architecture + ".toml";
    run({"train", tests::source_folder() / "tests/integration/recipes" / recipe, "--cohort",
         file("cohort.h5"), "--scores", file(labels), "--target", "rater1", "--splits",
         file("splits.tsv"), "--out", file("run-" + name), "--threads", "1", "--device", "cpu",
         "--seed", "1"});
    run({"infer", "--run", file("run-" + name), "--cohort", file("cohort.h5"), "--splits",
         file("splits.tsv"), "--split", "test", "--scorer", "network", "--out", scores, "--threads",
         "1", "--device", "cpu"});
    run({"eval", "--scores", file("bids/phenotype/visual_scores.tsv"), "--scores", scores,
         "--reference", "rater1", "--splits", file("splits.tsv"), "--split", "test", "--out",
         file("eval-" + name)});
    const core::Table metrics = core::Table::read(file("eval-" + name + "/metrics.tsv"));
    for (std::size_t row = 0; row < metrics.rows(); ++row) {
      if (metrics.cell(row, "metric") != "icc2" || metrics.cell(row, "scorer") != "network" ||
          metrics.cell(row, "group") != "all") {
        continue;
      }
      EXPECT_EQ(metrics.cell(row, "n"), "64");
      return {{"estimate", metrics.number(row, "estimate")},
              {"ci_low", metrics.number(row, "ci_low")},
              {"ci_high", metrics.number(row, "ci_high")}};
    }
    ADD_FAILURE() << "no ICC(2,1) of the network";
    return {};
  }

  tests::TemporaryFolder folder_;
};

TEST_F(Learning, BothNetworksAgreeWithTheRaterOnHeldOutParticipantsAndNotWithShuffledLabels) {
  ASSERT_NO_FATAL_FAILURE(simulate());
  shuffle_labels();
  for (const std::string network : {"gp_unet", "media2019"}) {
    SCOPED_TRACE(network);
    auto icc = icc_after_training_on("bids/phenotype/visual_scores.tsv", network, "rater");
    // Other cohorts, splits and networks (seeds 1 to 3): GP-Unet .92, .79, .92; media2019 .89, .78,
    // .84.
    EXPECT_GE(icc["estimate"], 0.75);
    EXPECT_GT(icc["ci_low"], 0.6);
    auto shuffled = icc_after_training_on("shuffled.tsv", network, "shuffled");
    // Two standard errors of a correlation between 64 independent pairs. The ICC is nearer to zero
    // than the correlation, because scores that explain nothing are drawn to the mean: seeds 1 to 3
    // gave
    // -.06, .00, -.16 and -.12, .00, -.14.
    EXPECT_LT(std::abs(shuffled["estimate"]), 2 / std::sqrt(64.0));
    EXPECT_LT(shuffled["ci_high"], icc["ci_low"]);
    RecordProperty(network + "_icc", std::to_string(icc["estimate"]));
    RecordProperty(network + "_icc_shuffled", std::to_string(shuffled["estimate"]));
  }
}

}  // namespace
}  // namespace epvs
