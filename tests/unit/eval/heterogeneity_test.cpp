#include "eval/reliability.h"

#include <gtest/gtest.h>

#include <cmath>

#include "association_golden.h"
#include "core/error.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_relative;
using tests::expected;

TEST(Heterogeneity, EqualsTheTextbookFormulasInR) {
  const auto cases = tests::read_golden_cases("association_groups");
  ASSERT_GE(cases.size(), 20u);
  int with_variance = 0;
  for (const auto& [name, golden] : cases) {
    std::vector<GroupCorrelation> groups;
    for (std::size_t i = 0; i < golden.columns.at("n").size(); ++i) {
      groups.push_back({std::to_string(i), static_cast<std::size_t>(golden.columns.at("n")[i]),
                        golden.columns.at("r")[i]});
    }
    const CorrelationHeterogeneity result = correlation_heterogeneity(groups);
    const auto check = [&, &n = name, &g = golden](const std::string& quantity, double actual) {
      expect_relative(actual, expected(g, quantity), 1e-8, 1e-6, n + " " + quantity);
    };
    check("q", result.q);
    check("p", result.p);
    check("tau2", result.tau2);
    check("i2", result.i2);
    check("fixed_r", result.fixed.r);
    check("fixed_low", result.fixed.ci_low);
    check("fixed_high", result.fixed.ci_high);
    check("random_r", result.random.r);
    check("random_low", result.random.ci_low);
    check("random_high", result.random.ci_high);
    check("random_se_z", result.random.se_z);
    if (golden.expected.contains("i2_low")) {
      check("i2_low", result.i2_low);
      check("i2_high", result.i2_high);
    }
    with_variance += result.tau2 > 0.0 ? 1 : 0;
    EXPECT_EQ(result.groups, groups.size());
  }
  EXPECT_GE(with_variance, 5);
}

TEST(Heterogeneity, EqualCorrelationsHaveNone) {
  const auto result = correlation_heterogeneity({{"a", 20, .5}, {"b", 30, .5}, {"c", 90, .5}});
  EXPECT_NEAR(result.q, 0.0, 1e-25);
  EXPECT_NEAR(result.p, 1.0, 1e-12);
  EXPECT_EQ(result.tau2, 0.0);
  EXPECT_EQ(result.i2, 0.0);
  EXPECT_NEAR(result.random.r, .5, 1e-14);
  EXPECT_NEAR(result.fixed.se_z, 1 / std::sqrt(17. + 27 + 87), 1e-15);
}

TEST(Heterogeneity, LeavesOutGroupsWithoutAFisherZ) {
  const auto result = correlation_heterogeneity({{"a", 20, .5},
                                                 {"small", 3, .9},
                                                 {"perfect", 10, 1.0},
                                                 {"flat", 10, std::nan("")},
                                                 {"b", 30, .1}});
  EXPECT_EQ(result.groups, 2u);
  EXPECT_EQ(result.n, 50u);
  ASSERT_EQ(result.left_out.size(), 3u);
  EXPECT_EQ(result.left_out[0], "small: n = 3, needs at least 4");
  EXPECT_EQ(result.left_out[1], "perfect: |r| = 1 has no Fisher z");
  EXPECT_EQ(result.left_out[2], "flat: no correlation");
  EXPECT_TRUE(std::isnan(result.i2_low));  // the interval of I2 needs three groups
}

TEST(Heterogeneity, OneGroupIsNotAvailableWithAReason) {
  const auto result = correlation_heterogeneity({{"a", 20, .5}, {"small", 3, .9}});
  EXPECT_TRUE(std::isnan(result.q));
  EXPECT_TRUE(std::isnan(result.random.r));
  EXPECT_EQ(result.note, "1 usable group, heterogeneity needs at least 2");
}

TEST(Heterogeneity, RefusesBadInput) {
  tests::expect_error<core::InputError>(
      [] {
        correlation_heterogeneity({{"a", 20, 1.5}, {"b", 20, .1}});
      },
      {"group 'a'", "1.5", "-1..1"});
  tests::expect_error<core::UsageError>([] { correlation_heterogeneity({}, 1.0); },
                                        {"confidence = 1", "between 0 and 1"});
}

TEST(LeaveOneGroupOut, LeavesEachGroupOutOnce) {
  const std::vector<std::string> labels = {"b", "a", "b", "c"};
  const std::vector<double> values = {1, 10, 3, 100};
  const auto table = leave_one_group_out(labels, [&](const std::vector<std::size_t>& rows) {
    double sum = 0;
    for (const std::size_t row : rows) sum += values[row];
    return sum;
  });
  ASSERT_EQ(table.size(), 3u);
  EXPECT_EQ(table[0].left_out_group, "b");
  EXPECT_EQ(table[0].n, 2u);
  EXPECT_EQ(table[0].estimate, 110);
  EXPECT_EQ(table[0].difference, -4);
  EXPECT_EQ(table[1].estimate, 104);
  EXPECT_EQ(table[2].difference, -100);
  const auto single = leave_one_group_out({"x", "x"}, [](const auto&) { return 1.0; });
  ASSERT_EQ(single.size(), 1u);
  EXPECT_TRUE(std::isnan(single[0].estimate));
}

}  // namespace
}  // namespace epvs::eval
