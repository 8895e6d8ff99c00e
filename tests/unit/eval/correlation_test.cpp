#include "eval/correlation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "eval/agreement.h"
#include "eval/statistics.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using Column = std::vector<double>;

TEST(Pearson, SaysWhyItDoesNotExist) {
  EXPECT_EQ(pearson(Column{1, 2}, Column{2, 3}).note, "n = 2, at least 3 are needed");
  EXPECT_EQ(pearson(Column{}, Column{}).note, "n = 0, at least 3 are needed");
  EXPECT_EQ(pearson(Column{1, 2, 3}, Column{4, 4, 4}).note, "the scorer is constant");
  EXPECT_EQ(pearson(Column{4, 4, 4}, Column{1, 2, 3}).note, "the reference is constant");
  EXPECT_EQ(spearman(Column{1, 1, 1}, Column{4, 4, 4}).note, "reference and scorer are constant");
  EXPECT_TRUE(std::isnan(pearson(Column{1, 2, 3}, Column{4, 4, 4}).estimate));
}

TEST(Pearson, ConstantIsConstantEvenWhereRoundingWouldSayOtherwise) {
  const Column constant(7, 0.1 + 0.2);
  EXPECT_EQ(pearson(Column{1, 2, 3, 4, 5, 6, 7}, constant).note, "the scorer is constant");
}

TEST(Pearson, PerfectLineHasNoDoubt) {
  const Estimate r = pearson(Column{1, 2, 3, 4}, Column{3, 5, 7, 9});
  EXPECT_EQ(r.estimate, 1);
  EXPECT_EQ(r.p, 0);
  EXPECT_EQ(r.ci_low, 1);
  EXPECT_EQ(pearson(Column{1, 2, 3, 4}, Column{9, 7, 5, 3}).estimate, -1);
}

TEST(Pearson, IsInvariantUnderPositiveLinearMaps) {
  core::Random random(4);
  Column x, y, u;
  for (int i = 0; i < 30; ++i) {
    x.push_back(random.normal());
    y.push_back(x.back() + random.normal());
    u.push_back(1e9 + 1024 * x.back());
  }
  EXPECT_NEAR(pearson(u, y).estimate, pearson(x, y).estimate, 1e-9);
  EXPECT_DOUBLE_EQ(pearson(x, y).estimate, pearson(y, x).estimate);
}

TEST(Spearman, IsInvariantUnderMonotoneMaps) {
  const Column x = {3, 1, 4, 1, 5, 9, 2, 6};
  Column y = {2, 7, 1, 8, 2, 8, 1, 8};
  const double before = spearman(x, y).estimate;
  for (double& value : y) value = std::exp(value);
  EXPECT_DOUBLE_EQ(spearman(x, y).estimate, before);
}

TEST(Spearman, MidRanksShareTheMean) {
  EXPECT_EQ(mid_ranks(Column{5, 1, 5, 0, 5}), (Column{4, 2, 4, 1, 4}));
}

TEST(Spearman, ExactProbabilitiesOfThreePairs) {
  // The six permutations have S = 0, 2, 2, 6, 6, 8.
  EXPECT_DOUBLE_EQ(spearman_s_probability(8, 3, false), 1.0 / 6);
  EXPECT_DOUBLE_EQ(spearman_s_probability(6, 3, false), 3.0 / 6);
  EXPECT_DOUBLE_EQ(spearman_s_probability(2, 3, true), 1.0 / 6);
  EXPECT_EQ(spearman_s_probability(0, 3, false), 1);
  EXPECT_EQ(spearman_s_probability(9, 3, false), 0);
  EXPECT_EQ(spearman_s_probability(9, 3, true), 1);
}

TEST(Agreement, ErrorsOfKnownDifferences) {
  const AgreementEstimates e = agreement(Column{1, 2, 3, 4}, Column{2, 1, 5, 4});
  EXPECT_DOUBLE_EQ(e.mse.estimate, 1.5);
  EXPECT_DOUBLE_EQ(e.rmse.estimate, std::sqrt(1.5));
  EXPECT_DOUBLE_EQ(e.mae.estimate, 1);
  EXPECT_DOUBLE_EQ(e.median_ae.estimate, 1);
  EXPECT_DOUBLE_EQ(e.bias.estimate, .5);  // scorer minus reference
  EXPECT_LT(e.loa_low.estimate, e.bias.estimate);
  EXPECT_EQ(e.median_ae.note, "no interval: n = 4 is too few for the median");
}

TEST(Agreement, SaysWhyItDoesNotExist) {
  EXPECT_EQ(agreement(Column{}, Column{}).mae.note, "n = 0");
  EXPECT_EQ(agreement(Column{1, 2}, Column{2, 2}).mae.note,
            "no interval: n = 2, at least 3 are needed");
  EXPECT_EQ(agreement(Column{1, 2}, Column{2, 2}).loa_low.note, "n = 2, at least 3 are needed");
  EXPECT_EQ(agreement(Column{1, 2, 3}, Column{1, 2, 3}).bias.note,
            "no test: all differences are 0");
  EXPECT_EQ(concordance(Column{2, 2, 2}, Column{2, 2, 2}).note,
            "reference and scorer are one constant");
  EXPECT_EQ(concordance(Column{2, 2, 2}, Column{1, 2, 3}).note, "no interval: a constant scorer");
  EXPECT_EQ(concordance(Column{1, 2, 3}, Column{1, 2, 3}).note,
            "no interval: complete concordance");
}

TEST(Concordance, IsOneOnlyOnTheDiagonal) {
  EXPECT_DOUBLE_EQ(concordance(Column{1, 2, 3}, Column{1, 2, 3}).estimate, 1);
  // Correlation 1, mean difference 1, population variance 2/3: 2 (2/3) / (4/3 + 1).
  EXPECT_DOUBLE_EQ(concordance(Column{1, 2, 3}, Column{2, 3, 4}).estimate, 4.0 / 7);
}

TEST(Multiplicity, MissingTestsDoNotCount) {
  const std::vector<double> p = {.01, NAN, .02};
  const auto adjusted = adjust(p, Adjustment::kBonferroni);
  EXPECT_DOUBLE_EQ(adjusted[0], .02);
  EXPECT_TRUE(std::isnan(adjusted[1]));
  EXPECT_DOUBLE_EQ(adjust(p, Adjustment::kNone)[2], .02);
}

TEST(Multiplicity, UnknownNameIsRefused) {
  tests::expect_error<core::UsageError>(
      [] { core::from_text<Adjustment>("bonferoni", "--adjust"); },
      {"bonferoni", "did you mean 'bonferroni'"});
}

}  // namespace
}  // namespace epvs::eval
