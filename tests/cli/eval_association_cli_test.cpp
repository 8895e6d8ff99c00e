// `epvs eval` beyond agreement: associations, means, repeat scans, heterogeneity, calibration,
// detections, each with its outputs and its errors.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/files.h"
#include "core/json.h"
#include "core/random.h"
#include "core/table.h"
#include "tests/support/test_support.h"

namespace epvs {
namespace {

using tests::CommandResult;
using tests::run_epvs;
using tests::TemporaryFolder;

class EvalAssociations : public testing::Test {
 protected:
  CommandResult eval(std::vector<std::string> extra) {
    std::vector<std::string> arguments = {"eval",     "--scores", "visual.tsv",
                                          "--scores", "m.tsv",    "--reference",
                                          "rater1",   "--out",    "out"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return run_epvs(arguments, folder_.path());
  }
  void refused(std::vector<std::string> extra, const std::vector<std::string>& texts,
               int exit_code = 2) {
    const CommandResult result = eval(std::move(extra));
    tests::expect_result(result, exit_code, texts);
  }
  core::Table out(const std::string& name) {
    // With its provenance beside it.
    EXPECT_TRUE(std::filesystem::exists(folder_ / "out" / (name + ".json"))) << name;
    return core::Table::read(folder_ / "out" / (name + ".tsv"));
  }
  /// The first row of metrics.tsv with this metric and scorer.
  std::size_t row_of(const core::Table& table, const std::string& metric,
                     const std::string& scorer) {
    for (std::size_t row = 0; row < table.rows(); ++row) {
      if (table.cell(row, "metric") == metric && table.cell(row, "scorer") == scorer) return row;
    }
    throw std::runtime_error("no row of " + metric);
  }

  /// 120 participants, `m` real-valued and turned round; ages and scanners; two splits.
  void SetUp() override {
    core::Random random(9);
    std::string visual = "participant_id\tregion\trater1\n";
    std::string method = "participant_id\tregion\tm\n";
    std::string participants = "participant_id\tage\tscanner\n";
    std::string splits = "repeat\tfold\tparticipant_id\tsplit\n";
    std::string truth = "participant_id\tregion\tx\ty\tz\n";
    std::string detections = "participant_id\tregion\tx\ty\tz\tweight\n";
    for (int i = 0; i < 120; ++i) {
      const std::string id = "sub-" + std::to_string(i);
      const double age = 60 + (i * 13) % 36;
      const auto count =
          random.flip(0.2) ? 0 : random.negative_binomial(std::exp(1.5 + 0.03 * (age - 78)), 3);
      visual += fmt::format("{}\tbg\t{}\n", id, count);
      method += fmt::format("{}\tbg\t{:.3f}\n", id,
                            200.0 - 9.0 * static_cast<double>(count) + random.normal(0, 5));
      participants += fmt::format("{}\t{}\t{}\n", id, age, i % 3 == 0 ? "ge" : "philips");
      splits += fmt::format("0\t0\t{}\t{}\n", id, i < 60 ? "validation" : "test");
      for (std::int64_t k = 0; k < count; ++k) {
        const double x = 10.0 * static_cast<double>(k);
        truth += fmt::format("{}\tbg\t{}\t0\t0\n", id, x);
        if (k % 4 != 3) detections += fmt::format("{}\tbg\t{}\t1\t0\t0.9\n", id, x);
      }
      if (i % 2 == 0) detections += fmt::format("{}\tbg\t0\t99\t0\t0.3\n", id);
    }
    core::write_text(folder_ / "visual.tsv", visual);
    core::write_text(folder_ / "m.tsv", method);
    core::write_text(folder_ / "participants.tsv", participants);
    core::write_text(folder_ / "splits.tsv", splits);
    core::write_text(folder_ / "truth.tsv", truth);
    core::write_text(folder_ / "found.tsv", detections);
  }

  TemporaryFolder folder_;
};

TEST_F(EvalAssociations, WritesRatiosPerDecadeAndMeans) {
  const CommandResult result = eval({"--participants", "participants.tsv", "--associate", "age",
                                     "--zero-part", "age", "--scorers", "m", "--means-by", "age"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("rate ratios"), std::string::npos) << result.out;
  const core::Table table = out("associations");
  double ratio = 0;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.cell(row, "scorer") == "rater1" && table.cell(row, "part") == "count" &&
        table.cell(row, "term") == "age") {
      ratio = table.number(row, "ratio");
      EXPECT_EQ(table.cell(row, "per"), "10");
      EXPECT_NEAR(ratio, std::exp(10 * table.number(row, "estimate")), 1e-12);
    }
  }
  EXPECT_GT(ratio, 1.0);
  EXPECT_GT(out("means").rows(), 10u);
  const core::Json document = core::read_json(folder_ / "out" / "metrics.json");
  EXPECT_EQ(document["associations"].size(), table.rows());
  refused({"--participants", "participants.tsv", "--associate", "age"}, {"exists", "--force"});
}

TEST_F(EvalAssociations, OneScorerAndNoReferenceAreEnough) {
  const auto alone = [&](std::vector<std::string> extra) {
    std::vector<std::string> arguments = {"eval", "--scores",       "visual.tsv",       "--out",
                                          "out",  "--participants", "participants.tsv", "--force"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return run_epvs(arguments, folder_.path());
  };
  ASSERT_EQ(eval({"--participants", "participants.tsv", "--associate", "age"}).exit_code, 0);
  const core::Table beside = out("associations");
  const CommandResult result = alone({"--associate", "age", "--means-by", "age"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table table = out("associations");
  ASSERT_GT(table.rows(), 3U);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    EXPECT_EQ(table.cell(row, "scorer"), "rater1");
    EXPECT_EQ(table.cell(row, "estimate"), beside.cell(row, "estimate"));
  }
  EXPECT_EQ(out("means").cell(0, "scorer"), "rater1");
  EXPECT_EQ(alone({"--associate", "age", "--reference", "rater1"}).exit_code, 0);
  const CommandResult cut = alone({"--associate", "age", "--thresholds", "5"});
  EXPECT_EQ(cut.exit_code, 2);
  EXPECT_NE(cut.err.find("--thresholds is given without --reference"), std::string::npos);
  EXPECT_EQ(alone({"--group-by", "scanner"}).exit_code, 2);
}

TEST_F(EvalAssociations, CalibratesOnValidationParticipants) {
  ASSERT_EQ(eval({"--splits", "splits.tsv"}).exit_code, 0);
  const core::Table before = core::Table::read(folder_ / "out" / "metrics.tsv");
  const double raw = before.number(row_of(before, "icc2", "m"), "estimate");
  const CommandResult result =
      eval({"--splits", "splits.tsv", "--calibrate-on", "validation", "--force"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table table = out("calibration");
  ASSERT_EQ(table.rows(), 1u);
  EXPECT_LT(table.number(0, "slope"), 0);
  EXPECT_EQ(table.cell(0, "n"), "60");
  const core::Table metrics = core::Table::read(folder_ / "out" / "metrics.tsv");
  EXPECT_LT(raw, 0.1);
  EXPECT_GT(metrics.number(row_of(metrics, "icc2", "m"), "estimate"), 0.9);
  const CommandResult kept = eval({"--splits", "splits.tsv", "--calibrate-on", "validation",
                                   "--keep-sign", "--allow-missing", "--force"});
  ASSERT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_NE(out("calibration").cell(0, "note").find("not allowed"), std::string::npos);
}

TEST_F(EvalAssociations, ComparesScanners) {
  const CommandResult result =
      eval({"--participants", "participants.tsv", "--heterogeneity", "scanner"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table metrics = core::Table::read(folder_ / "out" / "metrics.tsv");
  const std::size_t q = row_of(metrics, "heterogeneity_q", "m");
  EXPECT_EQ(metrics.cell(q, "parameter"), "by=scanner");
  EXPECT_EQ(metrics.cell(q, "df1"), "1");
  EXPECT_NO_THROW(row_of(metrics, "pearson_without", "m"));
}

TEST_F(EvalAssociations, ComparesDetectionsWithTruth) {
  const CommandResult result =
      eval({"--detections", "found.tsv", "--truth", "truth.tsv", "--radius-mm", "2",
            "--detection-weight", "0.5", "--detection-scorer", "net", "--fp-rates", "0,1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table metrics = core::Table::read(folder_ / "out" / "metrics.tsv");
  const std::size_t precision = row_of(metrics, "detection_precision", "net");
  EXPECT_EQ(metrics.number(precision, "estimate"), 1.0);
  EXPECT_EQ(metrics.cell(precision, "parameter"), "radius_mm=2;weight>=0.5");
  const double sensitivity =
      metrics.number(row_of(metrics, "detection_sensitivity", "net"), "estimate");
  EXPECT_GT(sensitivity, 0.7);
  EXPECT_LT(sensitivity, 1.0);
  EXPECT_EQ(out("froc").rows(), 2u);
  EXPECT_NEAR(out("froc").number(1, "fps_per_scan"), 0.5, 1e-12);
  EXPECT_GT(out("matched_points").rows(), 60u);
}

TEST_F(EvalAssociations, DetectionsAreDividedIntoGroups) {
  const std::vector<std::string> detections = {"--detections", "found.tsv",   "--truth",
                                               "truth.tsv",    "--radius-mm", "2"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), detections.begin(), detections.end());
    return more;
  };
  ASSERT_EQ(eval(with({"--participants", "participants.tsv", "--group-by", "scanner"})).exit_code,
            0);
  // The points of the scans of two groups are those of all scans.
  const core::Table froc = out("froc");
  std::map<std::string, std::vector<long long>> last;
  for (std::size_t row = 0; row < froc.rows(); ++row) {
    last[froc.cell(row, "group")] = {froc.integer(row, "hits"), froc.integer(row, "truths"),
                                     froc.integer(row, "scans")};
  }
  ASSERT_EQ(last.size(), 3u);
  std::vector<long long> sum(3, 0);
  for (const auto& [group, numbers] : last) {
    for (std::size_t i = 0; group != "all" && i < 3; ++i) sum[i] += numbers[i];
  }
  EXPECT_EQ(sum, last["all"]);
  refused(with({"--group-by", "fold", "--force"}), {"--detections cannot be grouped by fold"});
  refused({"--rescan", "--group-by", "session_id", "--force"},
          {"--rescan cannot be grouped by session_id"});
}

TEST_F(EvalAssociations, MeasuresRepeatability) {
  std::string visual = "participant_id\tsession_id\trater1\n";
  std::string method = "participant_id\tsession_id\tm\n";
  for (int i = 0; i < 20; ++i) {
    for (int session = 1; session <= 3; ++session) {
      visual += fmt::format("p{}\tses-{}\t{}\n", i, session, i + (i * session) % 3);
      method += fmt::format("p{}\tses-{}\t{}\n", i, session, i + 0.5 * session);
    }
  }
  core::write_text(folder_ / "visual.tsv", visual);
  core::write_text(folder_ / "m.tsv", method);
  refused({"--rescan"}, {"p0 has 3 sessions (ses-1, ses-2, ses-3)"}, 3);
  const CommandResult result = eval({"--rescan", "--rescan-sessions", "ses-1,ses-3", "--force"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table metrics = core::Table::read(folder_ / "out" / "metrics.tsv");
  const std::size_t sw = row_of(metrics, "within_subject_sd", "m");
  EXPECT_NEAR(metrics.number(sw, "estimate"), std::sqrt(0.5), 1e-12);
  EXPECT_EQ(metrics.cell(sw, "parameter"), "sessions=ses-1,ses-3");
}

TEST_F(EvalAssociations, AnswersImplants) {
  std::string visual = "participant_id\tsession_id\trater1\n";
  std::string method = "participant_id\tsession_id\tm\n";
  for (int i = 0; i < 12; ++i) {
    for (const int k : {0, 5, 10, 15}) {
      visual += fmt::format("p{}\tses-k{:02d}\t{}\n", i, k, k);
      method += fmt::format("p{}\tses-k{:02d}\t{}\n", i, k, i + 0.75 * k + (k > 0 ? 1 : 0));
    }
  }
  core::write_text(folder_ / "visual.tsv", visual);
  core::write_text(folder_ / "m.tsv", method);
  std::string people = "participant_id\tscanner\n";
  for (int i = 0; i < 12; ++i) people += fmt::format("p{}\t{}\n", i, i < 5 ? "ge" : "philips");
  core::write_text(folder_ / "participants.tsv", people);
  const CommandResult result = eval({"--implants", "--bootstrap", "500", "--participants",
                                     "participants.tsv", "--group-by", "scanner"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("implant_slope"), std::string::npos) << result.out;
  const core::Table metrics = core::Table::read(folder_ / "out" / "metrics.tsv");
  std::map<std::string, std::string> n;
  for (std::size_t row = 0; row < metrics.rows(); ++row) {
    if (metrics.cell(row, "metric") != "implant_slope") continue;
    EXPECT_NEAR(metrics.number(row, "estimate"), 0.75, 1e-12);
    n[metrics.cell(row, "group")] += metrics.cell(row, "n") + " ";
  }
  const std::map<std::string, std::string> expected = {
      {"all", "12 12 12 "}, {"scanner=ge", "5 5 5 "}, {"scanner=philips", "7 7 7 "}};
  EXPECT_EQ(n, expected);
  EXPECT_NEAR(metrics.number(row_of(metrics, "implant_intercept", "m"), "estimate"), 1, 1e-12);
  refused({"--implants", "--group-by", "session_id", "--force"},
          {"--implants cannot be grouped by session_id"});
  refused({"--implants", "--reference-at-most", "5", "--force"},
          {"--implants and --reference-at-most exclude each other"});
}

TEST_F(EvalAssociations, RefusesOptionsThatWouldDoNothing) {
  refused({"--model", "zip"}, {"--model is given without --associate"});
  refused({"--per", "5"}, {"--per is given without --associate"});
  refused({"--bin-width", "5"}, {"--bin-width is given without --means-by"});
  refused({"--rescan-sessions", "1,2"}, {"--rescan-sessions is given without --rescan"});
  refused({"--keep-sign"}, {"--keep-sign is given without --calibrate-on"});
  refused({"--calibrate-on", "validation"}, {"--calibrate-on is given without --splits"});
  refused({"--truth", "truth.tsv"}, {"--truth is given without --detections"});
  refused({"--detections", "found.tsv", "--truth", "truth.tsv"},
          {"--detections is given without --radius-mm"});
  refused({"--associate", "age"}, {"--associate is given without --participants"});
  refused({"--means-by", "age"}, {"--means-by is given without --participants"});
  refused({"--participants", "participants.tsv", "--associate", "aged"}, {"no column 'aged'"});
  refused({"--participants", "participants.tsv", "--associate", "age", "--model", "nb",
           "--zero-part", "age"},
          {"zero part"});
  refused({"--participants", "participants.tsv", "--associate", "age", "--rounding", "refuse"},
          {"a whole number"}, 3);
  refused({"--detections", "none.tsv", "--truth", "truth.tsv", "--radius-mm", "2"}, {"none.tsv"},
          3);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "metrics.tsv"));
}

}  // namespace
}  // namespace epvs
