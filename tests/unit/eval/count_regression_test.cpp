#include "eval/count_regression.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "association_golden.h"
#include "core/error.h"
#include "core/random.h"
#include "core/table.h"
#include "core/text.h"
#include "eval/count_likelihood.h"
#include "eval/regression_data.h"
#include "eval/statistics.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_relative;
using tests::expected;
using tests::GoldenCase;

struct Tables {
  std::vector<double> y;
  Design count;
  Design zero;
};

Tables tables_of(const GoldenCase& golden) {
  Tables result;
  result.y = golden.columns.at("y");
  const auto& x1 = golden.columns.at("x1");
  const auto& x2 = golden.columns.at("x2");
  const double zero_terms = golden.columns.at("zero_terms").at(0);
  std::vector<std::pair<std::string, std::vector<double>>> zero;
  if (zero_terms > 0) zero.emplace_back("x1", x1);
  if (zero_terms > 1) zero.emplace_back("x2", x2);
  result.count = make_design(x1.size(), {{"x1", x1}, {"x2", x2}});
  result.zero = make_design(x1.size(), zero);
  return result;
}

/// Coefficients to 1e-5 (of the larger of value and standard error), standard errors to 1e-3.
void compare(const std::vector<Coefficient>& coefficients, const GoldenCase& golden,
             const std::string& prefix, const std::string& name) {
  for (std::size_t i = 0; i < coefficients.size(); ++i) {
    const double b = expected(golden, fmt::format("{}_b{}", prefix, i));
    const double se = expected(golden, fmt::format("{}_se{}", prefix, i));
    const std::string what = fmt::format("{} {} {}", name, prefix, coefficients[i].term);
    expect_relative(coefficients[i].estimate, b, 1e-5, se, what);
    expect_relative(coefficients[i].se, se, 1e-3, 0.0, "se of " + what);
    EXPECT_DOUBLE_EQ(coefficients[i].z, coefficients[i].estimate / coefficients[i].se);
    EXPECT_DOUBLE_EQ(coefficients[i].p, normal_two_sided(coefficients[i].z));
  }
}

TEST(CountRegression, PoissonEqualsGlm) {
  const auto cases = tests::read_golden_cases("count_regression");
  ASSERT_GE(cases.size(), 20u);
  for (const auto& [name, golden] : cases) {
    const Tables t = tables_of(golden);
    const CountFit fit = fit_counts(t.y, t.count, t.zero, CountModel::kPoisson);
    ASSERT_TRUE(fit.converged) << name;
    compare(fit.count, golden, "poisson", name);
    expect_relative(fit.log_likelihood, expected(golden, "poisson_loglik"), 1e-8, 1, name);
    expect_relative(fit.aic, expected(golden, "poisson_aic"), 1e-8, 1, name);
    EXPECT_TRUE(fit.zero.empty());
    EXPECT_TRUE(fit.notes.empty());
  }
}

TEST(CountRegression, NegativeBinomialEqualsMass) {
  int compared = 0;
  for (const auto& [name, golden] : tests::read_golden_cases("count_regression")) {
    if (!golden.expected.contains("nb_theta")) continue;
    const Tables t = tables_of(golden);
    const CountFit fit = fit_counts(t.y, t.count, t.zero, CountModel::kNegativeBinomial);
    ASSERT_EQ(fit.fitted, CountModel::kNegativeBinomial) << name;
    compare(fit.count, golden, "nb", name);
    expect_relative(fit.theta, expected(golden, "nb_theta"), 1e-5, 0, name);
    expect_relative(fit.log_theta_se, expected(golden, "nb_log_theta_se"), 1e-3, 0, name);
    expect_relative(fit.log_likelihood, expected(golden, "nb_loglik"), 1e-8, 1, name);
    ++compared;
  }
  EXPECT_GE(compared, 18);
}

TEST(CountRegression, ZeroInflatedModelsEqualPscl) {
  int compared = 0;
  for (const auto& [name, golden] : tests::read_golden_cases("count_regression")) {
    const Tables t = tables_of(golden);
    for (const auto& [model, prefix] :
         {std::pair{CountModel::kZeroInflatedPoisson, std::string("zip")},
          std::pair{CountModel::kZeroInflatedNegativeBinomial, std::string("zinb")}}) {
      if (!golden.expected.contains(prefix + "_loglik")) continue;
      const CountFit fit = fit_counts(t.y, t.count, t.zero, model);
      ASSERT_EQ(fit.fitted, model) << name << " " << core::join(fit.notes, "; ");
      ASSERT_TRUE(fit.converged) << name;
      compare(fit.count, golden, prefix + "_count", name);
      compare(fit.zero, golden, prefix + "_zero", name);
      expect_relative(fit.log_likelihood, expected(golden, prefix + "_loglik"), 1e-8, 1, name);
      expect_relative(fit.aic, expected(golden, prefix + "_aic"), 1e-8, 1, name);
      if (prefix == "zinb") {
        expect_relative(fit.theta, expected(golden, "zinb_theta"), 1e-5, 0, name);
        expect_relative(fit.log_theta_se, expected(golden, "zinb_log_theta_se"), 1e-3, 0, name);
        EXPECT_DOUBLE_EQ(fit.theta_se, fit.theta * fit.log_theta_se);
      }
      ++compared;
    }
  }
  EXPECT_GE(compared, 38);
}

TEST(CountRegression, LikelihoodRatioAndOverallRatioEqualR) {
  int compared = 0;
  for (const auto& [name, golden] : tests::read_golden_cases("count_regression")) {
    if (!golden.expected.contains("zinb_overall")) continue;
    const Tables t = tables_of(golden);
    const auto zinb = CountModel::kZeroInflatedNegativeBinomial;
    const CountFit fit = fit_counts(t.y, t.count, t.zero, zinb);
    const OverallRatio overall =
        overall_ratio(fit, t.count, t.zero, 1, 1, expected(golden, "x1_sd"));
    expect_relative(overall.log_ratio, expected(golden, "zinb_overall"), 1e-5, overall.se, name);
    expect_relative(overall.se, expected(golden, "zinb_overall_se"), 1e-3, 0, name);
    EXPECT_NEAR(overall.ratio.low, std::exp(overall.log_ratio - 1.959963984540054 * overall.se),
                1e-12 * overall.ratio.low);
    if (!golden.expected.contains("zinb_lr_x1")) continue;
    const std::size_t n = t.y.size();
    const CountFit smaller = fit_counts(t.y, make_design(n, {{"x2", golden.columns.at("x2")}}),
                                        make_design(n, {}), zinb);
    const LikelihoodRatioTest test = likelihood_ratio_test(smaller, fit);
    EXPECT_EQ(test.df, 2);
    EXPECT_NEAR(test.statistic, expected(golden, "zinb_lr_x1"), 1e-6 * (1 + test.statistic))
        << name;
    EXPECT_NEAR(test.p, expected(golden, "zinb_lr_p"), 1e-6) << name;
    ++compared;
  }
  EXPECT_GE(compared, 12);
}

/// The data stay in pscl (GPL-2): Rscript writes them at test time.
TEST(CountRegression, BioChemistsEqualsPublishedFit) {
  const tests::TemporaryFolder folder;
  const std::string command =
      "Rscript -e 'data(bioChemists, package = \"pscl\"); b <- bioChemists; "
      "b$fem <- as.numeric(b$fem == \"Women\"); b$mar <- as.numeric(b$mar == \"Married\"); "
      "write.table(b, \"" +
      (folder / "bio.tsv").string() +
      "\", sep = \"\\t\", quote = FALSE, row.names = FALSE)' > /dev/null 2>&1";
  if (std::system(command.c_str()) != 0) {
    EPVS_SKIP_WITHOUT("pscl", "Rscript with the package pscl is not here");
  }
  const auto bio = core::Table::read(folder / "bio.tsv");
  ASSERT_EQ(bio.rows(), 915u);
  const auto column = [&](const std::string& name) {
    std::vector<double> values;
    for (std::size_t row = 0; row < bio.rows(); ++row) values.push_back(bio.number(row, name));
    return values;
  };
  std::vector<std::pair<std::string, std::vector<double>>> covariates;
  for (const char* name : {"fem", "mar", "kid5", "phd", "ment"}) {
    covariates.emplace_back(name, column(name));
  }
  const Design design = make_design(bio.rows(), covariates);
  GoldenCase golden;
  const auto values = core::Table::read(tests::golden("eval/bio_chemists_expected.tsv"));
  for (std::size_t row = 0; row < values.rows(); ++row) {
    golden.expected[values.cell(row, "quantity")] = values.number(row, "value");
  }
  const auto y = column("art");
  const CountFit zip = fit_counts(y, design, design, CountModel::kZeroInflatedPoisson);
  compare(zip.count, golden, "zip_count", "bio");
  compare(zip.zero, golden, "zip_zero", "bio");
  const CountFit zinb = fit_counts(y, design, design, CountModel::kZeroInflatedNegativeBinomial);
  compare(zinb.count, golden, "zinb_count", "bio");
  compare(zinb.zero, golden, "zinb_zero", "bio");
  expect_relative(zinb.theta, expected(golden, "zinb_theta"), 1e-5, 0, "theta");
  // As printed in the documentation of pscl and by Zeileis, Kleiber & Jackman 2008.
  EXPECT_NEAR(zinb.count[1].estimate, -0.1955, 5e-5);
  EXPECT_NEAR(zinb.zero[5].estimate, -0.8823, 5e-5);
  EXPECT_NEAR(zinb.log_likelihood, -1550, 0.5);
}

TEST(CountLikelihood, DerivativesEqualFiniteDifferences) {
  core::Random random(3);
  for (const bool dispersion : {false, true}) {
    for (const Eigen::Index zero_columns : {0, 2}) {
      for (const double log_theta : {-2.0, 0.7, 9.0}) {
        CountProblem problem;
        problem.dispersion = dispersion;
        problem.y.resize(40);
        problem.x = Eigen::MatrixXd::Ones(40, 3);
        problem.z = Eigen::MatrixXd::Ones(40, zero_columns);
        for (Eigen::Index i = 0; i < 40; ++i) {
          problem.y[i] = random.flip(0.3) ? 0.0 : static_cast<double>(random.poisson(6));
          problem.x(i, 1) = random.normal();
          problem.x(i, 2) = random.normal();
          if (zero_columns > 0) problem.z(i, 1) = random.normal();
        }
        Eigen::VectorXd at(problem.parameters());
        for (Eigen::Index i = 0; i < at.size(); ++i) at[i] = random.normal(0.3, 0.4);
        if (dispersion) at[at.size() - 1] = log_theta;
        const Derivatives exact = count_log_likelihood(problem, at);
        for (Eigen::Index i = 0; i < at.size(); ++i) {
          const double h = 1e-5;
          Eigen::VectorXd up = at;
          Eigen::VectorXd down = at;
          up[i] += h;
          down[i] -= h;
          const Derivatives high = count_log_likelihood(problem, up);
          const Derivatives low = count_log_likelihood(problem, down);
          EXPECT_NEAR((high.value - low.value) / (2 * h), exact.gradient[i],
                      1e-6 * (1 + exact.gradient.norm()));
          const Eigen::VectorXd row = (high.gradient - low.gradient) / (2 * h);
          EXPECT_LE((row - exact.hessian.col(i)).norm(), 1e-7 * (1 + exact.hessian.norm()));
        }
      }
    }
  }
}

TEST(CountLikelihood, ProbabilitiesSumToOne) {
  for (const double log_theta : {-1.0, 2.0, 16.0}) {
    CountProblem problem;
    problem.dispersion = true;
    problem.y.resize(1);
    problem.x = Eigen::MatrixXd::Ones(1, 1);
    problem.z = Eigen::MatrixXd::Ones(1, 1);
    double sum = 0;
    double mean = 0;
    for (int y = 0; y < 400; ++y) {
      problem.y[0] = y;
      const double probability =
          std::exp(count_log_likelihood(problem, Eigen::Vector3d(1.2, -0.4, log_theta)).value);
      sum += probability;
      mean += y * probability;
    }
    EXPECT_NEAR(sum, 1, 1e-10);
    EXPECT_NEAR(mean, std::exp(1.2) / (1 + std::exp(-0.4)), 1e-8);
  }
}

TEST(CountRegression, InterceptOnlyHasAClosedForm) {
  const std::vector<double> y = {0, 1, 4, 2, 0, 7, 3};
  const Design design = make_design(7, {});
  const CountFit fit = fit_counts(y, design, design, CountModel::kPoisson);
  EXPECT_NEAR(fit.count[0].estimate, std::log(17.0 / 7.0), 1e-12);
  EXPECT_NEAR(fit.count[0].se, 1 / std::sqrt(17.0), 1e-12);
  EXPECT_EQ(fit.zeros, 2u);
  EXPECT_EQ(fit.parameters, 1);
  EXPECT_NEAR(fit.bic, std::log(7.0) - 2 * fit.log_likelihood, 1e-12);
  const Ratio ratio = ratio_per({"age", 0.03, 0.01, 3, 0, {}}, 10);
  EXPECT_NEAR(ratio.ratio, std::exp(0.3), 1e-15);
  EXPECT_NEAR(ratio.low, std::exp(0.3 - 0.1959963984540054), 1e-12);
  EXPECT_NEAR(ratio.high, std::exp(0.3 + 0.1959963984540054), 1e-12);
  const Ratio down = ratio_per({"age", 0.03, 0.01, 3, 0, {}}, -10);
  EXPECT_LT(down.low, down.ratio);
  EXPECT_GT(down.high, down.ratio);
}

TEST(CountRegression, UnitsAndOffsetsOfCovariatesDoNotMatter) {
  core::Random random(17);
  std::vector<double> y, age, moved;
  for (int i = 0; i < 300; ++i) {
    age.push_back(random.uniform(60, 96));
    moved.push_back(1e7 - 365.25 * age.back());
    const double mean = std::exp(1 + 0.03 * (age.back() - 75));
    y.push_back(random.flip(0.25) ? 0.0 : static_cast<double>(random.negative_binomial(mean, 2)));
  }
  const auto zinb = CountModel::kZeroInflatedNegativeBinomial;
  const Design plain = make_design(300, {{"age", age}});
  const Design turned = make_design(300, {{"days", moved}});
  const CountFit a = fit_counts(y, plain, plain, zinb);
  const CountFit b = fit_counts(y, turned, turned, zinb);
  EXPECT_NEAR(a.log_likelihood, b.log_likelihood, 1e-7);
  EXPECT_NEAR(a.count[1].estimate, -365.25 * b.count[1].estimate, 1e-7);
  EXPECT_NEAR(a.zero[1].se, 365.25 * b.zero[1].se, 1e-6);
  EXPECT_GE(a.starts, 8);
  EXPECT_GE(a.starts_at_best, 4);
}

TEST(CountRegression, WaldIntervalsOfZinbCover) {
  core::Random random(23);
  int count_covered = 0;
  int zero_covered = 0;
  int usable = 0;
  for (int run = 0; run < 300; ++run) {
    std::vector<double> y, x;
    for (int i = 0; i < 500; ++i) {
      x.push_back(random.normal());
      const double p = 1 / (1 + std::exp(1 + 0.6 * x.back()));
      y.push_back(random.flip(p) ? 0.0
                                 : static_cast<double>(random.negative_binomial(
                                       std::exp(1.6 + 0.3 * x.back()), 3)));
    }
    const Design design = make_design(500, {{"x", x}});
    const CountFit fit = fit_counts(y, design, design, CountModel::kZeroInflatedNegativeBinomial);
    if (fit.fitted != fit.requested) continue;
    ++usable;
    count_covered += std::abs(fit.count[1].estimate - 0.3) < 1.96 * fit.count[1].se ? 1 : 0;
    zero_covered += std::abs(fit.zero[1].estimate + 0.6) < 1.96 * fit.zero[1].se ? 1 : 0;
  }
  ASSERT_GE(usable, 295);
  // 95% +- 3 standard errors of 300 runs.
  EXPECT_GE(count_covered, 0.912 * usable);
  EXPECT_GE(zero_covered, 0.912 * usable);
  EXPECT_LE(count_covered, 0.988 * usable);
}

}  // namespace
}  // namespace epvs::eval
