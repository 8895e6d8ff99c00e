#include "eval/detection_tables.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/error.h"
#include "core/files.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_error;

core::Table table(const std::string& text, const std::string& source) {
  return core::Table::parse(text, source);
}

const std::string kDetections =
    "participant_id\tregion\tx\ty\tz\tweight\n"
    "a\tbg\t0\t0\t0.5\t0.9\na\tbg\t20\t0\t0\t0.4\nb\tbg\t1\t1\t1\t0.8\n";
const std::string kTruth =
    "participant_id\tregion\tx\ty\tz\n"
    "a\tbg\t0\t0\t0\na\tcso\t5\t5\t5\nb\tbg\t1\t1\t9\n";

TEST(DetectionTables, ScansOfTheScoresTableCount) {
  const auto regions = detection_regions(
      table(kDetections, "d.tsv"), table(kTruth, "t.tsv"),
      {{"a", "", "bg", "", ""}, {"b", "", "bg", "", ""}, {"c", "", "bg", "", ""}});
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(regions[0].region, "bg");
  ASSERT_EQ(regions[0].scans.size(), 3u);
  EXPECT_EQ(regions[0].scans[0].detections.size(), 2u);
  EXPECT_EQ(regions[0].scans[0].weights[1], 0.4);
  EXPECT_TRUE(regions[0].scans[2].truths.empty());
  DetectionOptions options;
  options.radius_mm = 2;
  options.threshold = 0.5;
  const DetectionSummary summary = evaluate_detections(regions[0].scans, options);
  const auto rows = detection_rows("bg", "sex=f", "net", summary, options);
  ASSERT_EQ(rows.size(), 12u);
  EXPECT_EQ(rows[0].metric, "detection_sensitivity");
  EXPECT_EQ(rows[0].parameter, "radius_mm=2;weight>=0.5");
  EXPECT_EQ(rows[0].value.estimate, 0.5);
  EXPECT_EQ(rows[0].reference, "truth");
  EXPECT_EQ(rows[0].group, "sex=f");
  EXPECT_EQ(rows[0].n, 3u);
  EXPECT_NEAR(rows[3].value.estimate, 1.0 / 3.0, 1e-15);
  EXPECT_EQ(rows[4].parameter, "radius_mm=2;fps_per_scan<=0.125");
  EXPECT_EQ(rows[11].metric, "froc_mean");
  core::Table froc = froc_table();
  add_froc(froc, "bg", "sex=f", "net", summary);
  ASSERT_EQ(froc.rows(), 3u);
  EXPECT_EQ(froc.cell(0, "group"), "sex=f");
  EXPECT_EQ(froc.cell(0, "threshold"), "0.9");
  EXPECT_EQ(froc.integer(2, "false_positives"), 2);
  EXPECT_EQ(froc.integer(2, "scans"), 3);
}

TEST(DetectionTables, FolderOfInferIsReadAsOneTable) {
  const tests::TemporaryFolder folder;
  const std::string header = "participant_id\tregion\tx\ty\tz\tweight\n";
  core::write_text(folder / "sub-02_label-bg_desc-detections_epvs.tsv",
                   header + "sub-02\tbg\t1\t2\t3\t0.5\n");
  core::write_text(folder / "sub-01_label-bg_desc-detections_epvs.tsv", header);
  core::write_text(folder / "other.tsv", "a\n1\n");
  const core::Table all = read_detections(folder.path());
  EXPECT_EQ(all.rows(), 1U);
  EXPECT_EQ(all.cell(0, "participant_id"), "sub-02");
  core::write_text(folder / "sub-03_label-bg_desc-detections_epvs.tsv", "participant_id\tx\n");
  tests::expect_error<core::InputError>([&] { read_detections(folder.path()); },
                                        {"has other columns than"});
  const tests::TemporaryFolder empty;
  tests::expect_error<core::InputError>([&] { read_detections(empty.path()); },
                                        {"holds no", "epvs infer --detections"});
}

TEST(DetectionTables, EveryPointIsHitUnmatchedOrMissed) {
  const auto regions = detection_regions(
      table(kDetections, "d.tsv"), table(kTruth, "t.tsv"),
      {{"a", "", "bg", "", ""}, {"b", "", "bg", "", ""}, {"a", "", "cso", "", ""}});
  const core::Table points = matched_points_table(regions, 2.0);
  std::map<std::string, int> kinds;
  for (std::size_t row = 0; row < points.rows(); ++row) ++kinds[points.cell(row, "kind")];
  EXPECT_EQ(kinds["hit"], 1);
  EXPECT_EQ(kinds["unmatched"], 2);
  EXPECT_EQ(kinds["missed"], 2);
  EXPECT_EQ(points.cell(0, "kind"), "hit");
  EXPECT_EQ(points.number(0, "distance_mm"), 0.5);
  EXPECT_EQ(points.cell(1, "distance_mm"), "n/a");
}

TEST(DetectionTables, OnlyTheScansOfAnEvaluationCount) {
  const auto detections = table(kDetections, "d.tsv");
  const auto truth = table(kTruth, "t.tsv");
  const auto regions =
      detection_regions(detections, truth, {{"b", "", "bg", "", ""}, {"c", "", "bg", "", ""}});
  ASSERT_EQ(regions.size(), 1u);
  ASSERT_EQ(regions[0].scans.size(), 2u);
  EXPECT_EQ(regions[0].scans[0].participant_id, "b");
  EXPECT_EQ(regions[0].scans[0].truths.size(), 1u);
  EXPECT_TRUE(regions[0].scans[1].detections.empty());
  expect_error<core::InputError>(
      [&] {
        detection_regions(detections, truth, {{"b", "", "", "", ""}});
      },
      {"t.tsv has the column region, the scores have none"});
  expect_error<core::InputError>(
      [&] {
        detection_regions(detections, truth, {{"b", "1", "bg", "", ""}});
      },
      {"t.tsv has no column session_id, the scores have one"});
}

TEST(DetectionTables, AGroupHoldsTheScansOfItsUnits) {
  DetectionRegion region{"bg", {}};
  Dataset data;
  for (const char* participant : {"a", "b", "c"}) {
    for (const char* session : {"1", "2"}) {
      region.scans.push_back({participant, session, {}, {}, {}});
      data.units.push_back({participant, session, "bg", "", ""});
    }
  }
  const auto scans = scans_of_group(region, data, {5, 2});
  ASSERT_EQ(scans.size(), 2u);
  EXPECT_EQ(scans[0].participant_id + scans[0].session_id, "b1");
  EXPECT_EQ(scans[1].participant_id + scans[1].session_id, "c2");
  EXPECT_TRUE(scans_of_group(region, data, {}).empty());
}

TEST(DetectionTables, RefusesTablesThatDoNotFit) {
  const auto with = [](const std::string& detections, const std::string& truth) {
    return [=] {
      detection_regions(table(detections, "d.tsv"), table(truth, "t.tsv"),
                        {{"a", "", "bg", "", ""}});
    };
  };
  expect_error<core::InputError>(with(kDetections, "participant_id\tx\ty\tz\na\t0\t0\t0\n"),
                                 {"d.tsv has the column region, t.tsv has not"});
  const std::string sessions = "participant_id\tsession_id\tregion\tx\ty\tz\na\t1\tbg\t0\t0\t0\n";
  expect_error<core::InputError>(with(kDetections, sessions),
                                 {"t.tsv has the column session_id, d.tsv has not"});
  const std::string header = "participant_id\tregion\tx\ty\tz\tweight\n";
  expect_error<core::InputError>(with(header + "a\tbg\t0\tn/a\t0\t1\n", kTruth),
                                 {"d.tsv line 2", "y is missing"});
  expect_error<core::InputError>(with(header + "a\tbg\t0\t0\t0\tn/a\n", kTruth),
                                 {"weight is missing"});
  expect_error<core::InputError>(with(header + "n/a\tbg\t0\t0\t0\t1\n", kTruth),
                                 {"d.tsv line 2", "no participant_id"});
  expect_error<core::InputError>(with(kTruth, kTruth), {"weight"});
}

}  // namespace
}  // namespace epvs::eval
