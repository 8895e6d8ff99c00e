#include "eval/reliability_tables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "eval/agreement.h"
#include "eval/reliability.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_error;

/// `people` participants named by `prefix`, each in `sessions` sessions; region "bg".
Dataset dataset(const std::string& prefix, std::size_t people, int sessions, std::uint64_t seed) {
  core::Random random(seed);
  Dataset data;
  data.scorers = {"visual", "raw"};
  data.values.resize(2);
  for (std::size_t i = 0; i < people; ++i) {
    const double truth = random.normal(10, 4);
    for (int session = 1; session <= sessions; ++session) {
      data.units.push_back(
          {prefix + std::to_string(i), sessions > 1 ? std::to_string(session) : "", "bg", "", ""});
      data.values[0].push_back(truth + random.normal());
      data.values[1].push_back(300 - 20 * truth + random.normal(0, 30));
    }
  }
  return data;
}

const MetricRow& find(const std::vector<MetricRow>& rows, const std::string& scorer,
                      const std::string& group, const std::string& metric) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const MetricRow& row) {
    return row.scorer == scorer && row.group == group && row.metric == metric;
  });
  if (found == rows.end()) throw std::runtime_error("no row " + scorer + " " + metric);
  return *found;
}

TEST(RescanRows, CompareAScorerWithItself) {
  Dataset data = dataset("p", 12, 2, 1);
  data.values[1][1] = std::nan("");
  const auto rows = rescan_rows(data, {});
  ASSERT_EQ(rows.size(), 18u);
  std::vector<double> first, second;
  for (std::size_t i = 0; i < 24; i += 2) {
    first.push_back(data.values[0][i]);
    second.push_back(data.values[0][i + 1]);
  }
  const MetricRow& icc2 = find(rows, "visual", "all", "rescan_icc2");
  EXPECT_EQ(icc2.value.estimate, icc(first, second)[1].estimate);
  EXPECT_EQ(icc2.reference, "visual");
  EXPECT_EQ(icc2.parameter, "sessions=both");
  EXPECT_EQ(icc2.n, 12u);
  const MetricRow& sw = find(rows, "raw", "all", "within_subject_sd");
  EXPECT_EQ(sw.n, 11u);
  EXPECT_EQ(sw.value.note, "1 participants without a pair");
  EXPECT_NEAR(find(rows, "raw", "all", "repeatability_coefficient").value.estimate,
              1.96 * std::sqrt(2) * sw.value.estimate, 1e-12);
  RescanOptions chosen;
  chosen.first_session = "2";
  chosen.second_session = "1";
  const auto turned = rescan_rows(data, chosen);
  EXPECT_NEAR(find(turned, "visual", "all", "rescan_bias").value.estimate,
              -find(rows, "visual", "all", "rescan_bias").value.estimate, 1e-12);
  EXPECT_EQ(turned[0].parameter, "sessions=2,1");
  expect_error<core::InputError>([] { rescan_rows(dataset("p", 5, 1, 1), {}); },
                                 {"the joined scores has no session_id column"});
}

TEST(RescanRows, AGroupGivesTheNumbersOfItsParticipantsAlone) {
  Dataset data = dataset("p", 20, 2, 4);
  core::Table participants({"participant_id", "scanner"});
  Dataset only_b;
  only_b.scorers = data.scorers;
  only_b.values.resize(2);
  for (std::size_t i = 0; i < 20; ++i) {
    participants.add_row({"p" + std::to_string(i), i % 3 == 0 ? "b" : "a"});
    for (std::size_t unit = 2 * i; i % 3 == 0 && unit < 2 * i + 2; ++unit) {
      only_b.units.push_back(data.units[unit]);
      for (std::size_t s = 0; s < 2; ++s) only_b.values[s].push_back(data.values[s][unit]);
    }
  }
  const auto rows = rescan_rows(data, {}, 0.95, &participants, {"scanner"});
  ASSERT_EQ(rows.size(), 3 * 18u);
  const auto alone = rescan_rows(only_b, {});
  for (const MetricRow& row : alone) {
    const MetricRow& grouped = find(rows, row.scorer, "scanner=b", row.metric);
    EXPECT_EQ(grouped.value.estimate, row.value.estimate) << row.metric;
    EXPECT_EQ(grouped.n, 7u);
  }
  EXPECT_EQ(find(rows, "raw", "all", "rescan_icc1").value.estimate,
            find(rescan_rows(data, {}), "raw", "all", "rescan_icc1").value.estimate);
  expect_error<core::UsageError>(
      [&] { rescan_rows(data, {}, 0.95, &participants, {"scanner:session_id"}); },
      {"cannot be grouped by session_id"});
  expect_error<core::UsageError>([&] { rescan_rows(data, {}, 0.95, &participants, {"scaner"}); },
                                 {"'scaner'", "did you mean 'scanner'"});
}

TEST(HeterogeneityRows, PoolGroupsAndLeaveEachOut) {
  const Dataset data = dataset("p", 60, 1, 2);
  core::Table participants({"participant_id", "scanner", "name"});
  for (std::size_t i = 0; i < 60; ++i) {
    participants.add_row({"p" + std::to_string(i),
                          i < 3        ? "rare"
                          : i % 2 == 0 ? "x"
                                       : "y",
                          "person" + std::to_string(i)});
  }
  const auto rows = heterogeneity_rows(data, &participants, "scanner");
  const MetricRow& q = find(rows, "raw", "all", "heterogeneity_q");
  EXPECT_EQ(q.value.df1, 1);
  EXPECT_EQ(q.n, 57u);
  EXPECT_EQ(q.parameter, "by=scanner");
  EXPECT_EQ(q.value.note, "left out rare: n = 3, needs at least 4");
  EXPECT_LT(find(rows, "raw", "all", "pearson_random").value.ci_low,
            find(rows, "raw", "all", "pearson_random").value.ci_high);
  const MetricRow& without = find(rows, "raw", "scanner!=x", "pearson_without");
  EXPECT_LT(without.n, 40u);
  const MetricRow& icc2 = find(rows, "raw", "scanner!=rare", "icc2_without");
  EXPECT_EQ(icc2.n, 57u);
  std::vector<double> x(data.values[0].begin() + 3, data.values[0].end());
  std::vector<double> y(data.values[1].begin() + 3, data.values[1].end());
  EXPECT_NEAR(icc2.value.estimate, icc(x, y)[1].estimate, 1e-12);
  EXPECT_NEAR(find(rows, "raw", "scanner!=rare", "icc2_without_difference").value.estimate,
              icc(x, y)[1].estimate - icc(data.values[0], data.values[1])[1].estimate, 1e-12);
  EXPECT_NO_THROW(find(rows, "raw", "scanner!=y", "mae_without"));
  expect_error<core::UsageError>([&] { heterogeneity_rows(data, &participants, "scaner"); },
                                 {"no column 'scaner'", "scanner"});
  const Dataset many = dataset("q", 120, 1, 3);
  core::Table names({"participant_id", "name"});
  for (std::size_t i = 0; i < 120; ++i) {
    names.add_row({"q" + std::to_string(i), "person" + std::to_string(i)});
  }
  expect_error<core::UsageError>([&] { heterogeneity_rows(many, &names, "name"); },
                                 {"'name': more than 100 different values"});
}

TEST(CalibrateDataset, LearnsOnValidationAndAppliesToTest) {
  const Dataset validation = dataset("v", 40, 1, 4);
  Dataset test = dataset("t", 40, 1, 5);
  const Dataset before = test;
  const core::Table table = calibrate_dataset(validation, test, {}, {});
  ASSERT_EQ(table.rows(), 1u);
  EXPECT_EQ(table.cell(0, "scorer"), "raw");
  EXPECT_EQ(table.cell(0, "target"), "icc2");
  EXPECT_EQ(table.cell(0, "sign_flipped"), "yes");
  const double intercept = table.number(0, "intercept");
  const double slope = table.number(0, "slope");
  EXPECT_LT(slope, 0);
  for (std::size_t i = 0; i < test.units.size(); ++i) {
    EXPECT_EQ(test.values[1][i], intercept + slope * before.values[1][i]);
    EXPECT_EQ(test.values[0][i], before.values[0][i]);
  }
  EXPECT_LT(icc(before.values[0], before.values[1])[1].estimate, 0.1);
  EXPECT_GT(icc(test.values[0], test.values[1])[1].estimate, 0.7);
  EXPECT_EQ(table.number(0, "icc_before"),
            icc(validation.values[0], validation.values[1])[1].estimate);
}

TEST(CalibrateDataset, RefusesLeaksAndMissingValidation) {
  const Dataset validation = dataset("v", 10, 1, 4);
  Dataset test = dataset("t", 10, 1, 5);
  Dataset leak = test;
  leak.units[3].participant_id = "v7";
  expect_error<core::InputError>([&] { calibrate_dataset(validation, leak, {}, {}); },
                                 {"v7 is among the calibration and the test"});
  Dataset other = test;
  for (auto& unit : other.units) unit.region = "cso";
  expect_error<core::InputError>(
      [&] { calibrate_dataset(validation, other, {"raw"}, {}); },
      {"no calibration participant has both visual and raw in region cso"});
  Dataset flat = validation;
  flat.values[1].assign(flat.values[1].size(), 3.0);
  const core::Table table = calibrate_dataset(flat, test, {"raw"}, {});
  EXPECT_EQ(table.cell(0, "note"), "the scores are constant");
  EXPECT_EQ(table.cell(0, "slope"), "n/a");
  EXPECT_TRUE(std::isnan(test.values[1][0]));
}

}  // namespace
}  // namespace epvs::eval
