#include "eval/bootstrap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/random.h"
#include "core/table.h"
#include "eval/agreement.h"
#include "eval/categories.h"
#include "eval/correlation.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using Column = std::vector<double>;

std::map<std::string, Column> sample() {
  const core::Table table = core::Table::read(tests::golden("eval/boot_sample.tsv"));
  std::map<std::string, Column> columns;
  for (const std::string& name : table.columns()) {
    for (std::size_t row = 0; row < table.rows(); ++row) {
      columns[name].push_back(table.number(row, name));
    }
  }
  return columns;
}

std::vector<std::vector<std::size_t>> draws(const std::string& design) {
  const core::Table table = core::Table::read(tests::golden("eval/boot_resamples.tsv"));
  std::vector<std::vector<std::size_t>> result;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.cell(row, "design") != design) continue;
    std::vector<std::size_t>& draw = result.emplace_back();
    for (std::size_t column = 1; column < table.columns().size(); ++column) {
      draw.push_back(static_cast<std::size_t>(table.number(row, column)) - 1);
    }
  }
  return result;
}

const PairOptions kCuts = {{6}, {0, 5, 10}};

std::size_t index(const PairStatistics& pair, const std::string& metric) {
  for (std::size_t m = 0; m < pair.names().size(); ++m) {
    if (pair.names()[m].metric == metric) return m;
  }
  throw std::runtime_error("no metric " + metric);
}

std::vector<double> minus(std::span<const double> a, std::span<const double> b) {
  std::vector<double> result(a.size());
  std::transform(a.begin(), a.end(), b.begin(), result.begin(), std::minus<>());
  return result;
}

TEST(Bootstrap, EqualsBootOnTheSameResamples) {
  const auto columns = sample();
  const PairStatistics xy(columns.at("x"), columns.at("y"), kCuts);
  const PairStatistics xz(columns.at("x"), columns.at("z"), kCuts);
  std::map<std::string, std::map<std::string, double>> found;
  for (const std::string design : {"plain", "stratified"}) {
    std::vector<std::string> participants, strata;
    for (std::size_t i = 0; i < columns.at("x").size(); ++i) {
      participants.push_back("p" + std::to_string(i));
      strata.push_back(design == "plain" ? "" : std::to_string(columns.at("stratum")[i]));
    }
    const Resampler resampler(ResamplingDesign::by_participant(participants, strata),
                              draws(design));
    const std::vector<const PairStatistics*> pairs = {&xy, &xz};
    const auto replicates = bootstrap(pairs, resampler, 2);
    const auto put = [&](const std::string& name, double observed, std::span<const double> values,
                         std::span<const double> influence) {
      const Estimate bca = bca_interval(observed, values, influence, .95);
      const Estimate percentile = percentile_interval(observed, values, .95);
      auto& at = found[design];
      at[name + ".observed"] = observed;
      at[name + ".bca_low"] = bca.ci_low;
      at[name + ".bca_high"] = bca.ci_high;
      at[name + ".percentile_low"] = percentile.ci_low;
      at[name + ".percentile_high"] = percentile.ci_high;
    };
    for (std::size_t m = 0; m < xy.names().size(); ++m) {
      put(xy.names()[m].metric, replicates[0].observed[m], replicates[0].of(m),
          replicates[0].influence_of(m));
    }
    for (const std::string metric : {"mae", "pearson"}) {
      const std::size_t m = index(xy, metric);
      put("difference_" + metric, replicates[0].observed[m] - replicates[1].observed[m],
          minus(replicates[0].of(m), replicates[1].of(m)),
          minus(replicates[0].influence_of(m), replicates[1].influence_of(m)));
    }
  }
  const core::Table expected = core::Table::read(tests::golden("eval/boot_expected.tsv"));
  EXPECT_EQ(expected.rows(), 120u);
  for (std::size_t row = 0; row < expected.rows(); ++row) {
    const std::string& design = expected.cell(row, "design");
    const std::string& statistic = expected.cell(row, "statistic");
    ASSERT_TRUE(found[design].count(statistic)) << statistic;
    const double want = expected.number(row, "value");
    EXPECT_NEAR(found[design][statistic], want, 1e-8 * std::abs(want))
        << design << " " << statistic;
  }
}

TEST(Cuts, EqualRAndStatsmodels) {
  const auto columns = sample();
  const Column& x = columns.at("x");
  const Column& y = columns.at("y");
  std::map<std::string, Estimate> found;
  const ThresholdEstimates at = at_threshold(x, y, 6);
  found["accuracy"] = at.accuracy;
  found["sensitivity"] = at.sensitivity;
  found["specificity"] = at.specificity;
  found["auc"] = at.auc;
  const auto cx = categories_of(x, kCuts.category_bounds);
  const auto cy = categories_of(y, kCuts.category_bounds);
  found["kappa"] = kappa(cx, cy, 4, KappaWeights::kNone);
  found["kappa_linear"] = kappa(cx, cy, 4, KappaWeights::kLinear);
  found["kappa_quadratic"] = kappa(cx, cy, 4, KappaWeights::kQuadratic);
  std::size_t compared = 0;
  for (const char* file : {"eval/cuts_expected.tsv", "eval/kappa_expected.tsv"}) {
    const core::Table expected = core::Table::read(tests::golden(file));
    for (std::size_t row = 0; row < expected.rows(); ++row) {
      const std::string& statistic = expected.cell(row, "statistic");
      const std::size_t dot = statistic.find('.');
      const Estimate& e = found.at(statistic.substr(0, dot));
      const std::string part = statistic.substr(dot + 1);
      const double got = part == "estimate" ? e.estimate : part == "ci_low" ? e.ci_low : e.ci_high;
      EXPECT_NEAR(got, expected.number(row, "value"), 1e-8) << statistic;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 26u);
}

/// Every metric of explicitly repeated units, by the closed forms.
std::map<std::string, double> by_repetition(const Column& x, const Column& y,
                                            const Column& weights) {
  Column rx, ry;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (int k = 0; k < static_cast<int>(weights[i]); ++k) {
      rx.push_back(x[i]);
      ry.push_back(y[i]);
    }
  }
  const auto forms = icc(rx, ry);
  const AgreementEstimates e = agreement(rx, ry);
  const ThresholdEstimates at = at_threshold(rx, ry, 6);
  const auto cx = categories_of(rx, kCuts.category_bounds);
  const auto cy = categories_of(ry, kCuts.category_bounds);
  std::map<std::string, double> result = {
      {"pearson", pearson(rx, ry).estimate},
      {"spearman", spearman(rx, ry).estimate},
      {"ccc", concordance(rx, ry).estimate},
      {"mse", e.mse.estimate},
      {"rmse", e.rmse.estimate},
      {"mae", e.mae.estimate},
      {"median_ae", e.median_ae.estimate},
      {"bias", e.bias.estimate},
      {"loa_low", e.loa_low.estimate},
      {"loa_high", e.loa_high.estimate},
      {"accuracy", at.accuracy.estimate},
      {"sensitivity", at.sensitivity.estimate},
      {"specificity", at.specificity.estimate},
      {"auc", at.auc.estimate},
      {"kappa", kappa(cx, cy, 4, KappaWeights::kNone).estimate},
      {"kappa_linear", kappa(cx, cy, 4, KappaWeights::kLinear).estimate},
      {"kappa_quadratic", kappa(cx, cy, 4, KappaWeights::kQuadratic).estimate}};
  for (std::size_t i = 0; i < 6; ++i) result[kIccNames[i]] = forms[i].estimate;
  return result;
}

TEST(PairStatistics, WeightsEqualRepetition) {
  const auto columns = sample();
  core::Random random(8);
  for (const double offset : {0.0, 1e6}) {
    Column x = columns.at("x");
    Column y = columns.at("z");  // counts: ties
    PairOptions cuts = kCuts;
    for (double& v : x) v += offset;
    for (double& v : y) v += offset;
    for (double& v : cuts.thresholds) v += offset;
    for (double& v : cuts.category_bounds) v += offset;
    const PairStatistics pair(x, y, cuts);
    PairStatistics::Workspace work;
    Column out(pair.names().size());
    for (int trial = 0; trial < 20; ++trial) {
      Column weights(x.size());
      for (double& w : weights) w = static_cast<double>(random.poisson(1));
      pair.evaluate(weights, out, work);
      Column sx = x, sy = y;
      for (double& v : sx) v -= offset;
      for (double& v : sy) v -= offset;
      const auto expected = by_repetition(sx, sy, weights);
      EXPECT_EQ(expected.size(), out.size());
      for (std::size_t m = 0; m < out.size(); ++m) {
        const double want = expected.at(pair.names()[m].metric);
        EXPECT_NEAR(out[m], want, 1e-9 * (1 + std::abs(want))) << pair.names()[m].metric;
      }
    }
  }
}

TEST(PairStatistics, ConstantResampleHasNoCorrelation) {
  const PairStatistics pair(Column{1.1, 2.2, 3.3}, Column{5, 6, 7}, {});
  PairStatistics::Workspace work;
  Column out(pair.names().size());
  pair.evaluate(Column{0, 3, 0}, out, work);
  EXPECT_TRUE(std::isnan(out[index(pair, "pearson")]));
  EXPECT_TRUE(std::isnan(out[index(pair, "spearman")]));
  EXPECT_NEAR(out[index(pair, "mae")], 3.8, 1e-12);
}

TEST(Bootstrap, DoesNotDependOnThreads) {
  const auto columns = sample();
  const PairStatistics pair(columns.at("x"), columns.at("y"), kCuts);
  const std::vector<const PairStatistics*> pairs = {&pair};
  const Resampler resampler(ResamplingDesign::of_units(36), 300, 11);
  const auto one = bootstrap(pairs, resampler, 1);
  const auto three = bootstrap(pairs, resampler, 3);
  EXPECT_EQ(one[0].values, three[0].values);
  EXPECT_EQ(one[0].influence, three[0].influence);
  const auto other = bootstrap(pairs, Resampler(ResamplingDesign::of_units(36), 300, 12), 1);
  EXPECT_NE(one[0].values, other[0].values);
  const auto p1 = permute_association(columns.at("x"), columns.at("y"), {}, 200, 3, 1);
  const auto p3 = permute_association(columns.at("x"), columns.at("y"), {}, 200, 3, 3);
  EXPECT_EQ(p1.pearson, p3.pearson);
}

TEST(Bootstrap, JackknifeLeavesOutAParticipantWithAllSessions) {
  const Column x = {1, 4, 2, 8, 5, 7}, y = {2, 3, 3, 9, 4, 9};
  const auto design = ResamplingDesign::by_participant({"a", "a", "b", "c", "c", "d"});
  ASSERT_EQ(design.clusters(), 4u);
  const PairStatistics pair(x, y, {});
  const std::vector<const PairStatistics*> pairs = {&pair};
  const auto result = bootstrap(pairs, Resampler(design, 60, 1), 1);
  const Column rest_x = {2, 8, 5, 7}, rest_y = {3, 9, 4, 9};
  const std::size_t m = index(pair, "spearman");
  EXPECT_NEAR(result[0].influence_of(m)[0],
              3 * (spearman(x, y).estimate - spearman(rest_x, rest_y).estimate), 1e-12);
  const std::size_t r = index(pair, "icc2");
  EXPECT_NEAR(result[0].influence_of(r)[0],
              3 * (icc(x, y)[1].estimate - icc(rest_x, rest_y)[1].estimate), 1e-12);
}

TEST(Resampler, DrawsParticipantsWithinStrata) {
  const auto design = ResamplingDesign::by_participant({"a", "b", "a", "c", "d", "e"},
                                                       {"s", "s", "s", "t", "t", "t"});
  const Resampler resampler(design, 200, 5);
  std::vector<double> counts, weights;
  bool varied = false;
  for (std::size_t b = 0; b < 200; ++b) {
    resampler.counts(b, counts);
    EXPECT_EQ(counts[0] + counts[1], 2);
    EXPECT_EQ(counts[2] + counts[3] + counts[4], 3);
    varied = varied || counts[0] == 2;
    resampler.unit_weights(counts, weights);
    EXPECT_EQ(weights[0], weights[2]);
  }
  EXPECT_TRUE(varied);
  tests::expect_error<core::InputError>(
      [] {
        ResamplingDesign::by_participant({"a", "a"}, {"s", "t"});
      },
      {"a is in the strata 's' and 't'"});
}

TEST(Intervals, SayWhyTheyDoNotExist) {
  const Column few(49, 1.0), many(60, 1.0), influence = {1, -1};
  EXPECT_EQ(percentile_interval(1, few, .95).note,
            "no interval: 49 of 49 resamples have this metric, at least 50 are needed");
  EXPECT_EQ(bca_interval(1, few, influence, .95).note, percentile_interval(1, few, .95).note);
  EXPECT_EQ(bca_interval(5, many, influence, .95).note,
            "no interval: the estimate lies outside all of its resamples");
  EXPECT_EQ(percentile_interval(NAN, many, .95).note, "the metric does not exist");
  EXPECT_EQ(bca_interval(NAN, many, influence, .95).note, "the metric does not exist");
  Column mixed(100);
  for (std::size_t i = 0; i < 100; ++i) mixed[i] = static_cast<double>(i);
  EXPECT_EQ(bca_interval(50, mixed, Column{1, NAN}, .95).note,
            "no interval: the metric does not exist without some participant");
  mixed[3] = NAN;
  EXPECT_EQ(percentile_interval(50, mixed, .95).note, "1 of 100 resamples lack this metric");
}

TEST(Permutation, AllOrdersOfSmallSamplesAndStrata) {
  // A perfect line of 5: 2 of the 120 orders reach |r| = 1.
  const Column line = {1, 2, 3, 4, 5};
  const AssociationP p = permute_association(line, line, {}, 20000, 9, 1);
  EXPECT_NEAR(p.pearson, 2.0 / 120, .004);
  EXPECT_NEAR(p.spearman, 2.0 / 120, .004);
  // Strata that hold one unit each allow no permutation at all.
  EXPECT_EQ(permute_association(line, line, {"a", "b", "c", "d", "e"}, 100, 9, 1).pearson, 1);
  EXPECT_TRUE(std::isnan(permute_association(line, Column(5, 2.0), {}, 100, 9, 1).pearson));
}

TEST(Permutation, EqualScorersCannotDifferAndUnequalOnesDo) {
  const auto columns = sample();
  const auto design = ResamplingDesign::of_units(36);
  const Column& x = columns.at("x");
  Column near_x = x, far = x;
  core::Random random(2);
  for (double& v : near_x) v += random.normal();
  for (double& v : far) v += 6 * random.normal();
  const PairStatistics names(x, far, {});
  const auto p = permute_difference(x, near_x, far, {}, design, 999, 1, 2);
  EXPECT_EQ(p[index(names, "mae")], .001);
  const auto same = permute_difference(x, far, far, {}, design, 99, 1, 1);
  EXPECT_EQ(same[index(names, "mae")], 1);
  EXPECT_EQ(same[index(names, "spearman")], 1);
}

TEST(BootstrapP, IsSymmetricAndNeverZero) {
  EXPECT_DOUBLE_EQ(bootstrap_p(Column{1, 2, 3}), 2.0 / 4);
  EXPECT_DOUBLE_EQ(bootstrap_p(Column{-1, 2, NAN, -4}), 1);
  EXPECT_TRUE(std::isnan(bootstrap_p(Column{NAN})));
}

TEST(Categories, BoundsBelongToTheLowerCategory) {
  EXPECT_EQ(categories_of(Column{0, 1, 10, 10.5, 99, -2}, Column{0, 10, 20}),
            (std::vector<int>{0, 1, 1, 2, 3, 0}));
}

TEST(Categories, SayWhyTheyDoNotExist) {
  const Column low = {1, 2, 3};
  EXPECT_EQ(at_threshold(low, low, 5).sensitivity.note,
            "no reference score is above the threshold");
  EXPECT_EQ(at_threshold(low, low, 0).specificity.note,
            "every reference score is above the threshold");
  EXPECT_EQ(at_threshold(low, low, 5).auc.note, "no reference score is above the threshold");
  EXPECT_EQ(at_threshold(low, low, 0).auc.note, "every reference score is above the threshold");
  EXPECT_EQ(at_threshold(low, low, 2.5).auc.note,
            "no interval: fewer than two on one side of the threshold");
  EXPECT_EQ(
      kappa(std::vector<int>{1, 1, 1}, std::vector<int>{1, 1, 1}, 3, KappaWeights::kNone).note,
      "reference and scorer use one and the same category only");
  EXPECT_EQ(kappa(std::vector<int>{1}, std::vector<int>{1}, 3, KappaWeights::kNone).note,
            "n = 1, at least 3 are needed");
  EXPECT_EQ(proportion(0, 0).note, "n = 0");
}

}  // namespace
}  // namespace epvs::eval
