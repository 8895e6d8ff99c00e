// `epvs baseline` on a phantom, and what it refuses.
#include <gtest/gtest.h>

#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "data/cohort/cohort.h"
#include "tests/support/test_support.h"

namespace epvs {
namespace {

using tests::run_epvs;

class BaselineCli : public testing::Test {
 protected:
  void SetUp() override {
    tests::expect_result(
        run_epvs({"simulate", "bids", "--preset", "demo", "--participants", "10", "--no-scans",
                  "--cohort", "c.h5", "--prepare", "spacing_mm=3,3,3"},
                 folder_.path()),
        0, {});
    tests::expect_result(run_epvs({"split", "c.h5", "--out", "splits.tsv", "--train", "6",
                                   "--validation", "2", "--test", "2"},
                                  folder_.path()),
                         0, {});
  }
  tests::CommandResult run(std::vector<std::string> more) {
    std::vector<std::string> words = {
        "baseline", "--cohort",   "c.h5",    "--scores", "bids/phenotype/visual_scores.tsv",
        "--splits", "splits.tsv", "--trees", "5",        "--words",
        "4"};
    words.insert(words.end(), more.begin(), more.end());
    return run_epvs(words, folder_.path());
  }
  tests::TemporaryFolder folder_;
};

TEST_F(BaselineCli, ScoresEveryScanOfTheSplitsAndSaysWhatWasTuned) {
  tests::expect_result(run({"--out", "a.tsv", "--threads", "1"}), 0, {});
  tests::expect_result(run({"--out", "b.tsv", "--threads", "3"}), 0, {});
  const core::Table table = core::Table::read(folder_ / "a.tsv");
  EXPECT_EQ(table.rows(), 10U);
  EXPECT_EQ(core::read_text(folder_ / "a.tsv"), core::read_text(folder_ / "b.tsv"));
  const data::CohortReader cohort(folder_ / "c.h5");
  const core::Json tuned = core::read_json(folder_ / "a.json")["methods"];
  for (const char* method : {"volume", "components"}) {
    ASSERT_TRUE(table.has(method));
    EXPECT_GT(tuned[method]["pearson_on_training_scans"].get<double>(), 0) << method;
  }
  // By hand: the volume of one scan at the tuned threshold, in the scan's own intensities.
  const double threshold = tuned["volume"]["threshold"].get<double>();
  for (const data::CohortRow& row : cohort.rows("bg")) {
    const auto index = static_cast<std::size_t>(&row - cohort.rows("bg").data());
    const std::vector<float> roi = cohort.read_roi("bg", index);
    const std::vector<float> soft = cohort.read_soft("bg", index);
    double above = 0;
    for (std::size_t i = 0; i < roi.size(); ++i) {
      above += roi[i] / row.intensity_scale + soft[i] * row.intensity_offset > threshold ? 1 : 0;
    }
    for (std::size_t line = 0; line < table.rows(); ++line) {
      if (table.cell(line, "participant_id") != row.participant_id) continue;
      EXPECT_NEAR(table.number(line, "volume"), above, 1) << row.participant_id;
    }
  }
}

TEST_F(BaselineCli, RefusesWhatItCannotDo) {
  tests::expect_result(run({"--out", "a.tsv", "--methods", "frangi"}), 2,
                       {"'frangi'", "vesselness"});
  tests::expect_result(run({"--out", "a.tsv", "--methods", "volume,volume"}), 2, {"twice"});
  tests::expect_result(run({"--out", "a.tsv", "--target", "rater9"}), 2, {"rater9"});
  tests::expect_result(run({"--out", "a.tsv", "--region", "cso"}), 3, {"cso", "bg"});
  tests::expect_result(run({"--out", "a.tsv", "--methods", "intensity", "--dry-run"}), 0, {});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.tsv"));
  tests::expect_result(run({"--out", "a.tsv", "--methods", "intensity"}), 0, {});
  tests::expect_result(run({"--out", "a.tsv", "--methods", "intensity"}), 2, {"--force"});
}

/// Every step of P1 Table 1 on a phantom of a few people.
TEST(ExperimentSmoke, Table1OfP1) {
  const tests::TemporaryFolder folder;
  const auto result = run_epvs({"experiment", "run", "media2019-table-1", "--size", "smoke",
                                "--out", (folder / "t1").string(), "--threads", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table facing = core::Table::read(folder / "t1/published_and_measured.tsv");
  EXPECT_EQ(facing.rows(), 25U);
  for (std::size_t row = 0; row < facing.rows(); ++row) {
    EXPECT_EQ(facing.cell(row, "n"), "4") << facing.cell(row, "scorer");
  }
}

}  // namespace
}  // namespace epvs
