#include "eval/association_tables.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/regression_data.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_error;

constexpr std::size_t kPeople = 240;

std::string person(std::size_t i) {
  return "sub-" + std::to_string(i);
}

double age_of(std::size_t i) {
  return 60 + static_cast<double>((i * 37) % 300) / 10;
}

/// Two regions; `visual` counts that rise with age, `network` real values around them.
Dataset dataset() {
  core::Random random(6);
  Dataset data;
  data.scorers = {"visual", "network"};
  data.values.resize(2);
  for (const std::string region : {"bg", "cso"}) {
    for (std::size_t i = 0; i < kPeople; ++i) {
      data.units.push_back({person(i), "", region, "", ""});
      const double mean = std::exp(1.2 + 0.03 * (age_of(i) - 75));
      const double count =
          random.flip(0.2) ? 0.0 : static_cast<double>(random.negative_binomial(mean, 3));
      data.values[0].push_back(count);
      data.values[1].push_back(count + random.normal(0, 0.8));
    }
  }
  return data;
}

core::Table participants() {
  core::Table table({"participant_id", "age", "sex", "site", "empty", "code"});
  for (std::size_t i = 0; i < kPeople; ++i) {
    table.add_row({person(i), fmt::format("{}", age_of(i)), i % 2 == 0 ? "f" : "m",
                   i % 3 == 0   ? "a"
                   : i % 3 == 1 ? "b"
                                : "c",
                   "n/a", "x" + std::to_string(i)});
  }
  return table;
}

AssociationOptions age_options(CountModel model = CountModel::kZeroInflatedNegativeBinomial) {
  AssociationOptions options;
  options.model = model;
  options.covariates = {"age"};
  if (has_zero_part(model)) options.zero_covariates = {"age"};
  return options;
}

std::size_t find(const core::Table& table, const std::string& region, const std::string& scorer,
                 const std::string& part, const std::string& term) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.cell(row, "region") == region && table.cell(row, "scorer") == scorer &&
        table.cell(row, "part") == part && table.cell(row, "term") == term) {
      return row;
    }
  }
  throw std::runtime_error("no row " + region + " " + scorer + " " + part + " " + term);
}

TEST(AssociationTable, HoldsTheFitOfTheLibrary) {
  const Dataset data = dataset();
  const core::Table table = association_table(data, participants(), {}, age_options());
  EXPECT_EQ(core::join(table.columns(), " "),
            "region group n scorer model part term estimate se z p ratio ratio_low ratio_high per "
            "note");
  std::vector<double> ages, scores;
  for (std::size_t i = 0; i < kPeople; ++i) {
    ages.push_back(age_of(i));
    scores.push_back(data.values[1][i]);
  }
  const Counts counts = to_counts(scores);
  const Design design = make_design(kPeople, {{"age", ages}});
  const CountFit fit =
      fit_counts(counts.values, design, design, CountModel::kZeroInflatedNegativeBinomial);
  const std::size_t row = find(table, "bg", "network", "count", "age");
  EXPECT_EQ(table.number(row, "estimate"), fit.count[1].estimate);
  EXPECT_EQ(table.number(row, "se"), fit.count[1].se);
  EXPECT_EQ(table.number(row, "ratio"), std::exp(10 * fit.count[1].estimate));
  EXPECT_NEAR(table.number(row, "ratio_high"),
              std::exp(10 * (fit.count[1].estimate + 1.959963984540054 * fit.count[1].se)), 1e-12);
  EXPECT_EQ(table.cell(row, "per"), "10");
  EXPECT_EQ(table.cell(row, "n"), "240");
  EXPECT_EQ(table.cell(row, "model"), "zinb");
  EXPECT_EQ(table.number(find(table, "bg", "network", "zero", "age"), "estimate"),
            fit.zero[1].estimate);
  const std::size_t theta = find(table, "bg", "network", "dispersion", "log_theta");
  EXPECT_EQ(table.number(theta, "ratio"), fit.theta);
  EXPECT_EQ(table.number(find(table, "bg", "network", "fit", "log_likelihood"), "estimate"),
            fit.log_likelihood);
  EXPECT_EQ(table.number(find(table, "bg", "network", "fit", "rounded"), "estimate"),
            static_cast<double>(counts.rounded));
  EXPECT_EQ(table.number(find(table, "bg", "network", "fit", "clipped"), "estimate"),
            static_cast<double>(counts.clipped));
  EXPECT_GT(counts.clipped, 0u);
  const std::size_t lr = find(table, "bg", "network", "likelihood_ratio", "age");
  const Design none = make_design(kPeople, {});
  const CountFit smaller =
      fit_counts(counts.values, none, none, CountModel::kZeroInflatedNegativeBinomial);
  EXPECT_NEAR(table.number(lr, "estimate"), 2 * (fit.log_likelihood - smaller.log_likelihood),
              1e-9);
  EXPECT_EQ(table.cell(lr, "note"), "chi-squared, df = 2");
  const std::size_t overall = find(table, "bg", "network", "overall", "age");
  EXPECT_NEAR(table.number(overall, "ratio"), std::exp(table.number(overall, "estimate")), 1e-12);
  EXPECT_NO_THROW(find(table, "cso", "visual", "count", "age"));
}

TEST(AssociationTable, TextBecomesIndicatorsAgainstTheFirstValue) {
  AssociationOptions options = age_options(CountModel::kPoisson);
  options.covariates = {"age", "site"};
  const core::Table table = association_table(dataset(), participants(), {}, options);
  const std::size_t b = find(table, "bg", "visual", "count", "site=b");
  EXPECT_EQ(table.cell(b, "per"), "1");
  EXPECT_EQ(table.number(b, "ratio"), std::exp(table.number(b, "estimate")));
  EXPECT_NO_THROW(find(table, "bg", "visual", "count", "site=c"));
  EXPECT_THROW(find(table, "bg", "visual", "count", "site=a"), std::runtime_error);
  EXPECT_THROW(find(table, "bg", "visual", "overall", "site"), std::runtime_error);
  EXPECT_EQ(table.cell(find(table, "bg", "visual", "likelihood_ratio", "site"), "note"),
            "chi-squared, df = 2");
}

TEST(AssociationTable, ReasonsStandWhereAFitIsNotPossible) {
  AssociationOptions options = age_options(CountModel::kZeroInflatedPoisson);
  options.covariates = {"age", "sex"};
  GroupOptions groups;
  groups.group_by = {"sex"};
  const core::Table by_sex = association_table(dataset(), participants(), groups, options);
  bool seen = false;
  for (std::size_t row = 0; row < by_sex.rows(); ++row) {
    if (by_sex.cell(row, "group") == "all") continue;
    EXPECT_EQ(by_sex.cell(row, "note"), "covariate 'sex' is constant");
    EXPECT_EQ(by_sex.cell(row, "estimate"), "n/a");
    seen = true;
  }
  EXPECT_TRUE(seen);
  options.minimum_n = 500;
  const core::Table few = association_table(dataset(), participants(), {}, options);
  EXPECT_EQ(few.cell(find(few, "bg", "visual", "zero", "age"), "note"),
            "n = 240, below the minimum of 500");
  Dataset zeros = dataset();
  zeros.values[0].assign(zeros.values[0].size(), 0.0);
  const core::Table none = association_table(zeros, participants(), {}, age_options());
  EXPECT_EQ(none.cell(find(none, "bg", "visual", "count", "age"), "note"), "every score is zero");
}

TEST(AssociationTable, SaysWhenTheModelIsSimplerThanRequested) {
  Dataset data = dataset();
  for (double& value : data.values[0]) value += 1;  // no zeros
  const core::Table table = association_table(data, participants(), {}, age_options());
  const std::size_t zero = find(table, "bg", "visual", "zero", "age");
  EXPECT_EQ(table.cell(zero, "estimate"), "n/a");
  EXPECT_EQ(table.cell(zero, "note"), "no score is zero: not identified");
  EXPECT_EQ(table.cell(zero, "model"), "nb");
  const std::string note = table.cell(find(table, "bg", "visual", "fit", "log_likelihood"), "note");
  EXPECT_NE(note.find("no score is zero"), std::string::npos);
  EXPECT_NE(note.find("requested zinb"), std::string::npos);
}

TEST(AssociationTable, MissingValuesAreAnErrorUnlessAllowed) {
  Dataset data = dataset();
  data.values[1][3] = std::nan("");
  AssociationOptions options = age_options(CountModel::kNegativeBinomial);
  expect_error<core::InputError>([&] { association_table(data, participants(), {}, options); },
                                 {"sub-3", "no score of network", "allow missing"});
  options.allow_missing = true;
  const core::Table table = association_table(data, participants(), {}, options);
  EXPECT_EQ(table.cell(find(table, "bg", "network", "count", "age"), "n"), "239");
  EXPECT_NE(table.cell(find(table, "bg", "network", "fit", "log_likelihood"), "note")
                .find("1 of 240 units lack a score or covariate"),
            std::string::npos);
  Dataset twice = dataset();
  for (std::size_t i = 0; i < twice.units.size(); ++i) {
    twice.units[i].session_id = i % 2 == 0 ? "1" : "2";
    twice.units[i].participant_id = person((i % kPeople) / 2);
  }
  const core::Table repeated = association_table(twice, participants(), {}, options);
  EXPECT_NE(repeated.cell(find(repeated, "bg", "visual", "fit", "log_likelihood"), "note")
                .find("240 scans of 120 participants are taken as independent"),
            std::string::npos);
}

TEST(AssociationTable, RefusesBadOptions) {
  const Dataset data = dataset();
  const auto with = [&](auto change) {
    AssociationOptions options = age_options();
    change(options);
    association_table(data, participants(), {}, options);
  };
  const auto expect_usage = [&](auto change, const std::vector<std::string>& texts) {
    expect_error<core::UsageError>([&] { with(change); }, texts);
  };
  expect_usage([](auto& o) { o.covariates = o.zero_covariates = {}; }, {"no covariate"});
  expect_usage([](auto& o) { o.model = CountModel::kPoisson; },
               {"zero part (age) with the model 'poisson'", "zip or zinb"});
  expect_usage([](auto& o) { o.per = 0; }, {"per = 0"});
  expect_usage([](auto& o) { o.confidence = 2; }, {"confidence = 2"});
  expect_usage([](auto& o) { o.covariates = {"age", "age"}; }, {"'age' is named twice"});
  expect_usage([](auto& o) { o.covariates = {"agee"}; }, {"no column 'agee'", "age"});
  expect_usage([](auto& o) { o.covariates = {"empty"}; }, {"'empty'", "no value"});
  expect_usage([](auto& o) { o.covariates = {"code"}; },
               {"'code'", "text with 240 different values"});
}

TEST(AgeBinTable, HoldsBinsPerRegionAndScorer) {
  const Dataset data = dataset();
  const core::Table table = age_bin_table(data, participants(), "age", {}, {});
  double n = 0;
  double sum = 0;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.cell(row, "region") != "bg" || table.cell(row, "scorer") != "visual") continue;
    n += table.number(row, "n");
    sum += table.number(row, "n") * table.number(row, "mean");
    EXPECT_EQ(table.number(row, "bin_high") - table.number(row, "bin_low"), 5);
  }
  EXPECT_EQ(n, kPeople);
  double expected = 0;
  for (std::size_t i = 0; i < kPeople; ++i) expected += data.values[0][i];
  EXPECT_NEAR(sum, expected, 1e-9);
  expect_error<core::UsageError>([&] { age_bin_table(data, participants(), "sex", {}, {}); },
                                 {"'sex' is text, bins need numbers"});
}

}  // namespace
}  // namespace epvs::eval
