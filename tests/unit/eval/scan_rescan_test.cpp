#include "eval/reliability.h"

#include <gtest/gtest.h>

#include <cmath>

#include "association_golden.h"
#include "core/error.h"
#include "core/random.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_relative;
using tests::expected;

core::ScoresTable scores(const std::string& text) {
  return core::ScoresTable::from_table(core::Table::parse(text, "scores.tsv"));
}

TEST(ScanRescan, AgreementEqualsR) {
  for (const auto& [name, golden] : tests::read_golden_cases("association_pairs")) {
    const auto result = rescan_agreement(golden.columns.at("x"), golden.columns.at("y"));
    const auto check = [&, &n = name, &g = golden](const std::string& quantity, double actual) {
      expect_relative(actual, expected(g, quantity), 1e-8, 1e-3, n + " " + quantity);
    };
    check("sw", result.within_subject_sd.estimate);
    check("sw_low", result.within_subject_sd.ci_low);
    check("sw_high", result.within_subject_sd.ci_high);
    check("bias", result.bias.estimate);
    check("bias_low", result.bias.ci_low);
    check("bias_high", result.bias.ci_high);
    check("bias_t", result.bias.statistic);
    check("bias_p", result.bias.p);
    check("icc1_before", result.icc[0].estimate);
    check("icc2_before", result.icc[1].estimate);
    const double factor = 1.96 * std::sqrt(2.0);
    EXPECT_DOUBLE_EQ(result.repeatability_coefficient.estimate,
                     factor * result.within_subject_sd.estimate);
    EXPECT_DOUBLE_EQ(result.repeatability_coefficient.ci_high,
                     factor * result.within_subject_sd.ci_high);
  }
}

TEST(ScanRescan, TheIntervalOfTheWithinSubjectSdCovers) {
  core::Random random(5);
  int covered = 0;
  constexpr int kRuns = 4000;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> first(23), second(23);
    for (std::size_t i = 0; i < first.size(); ++i) {
      const double truth = random.normal(10, 5);
      first[i] = truth + random.normal(0, 1.5);
      second[i] = truth + random.normal(0, 1.5);
    }
    const Estimate sw = rescan_agreement(first, second).within_subject_sd;
    covered += sw.ci_low <= 1.5 && 1.5 <= sw.ci_high ? 1 : 0;
  }
  EXPECT_GT(covered, 0.94 * kRuns);
  EXPECT_LT(covered, 0.96 * kRuns);
}

TEST(ScanRescan, EqualScansHaveNoSpread) {
  const std::vector<double> values = {1, 4, 9};
  const auto result = rescan_agreement(values, values);
  EXPECT_EQ(result.within_subject_sd.estimate, 0.0);
  EXPECT_EQ(result.bias.estimate, 0.0);
  EXPECT_TRUE(std::isnan(result.bias.p));
  EXPECT_EQ(result.bias.note, "all differences are equal: no test");
  EXPECT_EQ(result.icc[1].estimate, 1.0);
}

TEST(ScanRescan, TwoPairsAreTooFew) {
  const std::vector<double> values = {1, 4};
  const auto result = rescan_agreement(values, values);
  EXPECT_TRUE(std::isnan(result.within_subject_sd.estimate));
  EXPECT_EQ(result.repeatability_coefficient.note, "n = 2 pairs, needs at least 3");
  EXPECT_EQ(result.icc[0].note, "n = 2 pairs, needs at least 3");
  tests::expect_error<core::InputError>([&] { rescan_agreement(values, {}); },
                                        {"2 first and 0 second scans"});
}

TEST(ScanRescan, PairsSessionsInNaturalOrder) {
  const auto table = scores(
      "participant_id\tsession_id\tregion\tm\n"
      "a\tses-10\tbg\t5\na\tses-2\tbg\t3\nb\tses-2\tbg\t1\nc\tses-2\tbg\t7\nc\tses-10\tbg\tn/a\n"
      "a\tses-2\tcso\t50\nd\tses-02\tbg\t8\nd\tses-2\tbg\t9\n");
  const RescanPairs result = pair_sessions(table, "m", "bg");
  ASSERT_EQ(result.pairs.size(), 2u);
  EXPECT_EQ(result.pairs[0].participant_id, "a");
  EXPECT_EQ(result.pairs[0].first, 3);
  EXPECT_EQ(result.pairs[0].second, 5);
  EXPECT_EQ(result.pairs[1].first, 8);
  EXPECT_EQ(result.left_out, (std::vector<std::string>{"b", "c"}));
  RescanOptions chosen;
  chosen.first_session = "ses-10";
  chosen.second_session = "ses-2";
  const RescanPairs turned = pair_sessions(table, "m", "bg", chosen);
  ASSERT_EQ(turned.pairs.size(), 1u);
  EXPECT_EQ(turned.pairs[0].first, 5);
  EXPECT_EQ(turned.left_out, (std::vector<std::string>{"b", "c", "d"}));
}

TEST(ScanRescan, RefusesAmbiguousTables) {
  tests::expect_error<core::InputError>(
      [] { pair_sessions(scores("participant_id\tm\na\t1\n"), "m", ""); },
      {"scores.tsv has no session_id column"});
  const auto three = scores("participant_id\tsession_id\tm\na\t1\t1\na\t2\t1\na\t10\t1\n");
  tests::expect_error<core::InputError>([&] { pair_sessions(three, "m", ""); },
                                        {"a has 3 sessions (1, 2, 10)", "name the two sessions"});
  const auto folds = scores("participant_id\tsession_id\tfold\tm\na\t1\t0\t1\na\t1\t1\t1\n");
  tests::expect_error<core::InputError>([&] { pair_sessions(folds, "m", ""); },
                                        {"a has session '1' more than once", "one fold"});
  RescanOptions options;
  options.first_session = "1";
  tests::expect_error<core::UsageError>([&] { pair_sessions(three, "m", "", options); },
                                        {"'1' and ''", "two different"});
  options.second_session = "1";
  tests::expect_error<core::UsageError>([&] { pair_sessions(three, "m", "", options); },
                                        {"'1' and '1'"});
  options.second_session = "3";
  tests::expect_error<core::UsageError>([&] { pair_sessions(three, "m", "", options); },
                                        {"no scan of session '3'", "1, 2, 10"});
}

}  // namespace
}  // namespace epvs::eval
