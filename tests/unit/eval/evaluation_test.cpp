#include "eval/evaluation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "eval/correlation.h"
#include "eval/tables.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using core::InputError;
using core::UsageError;
using tests::expect_error;

/// Participants p0.., two regions, scorers ref, a, b; b is constant in region "r2".
Dataset dataset(std::size_t n) {
  Dataset data;
  data.scorers = {"ref", "a", "b"};
  data.values.resize(3);
  for (const std::string region : {"r1", "r2"}) {
    for (std::size_t i = 0; i < n; ++i) {
      data.units.push_back({"p" + std::to_string(i), "", region, "", ""});
      const double x = static_cast<double>((i * 7) % 11);
      data.values[0].push_back(x);
      data.values[1].push_back(x + static_cast<double>(i % 3));
      data.values[2].push_back(region == "r2" ? 4 : static_cast<double>((i * 5) % 7));
    }
  }
  return data;
}

core::Table participants(std::size_t n) {
  core::Table table({"participant_id", "scanner", "sex", "age"});
  for (std::size_t i = 0; i < n; ++i) {
    table.add_row({"p" + std::to_string(i), i % 4 == 0 ? "x" : "y", i % 2 == 0 ? "f" : "m",
                   std::to_string(50 + i)});
  }
  return table;
}

const MetricRow& find(const Evaluation& e, const std::string& region, const std::string& group,
                      const std::string& scorer, const std::string& metric) {
  for (const MetricRow& row : e.metrics) {
    if (row.region == region && row.group == group && row.reference == "ref" &&
        row.scorer == scorer && row.metric == metric) {
      return row;
    }
  }
  throw std::runtime_error("no such row: " + region + " " + group + " " + scorer + " " + metric);
}

TEST(Evaluate, GroupsHoldTheirOwnParticipants) {
  const Dataset data = dataset(20);
  const core::Table table = participants(20);
  const Evaluation e = evaluate(data, &table, {{"scanner", "scanner:sex"}, {}, {}}, {});
  EXPECT_EQ(find(e, "r1", "all", "a", "mae").n, 20u);
  EXPECT_EQ(find(e, "r1", "scanner=x", "a", "mae").n, 5u);
  EXPECT_EQ(find(e, "r1", "scanner=y", "a", "mae").n, 15u);
  EXPECT_EQ(find(e, "r1", "scanner=y;sex=m", "a", "mae").n, 10u);
  std::vector<double> x, y;
  for (std::size_t i = 0; i < 20; i += 4) {
    x.push_back(data.values[0][i]);
    y.push_back(data.values[1][i]);
  }
  EXPECT_EQ(find(e, "r1", "scanner=x", "a", "pearson").value.estimate, pearson(x, y).estimate);
}

TEST(Evaluate, ConstantScorerIsMissingWithAReason) {
  const Evaluation e = evaluate(dataset(20), nullptr, {}, {});
  const MetricRow& row = find(e, "r2", "all", "b", "pearson");
  EXPECT_TRUE(std::isnan(row.value.estimate));
  EXPECT_EQ(row.value.note, "the scorer is constant");
  EXPECT_FALSE(std::isnan(find(e, "r2", "all", "b", "mae").value.estimate));
  const core::Table table = metrics_table(e);
  EXPECT_NE(table.to_text().find("n/a\tthe scorer is constant"), std::string::npos);
}

TEST(Evaluate, SmallGroupsSayWhy) {
  EvaluationOptions options;
  options.minimum_n = 10;
  const core::Table table = participants(20);
  const Evaluation e = evaluate(dataset(20), &table, {{"scanner"}, {}, {}}, options);
  EXPECT_EQ(find(e, "r1", "scanner=x", "a", "pearson").value.note,
            "n = 5, below the minimum of 10");
  EXPECT_TRUE(std::isnan(find(e, "r1", "scanner=x", "a", "mae").value.estimate));
  EXPECT_FALSE(std::isnan(find(e, "r1", "scanner=y", "a", "mae").value.estimate));
}

TEST(Evaluate, LossOfUnitsIsReported) {
  Dataset data = dataset(20);
  data.values[1][3] = kNaN;
  const Evaluation e = evaluate(data, nullptr, {}, {});
  EXPECT_EQ(find(e, "r1", "all", "a", "mae").n, 19u);
  EXPECT_EQ(find(e, "r1", "all", "a", "mae").value.note, "1 of 20 units lack a score");
  EXPECT_EQ(find(e, "r1", "all", "b", "mae").n, 20u);
  EXPECT_EQ(e.comparisons.front().n, 19u);
}

TEST(Evaluate, SubsetByReference) {
  const Evaluation e = evaluate(dataset(22), nullptr, {{}, 5.0, 6.0}, {});
  EXPECT_EQ(find(e, "r1", "reference<=5", "a", "mae").n, 12u);
  EXPECT_EQ(find(e, "r1", "reference>=6", "a", "mae").n, 10u);
}

TEST(Evaluate, EveryPairOrOnlyTheReference) {
  EvaluationOptions options;
  const std::size_t all = evaluate(dataset(9), nullptr, {}, options).metrics.size();
  options.pairs = Pairs::kReference;
  EXPECT_EQ(all * 2, evaluate(dataset(9), nullptr, {}, options).metrics.size() * 3);
}

TEST(Evaluate, TogetherAddsJointCoefficients) {
  EvaluationOptions options;
  options.together = {"ref", "a", "b"};
  const Evaluation e = evaluate(dataset(9), nullptr, {}, options);
  const auto joint = std::count_if(e.metrics.begin(), e.metrics.end(),
                                   [](const MetricRow& r) { return r.scorer == "ref+a+b"; });
  EXPECT_EQ(joint, 12);  // six forms, two regions
  options.together = {"ref", "c"};
  expect_error<UsageError>([&] { evaluate(dataset(9), nullptr, {}, options); },
                           {"--together", "'c'"});
  options.together = {"ref"};
  expect_error<UsageError>([&] { options.validate(); }, {"two or more are needed"});
}

TEST(Evaluate, FamiliesAreNamedAndCounted) {
  EvaluationOptions options;
  options.adjustment = Adjustment::kBonferroni;
  options.family_by = {"test"};
  options.family_name = "table 2";
  const Evaluation e = evaluate(dataset(20), nullptr, {}, options);
  const ComparisonRow& row = e.comparisons.front();
  EXPECT_EQ(row.family, "table 2: test=williams (1 tests)");  // r2 has a constant scorer
  EXPECT_DOUBLE_EQ(row.p_adjusted, row.value.p);
  options.family_by = {"tset"};
  expect_error<UsageError>([&] { options.validate(); }, {"'tset'", "did you mean 'test'"});
}

TEST(Evaluate, ConfidenceMustBeAProbability) {
  EvaluationOptions options;
  options.confidence = 95;
  expect_error<UsageError>([&] { options.validate(); }, {"--confidence = 95", "< 1"});
}

TEST(Groups, WrongColumns) {
  const Dataset data = dataset(20);
  const core::Table table = participants(20);
  expect_error<UsageError>(
      [&] {
        make_groups(data, "r1", &table, {{"scaner"}, {}, {}});
      },
      {"'scaner'", "did you mean 'scanner'"});
  expect_error<UsageError>(
      [&] {
        make_groups(data, "r1", nullptr, {{"scanner"}, {}, {}});
      },
      {"needs a participants table"});
  const core::Table few = participants(19);
  expect_error<InputError>(
      [&] {
        make_groups(data, "r1", &few, {{"scanner"}, {}, {}});
      },
      {"has no row for p19"});
  core::Table twice = participants(20);
  twice.add_row({"p3", "x", "f", "60"});
  expect_error<InputError>(
      [&] {
        make_groups(data, "r1", &twice, {{"scanner"}, {}, {}});
      },
      {"p3 stands already on"});
  const Dataset many = dataset(kMaximumGroups + 1);
  const core::Table ages = participants(kMaximumGroups + 1);
  expect_error<UsageError>(
      [&] {
        make_groups(many, "r1", &ages, {{"age"}, {}, {}});
      },
      {"101 different values"});
}

TEST(Groups, RepeatsOfAParticipantAreNotPooled) {
  Dataset data = dataset(5);
  for (core::ScoreKey& key : data.units) key.repeat = "0";
  const Dataset again = dataset(5);
  for (std::size_t i = 0; i < again.units.size(); ++i) {
    data.units.push_back(again.units[i]);
    data.units.back().repeat = "1";
    for (std::size_t s = 0; s < 3; ++s) data.values[s].push_back(again.values[s][i]);
  }
  expect_error<InputError>([&] { make_groups(data, "r1", nullptr, {}); },
                           {"holds p0 r1 repeat 1 more than once", "--group-by repeat"});
  const auto groups = make_groups(data, "r1", nullptr, {{"repeat"}, {}, {}});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].name, "repeat=0");
  EXPECT_EQ(groups[0].units.size(), 5u);
}

}  // namespace
}  // namespace epvs::eval
