#include "eval/implants.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "association_golden.h"
#include "core/error.h"
#include "core/text.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_relative;
using tests::expected;

std::vector<ImplantSeries> series_of(const tests::GoldenCase& golden) {
  std::map<double, ImplantSeries> series;
  for (std::size_t i = 0; i < golden.columns.at("added").size(); ++i) {
    ImplantSeries& one = series[golden.columns.at("series")[i]];
    one.participant_id = core::format_number(golden.columns.at("participant")[i]);
    one.added.push_back(golden.columns.at("added")[i]);
    one.score.push_back(golden.columns.at("score")[i]);
  }
  std::vector<ImplantSeries> list;
  for (const auto& [number, one] : series) list.push_back(one);
  return list;
}

TEST(Implants, EqualScipy) {
  const auto cases = tests::read_golden_cases("implants");
  ASSERT_EQ(cases.size(), 4U);
  for (const auto& [name, golden] : cases) {
    const auto estimates = ImplantStatistics(series_of(golden)).estimates(0.95);
    const std::array<const char*, 3> names = {"slope", "intercept", "pearson"};
    for (std::size_t m = 0; m < 3; ++m) {
      const std::string metric = names[m];
      const std::string what = name + " " + metric;
      expect_relative(estimates[m].estimate, expected(golden, metric), 1e-12, 1e-3, what);
      expect_relative(estimates[m].ci_low, expected(golden, metric + "_low"), 1e-10, 1e-3, what);
      expect_relative(estimates[m].ci_high, expected(golden, metric + "_high"), 1e-10, 1e-3, what);
      EXPECT_EQ(estimates[m].ci_method, m == 2 ? "fisher" : "t") << what;
    }
  }
}

TEST(Implants, ResamplesEqualScipy) {
  const auto cases = tests::read_golden_cases("implants");
  const auto draws = core::Table::read(tests::golden("eval/implants_resamples.tsv"));
  ASSERT_EQ(draws.rows(), 80U);
  for (std::size_t row = 0; row < draws.rows(); ++row) {
    const ImplantStatistics statistics(series_of(cases.at(draws.cell(row, "case"))));
    std::vector<double> weights(statistics.participants().size());
    for (const std::string& person : core::split(draws.cell(row, "drawn"), ' ')) {
      weights.at(std::stoul(person)) += 1;
    }
    const auto values = statistics.evaluate(weights);
    expect_relative(values[0], draws.number(row, "slope"), 1e-12, 1e-3, draws.where(row));
    expect_relative(values[1], draws.number(row, "intercept"), 1e-12, 1e-3, draws.where(row));
    expect_relative(values[2], draws.number(row, "pearson"), 1e-12, 1e-3, draws.where(row));
  }
}

Dataset dataset(const std::string& text) {
  const auto table = core::ScoresTable::from_table(core::Table::parse(text, "scores.tsv"));
  JoinOptions options;
  options.reference = "true_count";
  return join({table}, options);
}

const std::string kHeader = "participant_id\tsession_id\tregion\ttrue_count\tnet\n";

/// A scorer that counts what is added, whatever the scan held before: slope 1, intercept 0, r 1; and
/// both scans of one person make one participant.
TEST(Implants, ACountingScorerHasSlopeOne) {
  std::string text = kHeader;
  const std::map<std::string, double> before = {
      {"a\tses-1", 3.5}, {"a\tses-2", 20}, {"b\tses-", 0}};
  for (const auto& [scan, score] : before) {
    for (const int k : {0, 5, 10}) {
      text += fmt::format("{}k{:02d}\tbg\t{}\t{}\n", scan, k, k, score + k);
    }
  }
  EvaluationOptions options;
  options.resampling.bootstrap = 200;
  const auto rows = implant_rows(dataset(text), nullptr, {}, options);
  ASSERT_EQ(rows.size(), 9U);  // three metrics, three intervals each
  for (const MetricRow& row : rows) {
    EXPECT_EQ(row.n, 2U);
    EXPECT_EQ(row.reference + row.scorer + row.region + row.group, "true_countnetbgall");
    EXPECT_NEAR(row.value.estimate, row.metric == "implant_intercept" ? 0 : 1, 1e-12) << row.metric;
  }
  EXPECT_NEAR(rows[0].value.ci_low, 1, 1e-12);
  EXPECT_EQ(rows[2].value.ci_method, "percentile");
}

TEST(Implants, SayWhatHasNoAnswer) {
  const auto rows_of = [](const std::string& text) {
    return implant_rows(dataset(kHeader + text), nullptr, {}, {});
  };
  auto rows = rows_of("a\tses-k00\tbg\t0\t1\na\tses-k05\tbg\t5\t4\n");
  EXPECT_TRUE(std::isnan(rows[0].value.estimate));
  EXPECT_EQ(rows[0].n, 0U);
  EXPECT_EQ(rows[0].value.note, "no scan has two different numbers of implants beside k00");
  rows = rows_of("a\tses-k00\tbg\t0\t2\na\tses-k05\tbg\t5\t2\na\tses-k10\tbg\t10\t2\n");
  EXPECT_EQ(rows[0].value.estimate, 0);
  EXPECT_EQ(rows[0].value.note, "no interval: one participant");
  EXPECT_EQ(rows[2].value.note, "the scores do not vary within scans");
  rows = rows_of(
      "a\tses-k00\tbg\t0\t2\na\tses-k05\tbg\t5\t3\na\tses-k10\tbg\t10\t4\n"
      "b\tses-k00\tbg\t0\t2\nb\tses-k05\tbg\t3\t3\nb\tses-k10\tbg\t3\t4\n");
  EXPECT_EQ(rows[0].n, 1U);
  EXPECT_EQ(
      rows[0].value.note,
      "no interval: one participant; left out 1 scans with fewer than two numbers of implants");
}

TEST(Implants, RefuseOtherSessions) {
  const auto refused = [](const std::string& text, const std::string& message) {
    tests::expect_error<core::InputError>(
        [&] { implant_rows(dataset(kHeader + text), nullptr, {}, {}); }, {message});
  };
  refused("a\tses-1\tbg\t0\t1\n", "a ses-1 bg: the session does not end in k and a number");
  refused("a\tses-k\tbg\t0\t1\n", "a ses-k bg: the session does not end in k and a number");
  refused("a\tses-k05\tbg\t5\t1\na\tses-k10\tbg\t10\t1\n",
          "a ses-k05 bg: no session k00 of the same scan");
  refused("a\tses-k00\tbg\t2\t1\n", "the reference true_count is 2 where nothing was added");
}

}  // namespace
}  // namespace epvs::eval
