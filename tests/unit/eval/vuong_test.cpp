#include "eval/count_regression.h"

#include <gtest/gtest.h>

#include <cmath>

#include "association_golden.h"
#include "core/error.h"
#include "core/random.h"
#include "core/table.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expected;

struct Tables {
  std::vector<double> y;
  Design count;
  Design zero;
};

Tables tables_of(const tests::GoldenCase& golden) {
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

/// The cases of count_regression.tsv with the values that pscl::vuong gave (vuong.R).
std::map<std::string, tests::GoldenCase> golden_cases() {
  auto cases = tests::read_golden_cases("count_regression");
  for (auto& [name, golden] : cases) golden.expected.clear();
  const auto values = core::Table::read(tests::golden("eval/vuong_expected.tsv"));
  for (std::size_t row = 0; row < values.rows(); ++row) {
    cases[values.cell(row, "case")].expected[values.cell(row, "quantity")] =
        values.number(row, "value");
  }
  return cases;
}

TEST(Vuong, EqualsPsclWithItsThreeCorrections) {
  int compared = 0;
  for (const auto& [name, golden] : golden_cases()) {
    for (const auto& [model, plain, prefix] :
         {std::tuple{CountModel::kZeroInflatedPoisson, CountModel::kPoisson, std::string("zip")},
          std::tuple{CountModel::kZeroInflatedNegativeBinomial, CountModel::kNegativeBinomial,
                     std::string("zinb")}}) {
      if (!golden.expected.contains(prefix + "_raw_z")) continue;
      const Tables t = tables_of(golden);
      const CountFit inflated = fit_counts(t.y, t.count, t.zero, model);
      const VuongTest test =
          vuong_test(t.y, t.count, t.zero, inflated, fit_counts(t.y, t.count, t.zero, plain));
      ASSERT_TRUE(test.note.empty()) << name << " " << prefix << ": " << test.note;
      for (const auto& [form, statistic] :
           {std::pair{"raw", test.raw}, std::pair{"aic", test.aic}, std::pair{"bic", test.bic}}) {
        const std::string what = prefix + "_" + form;
        tests::expect_relative(statistic.z, expected(golden, what + "_z"), 1e-4, 1, name + what);
        EXPECT_NEAR(statistic.p, expected(golden, what + "_p"), 1e-4) << name << what;
      }
      ++compared;
    }
  }
  EXPECT_EQ(compared, 38);
}

TEST(Vuong, ChangingSidesChangesTheSignOfTheDifference) {
  core::Random random(3);
  std::vector<double> y, x;
  for (int i = 0; i < 200; ++i) {
    x.push_back(random.normal());
    y.push_back(i % 3 == 0 ? 0 : static_cast<double>(random.integer(2, 9)));
  }
  const Design design = make_design(200, {{"x", x}});
  const Design intercept = make_design(200, {});
  const CountFit zip = fit_counts(y, design, intercept, CountModel::kZeroInflatedPoisson);
  const CountFit poisson = fit_counts(y, design, intercept, CountModel::kPoisson);
  const VuongTest test = vuong_test(y, design, intercept, zip, poisson);
  EXPECT_GT(test.raw.z, 3);
  EXPECT_LT(test.raw.p, 1e-3);
  // One parameter more: the corrections take 1 and log(n) / 2 from the sum of the differences.
  const double sum = zip.log_likelihood - poisson.log_likelihood;
  EXPECT_NEAR(test.aic.z / test.raw.z, (sum - 1) / sum, 1e-9);
  EXPECT_NEAR(test.bic.z / test.raw.z, (sum - std::log(200.0) / 2) / sum, 1e-9);
}

TEST(Vuong, SaysWhyThereIsNone) {
  const std::vector<double> y = {1, 0, 3, 2, 0, 5, 1, 0, 2, 4, 0, 7};
  const Design design = make_design(y.size(), {});
  const CountFit poisson = fit_counts(y, design, design, CountModel::kPoisson);
  const CountFit zip = fit_counts(y, design, design, CountModel::kZeroInflatedPoisson);
  const auto note = [&](const CountFit& a, const CountFit& b) {
    const VuongTest test = vuong_test(y, design, design, a, b);
    EXPECT_TRUE(std::isnan(test.raw.z) && std::isnan(test.bic.p));
    return test.note;
  };
  EXPECT_EQ(vuong_test(y, design, design, zip, poisson).note, "");
  EXPECT_NE(note(poisson, poisson).find("no zero inflation was fitted"), std::string::npos);
  EXPECT_NE(note(zip, zip).find("no zero inflation"), std::string::npos);
  CountFit none = zip;
  none.unavailable = "a reason";
  EXPECT_EQ(note(none, poisson), "a model has no fit");
  CountFit other = poisson;
  other.n = 3;
  EXPECT_EQ(note(zip, other), "the models were fitted to other participants");
  CountFit edge = zip;
  edge.zero[0].estimate = std::nan("");
  EXPECT_EQ(note(edge, poisson), "a coefficient has no finite value");
  tests::expect_error<core::InputError>(
      [&] {
        vuong_test({y.data(), 5}, design, design, zip, poisson);
      },
      {"5 counts and a design of 12 rows"});
}

}  // namespace
}  // namespace epvs::eval
