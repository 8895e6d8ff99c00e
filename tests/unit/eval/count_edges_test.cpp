// Count regression where it has no ordinary answer: edges, separation, tables that cannot be
// fitted.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "association_golden.h"
#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/count_regression.h"
#include "eval/regression_data.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

std::string all_notes(const CountFit& fit) {
  return core::join(fit.notes, "; ");
}

CountFit fit_simple(const std::vector<double>& y, const std::vector<double>& x, CountModel model) {
  const Design design = make_design(x.size(), {{"x", x}});
  return fit_counts(y, design, design, model);
}

constexpr auto kZinb = CountModel::kZeroInflatedNegativeBinomial;

TEST(CountEdges, UnderdispersedCountsFallBackToPoisson) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const std::vector<double> y = {2, 3, 3, 3, 4, 4, 4, 5, 5, 5};
  const CountFit nb = fit_simple(y, x, CountModel::kNegativeBinomial);
  const CountFit poisson = fit_simple(y, x, CountModel::kPoisson);
  EXPECT_EQ(nb.fitted, CountModel::kPoisson);
  EXPECT_EQ(nb.theta, std::numeric_limits<double>::infinity());
  EXPECT_EQ(nb.count[1].estimate, poisson.count[1].estimate);
  EXPECT_NE(all_notes(nb).find("theta tends to infinity"), std::string::npos) << all_notes(nb);
  const LikelihoodRatioTest test = likelihood_ratio_test(poisson, nb);
  EXPECT_EQ(test.statistic, 0);
  EXPECT_EQ(test.p, 1);
}

TEST(CountEdges, DispersionTestHalvesP) {
  core::Random random(4);
  std::vector<double> y, x;
  for (int i = 0; i < 60; ++i) {
    x.push_back(i);
    y.push_back(static_cast<double>(random.negative_binomial(5, 6)));
  }
  const CountFit nb = fit_simple(y, x, CountModel::kNegativeBinomial);
  const CountFit poisson = fit_simple(y, x, CountModel::kPoisson);
  const LikelihoodRatioTest test = likelihood_ratio_test(poisson, nb);
  ASSERT_GT(test.statistic, 0.0);
  // chi-squared with one degree of freedom: P(X > s) = erfc(sqrt(s / 2)).
  EXPECT_NEAR(test.p, 0.5 * std::erfc(std::sqrt(test.statistic / 2)), 1e-12);
  EXPECT_EQ(test.note, "p halved: the null lies on the edge");
}

TEST(CountEdges, NoZerosLeaveTheZeroPartUnidentified) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const std::vector<double> y = {1, 9, 2, 14, 3, 1, 22, 4, 17, 30};
  const CountFit fit = fit_simple(y, x, kZinb);
  const CountFit nb = fit_simple(y, x, CountModel::kNegativeBinomial);
  EXPECT_EQ(fit.fitted, CountModel::kNegativeBinomial);
  ASSERT_EQ(fit.zero.size(), 2u);
  EXPECT_TRUE(std::isnan(fit.zero[1].estimate));
  EXPECT_EQ(fit.zero[1].note, "no score is zero: not identified");
  EXPECT_EQ(fit.count[1].estimate, nb.count[1].estimate);
  EXPECT_NE(all_notes(fit).find("not identified"), std::string::npos);
}

TEST(CountEdges, GoldenTablesAtAnEdgeFallBack) {
  const auto cases = tests::read_golden_cases("count_regression");
  const auto fit_case = [&](const std::string& name, CountModel model) {
    const auto& c = cases.at(name).columns;
    const Design count = make_design(c.at("y").size(), {{"x1", c.at("x1")}, {"x2", c.at("x2")}});
    const Design zero = make_design(c.at("y").size(), {});
    return fit_counts(c.at("y"), count, zero, model);
  };
  EXPECT_EQ(fit_case("positive_only", kZinb).fitted, CountModel::kNegativeBinomial);
  const CountFit zip = fit_case("zip_like", kZinb);
  EXPECT_EQ(zip.fitted, CountModel::kZeroInflatedPoisson) << all_notes(zip);
  EXPECT_EQ(zip.theta, std::numeric_limits<double>::infinity());
}

TEST(CountEdges, PoissonDataWithFewZerosHaveNoInflation) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const std::vector<double> y = {1, 0, 2, 1, 3, 2, 2, 3, 1, 4, 3, 2};
  const Design count = make_design(12, {{"x", x}});
  const Design zero = make_design(12, {});
  const CountFit fit = fit_counts(y, count, zero, kZinb);
  EXPECT_EQ(fit.fitted, CountModel::kPoisson) << all_notes(fit);
  EXPECT_EQ(fit.zero[0].note, "no zero inflation: not identified");
  const CountFit poisson = fit_counts(y, count, zero, CountModel::kPoisson);
  EXPECT_EQ(fit.log_likelihood, poisson.log_likelihood);
}

TEST(CountEdges, AGroupOfZerosIsSeparation) {
  const std::vector<double> y = {3, 5, 2, 4, 6, 0, 0, 0, 4, 1};
  const std::vector<double> group = {0, 0, 0, 0, 0, 1, 1, 1, 0, 0};
  const CountFit fit = fit_simple(y, group, CountModel::kPoisson);
  EXPECT_NEAR(fit.count[0].estimate, std::log(25.0 / 7.0), 1e-6);
  EXPECT_NEAR(fit.count[0].se, 1 / std::sqrt(25.0), 1e-6);
  EXPECT_TRUE(std::isnan(fit.count[1].estimate));
  EXPECT_TRUE(std::isnan(fit.count[1].p));
  EXPECT_EQ(fit.count[1].note, "no finite estimate (tends to minus infinity): separation");
  EXPECT_TRUE(std::isnan(fit.covariance(1, 1)));
  EXPECT_TRUE(fit.converged);
}

TEST(CountEdges, SeparationInTheZeroPartSparesTheCountPart) {
  core::Random random(8);
  std::vector<double> y, x;
  for (int i = 0; i < 200; ++i) {
    x.push_back(i < 100 ? 0 : 1);
    // Structural zeros only in the second group; counts of the first are far from zero.
    const auto value = static_cast<double>(random.poisson(20));
    y.push_back(i >= 100 && random.flip(0.4) ? 0.0 : value);
  }
  const CountFit fit = fit_simple(y, x, CountModel::kZeroInflatedPoisson);
  EXPECT_EQ(fit.fitted, CountModel::kZeroInflatedPoisson) << all_notes(fit);
  EXPECT_TRUE(std::isnan(fit.zero[1].estimate));
  EXPECT_NE(fit.zero[1].note.find("tends to infinity"), std::string::npos) << fit.zero[1].note;
  EXPECT_NE(fit.zero[0].note.find("tends to minus infinity"), std::string::npos);
  EXPECT_NEAR(fit.count[0].estimate, std::log(20.0), 0.05);
  EXPECT_GT(fit.count[1].se, 0.0);
}

TEST(CountEdges, SaysWhyATableCannotBeFitted) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6};
  const std::vector<double> constant(6, 70.1);
  const std::vector<double> zeros(6, 0.0);
  const std::vector<double> y = {0, 1, 4, 2, 6, 3};
  const auto why = [](const CountFit& fit) {
    EXPECT_TRUE(std::isnan(fit.log_likelihood));
    return fit.unavailable;
  };
  EXPECT_EQ(why(fit_simple(zeros, x, CountModel::kPoisson)), "every score is zero");
  EXPECT_EQ(why(fit_simple(y, constant, CountModel::kPoisson)), "covariate 'x' is constant");
  EXPECT_EQ(why(fit_simple({1, 2}, {1, 2}, CountModel::kPoisson)),
            "n = 2, a fit of 2 parameters needs more");
  EXPECT_EQ(why(fit_simple({}, {}, CountModel::kPoisson)), "no participants");
  std::vector<double> twice;
  for (const double value : x) twice.push_back(3 - 2 * value);
  const Design dependent = make_design(6, {{"x", x}, {"twice", twice}});
  EXPECT_EQ(why(fit_counts(y, dependent, dependent, CountModel::kPoisson)),
            "covariate 'twice' is a linear combination of those before it");
  const Design fine = make_design(6, {{"x", x}});
  const Design flat = make_design(6, {{"flat", constant}});
  EXPECT_EQ(why(fit_counts(y, fine, flat, CountModel::kZeroInflatedPoisson)),
            "covariate 'flat' is constant");
  EXPECT_TRUE(fit_counts(y, fine, flat, CountModel::kPoisson).available());
}

TEST(CountEdges, LikelihoodRatioTestRefusesWhatIsNotNested) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<double> y = {0, 1, 4, 2, 6, 3, 0, 9};
  const CountFit poisson = fit_simple(y, x, CountModel::kPoisson);
  const CountFit nb = fit_simple(y, x, CountModel::kNegativeBinomial);
  const CountFit zip = fit_simple(y, x, CountModel::kZeroInflatedPoisson);
  CountFit fewer = poisson;
  fewer.n = 7;
  CountFit stopped = nb;
  stopped.converged = false;
  const CountFit none = fit_simple(std::vector<double>(8, 0.0), x, CountModel::kNegativeBinomial);
  EXPECT_EQ(likelihood_ratio_test(nb, poisson).note,
            "3 parameters against 2: the second model is not larger");
  EXPECT_NE(likelihood_ratio_test(poisson, zip).note.find("compare by AIC"), std::string::npos);
  EXPECT_EQ(likelihood_ratio_test(fewer, nb).note,
            "the models were fitted to 7 and 8 participants");
  EXPECT_EQ(likelihood_ratio_test(poisson, stopped).note, "a fit did not converge");
  EXPECT_EQ(likelihood_ratio_test(poisson, none).note, "every score is zero");
  EXPECT_TRUE(std::isnan(likelihood_ratio_test(poisson, none).p));
}

TEST(CountEdges, RefusesBadInput) {
  const std::vector<double> x = {1, 2, 3};
  tests::expect_error<core::InputError>(
      [&] {
        fit_simple({1, 2.5, 3}, x, CountModel::kPoisson);
      },
      {"count 2 is 2.5", "whole number", "round and clip"});
  tests::expect_error<core::InputError>(
      [&] {
        fit_simple({1, -2, 3}, x, CountModel::kPoisson);
      },
      {"count 2 is -2"});
  tests::expect_error<core::InputError>(
      [&] {
        fit_simple({1, 2}, x, CountModel::kPoisson);
      },
      {"count part has 3 rows for 2 counts"});
  tests::expect_error<core::InputError>(
      [&] {
        make_design(4, {{"age", x}});
      },
      {"covariate 'age' has 3 values for 4 participants"});
  tests::expect_error<core::InputError>(
      [&] {
        make_design(3, {{"age", {1, std::nan(""), 2}}});
      },
      {"covariate 'age' of participant 2 is nan", "missing covariates"});
  tests::expect_error<core::UsageError>([] { core::from_text<CountModel>("zimb", "--model"); },
                                        {"--model = 'zimb' is not one of", "zinb"});
  EXPECT_EQ(core::from_text<CountModel>("zinb", "--model"), kZinb);
  EXPECT_EQ(core::to_text(CountModel::kNegativeBinomial), "nb");
}

TEST(CountData, RoundsAndClipsAndCounts) {
  const std::vector<double> scores = {-2.4, -0.3, 0.5, 1.5, 2, 7.49};
  const Counts nearest = to_counts(scores);
  EXPECT_EQ(nearest.values, (std::vector<double>{0, 0, 0, 2, 2, 7}));
  EXPECT_EQ(nearest.rounded, 5u);
  EXPECT_EQ(nearest.clipped, 1u);
  EXPECT_EQ(nearest.note,
            "5 of 6 scores rounded to the nearest whole number, 1 of 6 scores below zero set to 0");
  EXPECT_FALSE(std::signbit(nearest.values[1]));
  CountConversion floor;
  floor.rounding = CountRounding::kFloor;
  const Counts down = to_counts(scores, floor);
  EXPECT_EQ(down.values, (std::vector<double>{0, 0, 0, 1, 2, 7}));
  EXPECT_EQ(down.clipped, 2u);
  EXPECT_EQ(to_counts(std::vector<double>{0, 3}).note, "");
}

TEST(CountData, RefusesWhatItIsToldTo) {
  CountConversion strict;
  strict.rounding = CountRounding::kRefuse;
  strict.negatives = NegativeCounts::kRefuse;
  const auto convert = [&](double value, const CountConversion& conversion) {
    to_counts(std::vector<double>{1, value}, conversion);
  };
  tests::expect_error<core::InputError>([&] { convert(1.5, strict); },
                                        {"score 2 is 1.5", "a whole number", "how to round"});
  tests::expect_error<core::InputError>([&] { convert(-1, strict); },
                                        {"score 2 is -1", "zero or more", "clipping"});
  tests::expect_error<core::InputError>([&] { convert(2e7, {}); }, {"at most 1e7"});
  tests::expect_error<core::InputError>([&] { convert(std::nan(""), {}); },
                                        {"score 2 is nan", "finite number"});
  EXPECT_NO_THROW(convert(3, strict));
}

}  // namespace
}  // namespace epvs::eval
