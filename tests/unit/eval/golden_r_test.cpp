// Every closed form against R (tests/golden/eval/make_goldens.R): relative difference 1e-8.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <span>

#include "core/table.h"
#include "eval/agreement.h"
#include "eval/correlation.h"
#include "eval/statistics.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

constexpr double kRelative = 1e-8;

struct Sample {
  std::vector<double> x, y, z;
};

Sample generated(int n) {
  Sample s;
  for (long long i = 1; i <= n; ++i) {
    s.x.push_back(static_cast<double>((i * 7919) % 10007));
    s.y.push_back(static_cast<double>((i * 7919) % 10007 + (i * 104729) % 5003));
    s.z.push_back(static_cast<double>((i * 611953) % 9973));
  }
  return s;
}

std::map<std::string, Sample> samples() {
  std::map<std::string, Sample> result;
  const core::Table table = core::Table::read(tests::golden("eval/tables.tsv"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Sample& s = result[table.cell(row, "table")];
    s.x.push_back(table.number(row, "x"));
    s.y.push_back(table.number(row, "y"));
    s.z.push_back(table.number(row, "z"));
  }
  for (const int n : {1290, 1291, 5000}) {
    result["generated_" + std::to_string(n)] = generated(n);
  }
  Sample tied = generated(5000);
  for (double& v : tied.x) v = std::floor(v / 500);
  for (double& v : tied.y) v = std::floor(v / 700);
  for (double& v : tied.z) v = std::floor(v / 400);
  result["generated_tied_5000"] = tied;
  return result;
}

/// Units for which all of the columns are there.
std::vector<std::vector<double>> complete(std::vector<std::vector<double>> columns) {
  std::vector<std::vector<double>> kept(columns.size());
  for (std::size_t i = 0; i < columns[0].size(); ++i) {
    if (std::any_of(columns.begin(), columns.end(), [&](auto& c) { return std::isnan(c[i]); })) {
      continue;
    }
    for (std::size_t c = 0; c < columns.size(); ++c) kept[c].push_back(columns[c][i]);
  }
  return kept;
}

using Values = std::map<std::string, double>;

void put(Values& values, const std::string& key, const Estimate& e) {
  values[key + ".estimate"] = e.estimate;
  values[key + ".ci_low"] = e.ci_low;
  values[key + ".ci_high"] = e.ci_high;
  values[key + ".statistic"] = e.statistic;
  values[key + ".df1"] = e.df1;
  values[key + ".df2"] = e.df2;
  values[key + ".p"] = e.p;
}

Values computed(const Sample& sample) {
  Values values;
  const auto pair = complete({sample.x, sample.y});
  const auto all = complete({sample.x, sample.y, sample.z});
  put(values, "pearson", pearson(pair[0], pair[1]));
  put(values, "spearman", spearman(pair[0], pair[1]));
  put(values, "ccc", concordance(pair[0], pair[1]));
  const AgreementEstimates errors = agreement(pair[0], pair[1]);
  put(values, "mse", errors.mse);
  put(values, "rmse", errors.rmse);
  put(values, "mae", errors.mae);
  put(values, "median_ae", errors.median_ae);
  put(values, "bias", errors.bias);
  put(values, "loa_low", errors.loa_low);
  put(values, "loa_high", errors.loa_high);
  const auto two = icc(pair[0], pair[1]);
  const std::vector<std::span<const double>> columns(all.begin(), all.end());
  const auto three = icc(columns);
  for (std::size_t i = 0; i < 6; ++i) {
    put(values, kIccNames[i], two[i]);
    put(values, std::string("three.") + kIccNames[i], three[i]);
  }
  const double r12 = pearson(all[0], all[1]).estimate;
  const double r13 = pearson(all[0], all[2]).estimate;
  const double r23 = pearson(all[1], all[2]).estimate;
  put(values, "williams", williams(all[0].size(), r12, r13, r23));
  put(values, "steiger", steiger(all[0].size(), r12, r13, r23));
  return values;
}

TEST(GoldenR, EveryStatisticOfEveryTable) {
  const core::Table expected = core::Table::read(tests::golden("eval/expected.tsv"));
  const auto all = samples();
  std::map<std::string, Values> cache;
  std::size_t compared = 0;
  for (std::size_t row = 0; row < expected.rows(); ++row) {
    const std::string& table = expected.cell(row, "table");
    const auto sample = all.find(table);
    if (sample == all.end()) continue;  // examples of the literature, tested below
    if (cache.find(table) == cache.end()) cache[table] = computed(sample->second);
    const std::string& statistic = expected.cell(row, "statistic");
    ASSERT_TRUE(cache[table].count(statistic)) << statistic;
    const double want = expected.number(row, "value");
    const double got = cache[table][statistic];
    // A coefficient of exactly 0 is left as rounding by R and by us.
    const bool coefficient = statistic.find("icc") != std::string::npos &&
                             statistic.find(".estimate") != std::string::npos;
    EXPECT_NEAR(got, want, std::max(kRelative * std::abs(want), coefficient ? 1e-14 : 1e-290))
        << table << " " << statistic;
    ++compared;
  }
  EXPECT_GE(cache.size(), 20u);
  EXPECT_GT(compared, 2500u);
}

TEST(GoldenR, AdjustedPValuesEqualPAdjust) {
  const std::vector<double> p = {.001, .012, .013, .04, .2, .2, .7, .0004};
  const core::Table expected = core::Table::read(tests::golden("eval/expected.tsv"));
  std::size_t compared = 0;
  for (std::size_t row = 0; row < expected.rows(); ++row) {
    if (expected.cell(row, "table") != "p_adjust") continue;
    const std::string& name = expected.cell(row, "statistic");
    const std::size_t index = static_cast<std::size_t>(name.back() - '1');
    const auto adjusted =
        adjust(p, core::from_text<Adjustment>(name.substr(0, name.size() - 1), "p"));
    EXPECT_NEAR(adjusted[index], expected.number(row, "value"), 1e-15) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 24u);
}

TEST(GoldenR, Steiger1980Example) {
  const core::Table expected = core::Table::read(tests::golden("eval/expected.tsv"));
  Values values;
  put(values, "williams", williams(103, .4, .5, .1));
  std::size_t compared = 0;
  for (std::size_t row = 0; row < expected.rows(); ++row) {
    if (expected.cell(row, "table") != "steiger_1980") continue;
    const double want = expected.number(row, "value");
    EXPECT_NEAR(values.at(expected.cell(row, "statistic")), want, kRelative * std::abs(want));
    ++compared;
  }
  EXPECT_EQ(compared, 2u);
}

}  // namespace
}  // namespace epvs::eval
