// Splits: partitions, balance of strata, determinism, sizes, and every message.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "data/split/split_command.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

using tests::expect_error;
using tests::TemporaryFolder;

std::vector<SplitSubject> subjects(int count, int strata = 1) {
  std::vector<SplitSubject> list;
  for (int i = 0; i < count; ++i) {
    list.push_back({fmt::format("sub-{:03d}", i), fmt::format("group{}", i % strata)});
  }
  return list;
}

using Sets = std::map<std::string, std::set<std::string>>;
Sets sets_of(const core::Splits& splits, int repeat, int fold) {
  Sets sets;
  for (const core::SplitRow& row : splits.rows()) {
    if (row.repeat == repeat && row.fold == fold)
      sets[core::to_text(row.split)].insert(row.participant_id);
  }
  return sets;
}

std::vector<std::tuple<int, int, std::string, std::string>> tuples(const core::Splits& splits) {
  std::vector<std::tuple<int, int, std::string, std::string>> list;
  for (const core::SplitRow& row : splits.rows()) {
    list.emplace_back(row.repeat, row.fold, row.participant_id, core::to_text(row.split));
  }
  return list;
}

TEST(Split, KFoldTestsEveryParticipantOncePerRepeatAndUsesAllInEveryFold) {
  SplitOptions options;
  options.folds = 5;
  options.repeats = 3;
  const core::Splits splits = make_splits(subjects(53), options, 7);
  EXPECT_EQ(splits.pairs().size(), 15U);
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::map<std::string, int> tested;
    for (int fold = 0; fold < 5; ++fold) {
      const Sets sets = sets_of(splits, repeat, fold);
      EXPECT_EQ(sets.at("test").size(), fold < 3 ? 11U : 10U);
      EXPECT_EQ(sets.at("train").size() + sets.at("validation").size() + sets.at("test").size(),
                53U);
      EXPECT_EQ(sets.at("validation").size(),
                fold < 3 ? 8U : 9U);  // round(.2 * 42), round(.2 * 43)
      for (const std::string& id : sets.at("test")) ++tested[id];
    }
    EXPECT_EQ(tested.size(), 53U);
    for (const auto& [id, times] : tested) EXPECT_EQ(times, 1) << id;
  }
}

TEST(Split, RepeatsDiffer) {
  SplitOptions options;
  options.folds = 4;
  options.repeats = 2;
  const core::Splits splits = make_splits(subjects(40), options, 7);
  EXPECT_NE(sets_of(splits, 0, 0).at("test"), sets_of(splits, 1, 0).at("test"));
}

TEST(Split, IsAFunctionOfTheSeedAndNotOfTheOrder) {
  SplitOptions options;
  options.monte_carlo = 3;
  std::vector<SplitSubject> list = subjects(60, 3);
  const auto first = tuples(make_splits(list, options, 11));
  std::reverse(list.begin(), list.end());
  EXPECT_EQ(tuples(make_splits(list, options, 11)), first);
  EXPECT_NE(tuples(make_splits(list, options, 12)), first);
}

TEST(Split, StrataHaveTheirShareOfEverySet) {
  // Three groups of 60, 30 and 10 in sets of 20, 16 and 64 percent.
  std::vector<SplitSubject> list;
  for (int i = 0; i < 100; ++i) {
    list.push_back({fmt::format("p{:03d}", i), i < 60 ? "a" : (i < 90 ? "b" : "c")});
  }
  std::map<std::string, std::string> stratum;
  for (const SplitSubject& one : list) stratum[one.participant_id] = one.stratum;
  const std::map<std::string, double> share = {{"a", 0.6}, {"b", 0.3}, {"c", 0.1}};
  SplitOptions options;
  options.monte_carlo = 20;
  double worst_stratified = 0;
  double worst_unstratified = 0;
  for (const bool stratified : {true, false}) {
    std::vector<SplitSubject> used = list;
    if (!stratified) {
      for (SplitSubject& one : used) one.stratum.clear();
    }
    const core::Splits splits = make_splits(used, options, 3);
    for (int repeat = 0; repeat < 20; ++repeat) {
      for (const auto& [name, members] : sets_of(splits, repeat, 0)) {
        std::map<std::string, double> found;
        for (const std::string& id : members) ++found[stratum.at(id)];
        for (const auto& [group, part] : share) {
          const double off = std::abs(found[group] - part * static_cast<double>(members.size()));
          double& worst = stratified ? worst_stratified : worst_unstratified;
          worst = std::max(worst, off);
        }
      }
    }
  }
  EXPECT_LE(worst_stratified, 2.0);
  EXPECT_GT(worst_unstratified, 3.0);  // the check can fail
}

TEST(Split, FixedSizes) {
  SplitOptions options;
  options.train = 1289;
  options.validation = 323;
  options.test = 405;
  const SplitSizes p1 = split_sizes(options, 2017);
  EXPECT_EQ(p1.train, 1289U);
  EXPECT_EQ(p1.validation, 323U);
  EXPECT_EQ(p1.test, 405U);
  // The demo: train is what is left.
  SplitOptions rest;
  rest.test = 80;
  rest.validation = 32;
  EXPECT_EQ(split_sizes(rest, 240).train, 128U);
  // A validation that is not given is a fifth of what is not tested.
  SplitOptions test_only;
  test_only.test = 40;
  EXPECT_EQ(split_sizes(test_only, 140).validation, 20U);
  EXPECT_EQ(split_sizes(test_only, 140).train, 80U);
  // Sizes of the learning curve include the validation; the rest is in no set.
  SplitOptions curve;
  curve.development = 40;
  curve.test = 400;
  const SplitSizes lc = split_sizes(curve, 2017);
  EXPECT_EQ(lc.train, 32U);
  EXPECT_EQ(lc.validation, 8U);
  EXPECT_EQ(lc.test, 400U);
  EXPECT_EQ(make_splits(subjects(2017), curve, 1).rows().size(), 440U);
  curve.test = -1;
  EXPECT_EQ(split_sizes(curve, 2017).test, 1977U);
  SplitOptions train_only;
  train_only.train = 80;
  EXPECT_EQ(split_sizes(train_only, 200).validation, 20U);  // 20 of 100
  EXPECT_EQ(split_sizes(train_only, 200).test, 100U);
}

TEST(Split, Fractions) {
  SplitOptions options;
  const SplitSizes sizes = split_sizes(options, 100);
  EXPECT_EQ(sizes.test, 20U);
  EXPECT_EQ(sizes.validation, 16U);
  EXPECT_EQ(sizes.train, 64U);
  options.train_fraction = 0.3;
  EXPECT_EQ(split_sizes(options, 100).train, 30U);
}

TEST(Split, QuantilesKeepEqualValuesTogether) {
  EXPECT_THAT(quantile_strata({4, 1, 3, 2}, 2), testing::ElementsAre("q2", "q1", "q2", "q1"));
  EXPECT_THAT(quantile_strata({0, 0, 0, 0, 5, 9}, 2),
              testing::ElementsAre("q1", "q1", "q1", "q1", "q2", "q2"));
  EXPECT_THAT(quantile_strata({1, std::nan(""), 2}, 2), testing::ElementsAre("q1", "n/a", "q2"));
}

TEST(Split, ContradictionsAreNamed) {
  const auto refuses = [](auto change, const std::vector<std::string>& texts) {
    SplitOptions options;
    change(options);
    expect_error<core::UsageError>([&] { make_splits(subjects(20), options, 1); }, texts);
  };
  refuses([](SplitOptions& o) { o.folds = 1; }, {"folds = 1", "folds >= 2"});
  refuses([](SplitOptions& o) { o.folds = 3, o.monte_carlo = 2; }, {"--folds", "--monte-carlo"});
  refuses([](SplitOptions& o) { o.folds = 3, o.test = 2; }, {"--folds and fixed sizes"});
  refuses([](SplitOptions& o) { o.repeats = 2; }, {"--repeats belongs to --folds"});
  refuses([](SplitOptions& o) { o.development = 9, o.train = 2; }, {"--development"});
  refuses([](SplitOptions& o) { o.validation = 2; }, {"--validation alone", "--test"});
  refuses([](SplitOptions& o) { o.test = 2, o.train_fraction = .5; }, {"--train-fraction"});
  refuses([](SplitOptions& o) { o.train = 15, o.validation = 3, o.test = 3; },
          {"train 15 + validation 3 + test 3 = 21 exceed the 20 participants"});
  refuses([](SplitOptions& o) { o.test = 21; }, {"exceed the 20 participants"});
  refuses([](SplitOptions& o) { o.test = 20; }, {"left for training"});
  refuses([](SplitOptions& o) { o.folds = 21; }, {"21 folds", "there are 20"});
  refuses([](SplitOptions& o) { o.train_fraction = 0.9; }, {"exceed the 20 participants"});
  std::vector<SplitSubject> twice = subjects(4);
  twice.push_back(twice.front());
  expect_error<core::UsageError>([&] { make_splits(twice, SplitOptions(), 1); },
                                 {"sub-000 is there twice"});
}

TEST(Split, StrataOfTables) {
  const core::Table table = core::Table::parse(
      "participant_id\tsession_id\tregion\tscanner\trater1\n"
      "a\tses-1\tbg\tx\t1\na\tses-2\tbg\tx\t3\na\tses-1\tcso\tx\t90\n"
      "b\tses-1\tbg\ty\t10\nc\tses-1\tbg\ty\tn/a\nd\tses-1\tbg\tx\t5\n",
      "scores.tsv");
  const std::vector<std::string> all = {"a", "b", "c", "d"};
  EXPECT_EQ(participants_of_table(table, ""), all);
  EXPECT_THAT(participants_of_table(table, "cso"), testing::ElementsAre("a"));
  EXPECT_THAT(strata_of_table(table, "scanner", "bg", 4, all),
              testing::ElementsAre("x", "y", "y", "x"));
  // Means 2, 10, n/a, 5 in two quantiles.
  EXPECT_THAT(strata_of_table(table, "rater1", "bg", 2, all),
              testing::ElementsAre("q1", "q2", "n/a", "q2"));
  expect_error<core::InputError>([&] { participants_of_table(table, "hippocampi"); },
                                 {"scores.tsv has no participants with region 'hippocampi'"});
  expect_error<core::UsageError>([&] { strata_of_table(table, "scaner", "", 4, all); },
                                 {"scaner", "scanner"});
  expect_error<core::InputError>(
      [&] {
        strata_of_table(table, "scanner", "", 4, {"a", "e"});
      },
      {"no row for participant e"});
  expect_error<core::InputError>([&] { strata_of_table(table, "session_id", "bg", 4, all); },
                                 {"participant a has 'ses-1' and 'ses-2'"});
  const core::Table missing = core::Table::parse("participant_id\tage\nn/a\t3\n", "p.tsv");
  expect_error<core::InputError>([&] { participants_of_table(missing, ""); },
                                 {"p.tsv line 2", "participant_id is missing"});
}

}  // namespace
}  // namespace epvs::data
