#include "core/scores.h"

#include <cmath>

#include "core/error.h"
#include "core/files.h"
#include "core/splits.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

using tests::expect_error;
using tests::TemporaryFolder;

ScoresTable parse(const std::string& text, const std::vector<std::string>& only = {}) {
  return ScoresTable::from_table(Table::parse(text, "scores.tsv"), only);
}

TEST(Scores, EveryColumnThatIsNoKeyIsAScorer) {
  const ScoresTable scores =
      parse("participant_id\tregion\trater1\trater2\nsub-01\tbg\t3\t4.5\nsub-02\tbg\tn/a\t-1\n");
  EXPECT_EQ(scores.scorers, (std::vector<std::string>{"rater1", "rater2"}));
  EXPECT_TRUE(scores.has_region);
  EXPECT_FALSE(scores.has_session);
  EXPECT_EQ(scores.keys[1].text(), "sub-02 bg");
  EXPECT_TRUE(std::isnan(scores.values[1][0]));
  EXPECT_EQ(scores.values[1][1], -1.0);
}

TEST(Scores, OtherColumnsMayBeTextWhenScorersAreNamed) {
  const std::string text = "participant_id\tremark\trater1\nsub-01\tblurred\t3\n";
  EXPECT_EQ(parse(text, {"rater1"}).values[0][0], 3.0);
  expect_error<InputError>([&] { parse(text); }, {"line 2", "remark", "blurred"});
}

TEST(Scores, RefusesDoubleRowsAndUnknownScorers) {
  expect_error<InputError>([] { parse("participant_id\tr\nsub-01\t1\nsub-02\t1\nsub-01\t2\n"); },
                           {"line 4", "sub-01 was scored already", "line 2"});
  expect_error<UsageError>([] { parse("participant_id\trater1\nsub-01\t1\n", {"rater"}); },
                           {"no scorer 'rater'", "rater1"});
  expect_error<UsageError>(
      [] { parse("participant_id\tregion\trater1\nsub-01\tbg\t1\n", {"region"}); }, {"key column"});
  expect_error<InputError>([] { parse("id\tr\nsub-01\t1\n"); }, {"no column 'participant_id'"});
  expect_error<InputError>([] { parse("participant_id\tr\nn/a\t1\n"); },
                           {"participant_id is missing"});
}

TEST(Regions, AnUnknownNameIsUsageAKnownOneThatIsLackingIsInput) {
  expect_error<InputError>([] { throw_no_region("c.h5", "cso", {"bg"}); },
                           {"c.h5 has no region 'cso'", "it has bg"});
  expect_error<UsageError>([] { throw_no_region("c.h5", "gb", {"bg"}); },
                           {"no region 'gb'", "did you mean 'bg'"});
}

TEST(Splits, WritesReadsAndSelects) {
  const TemporaryFolder folder;
  const Splits splits(
      {{0, 0, "a", Split::kTrain}, {0, 0, "b", Split::kTest}, {0, 1, "a", Split::kTest}});
  splits.write(folder / "s.tsv");
  const Splits read = Splits::read(folder / "s.tsv");
  EXPECT_EQ(read.participants(0, 0, Split::kTrain), std::vector<std::string>{"a"});
  EXPECT_EQ(read.participants(0, 1, Split::kTest), std::vector<std::string>{"a"});
  EXPECT_TRUE(read.participants_or_none(0, 0, Split::kValidation).empty());
  EXPECT_EQ(read.pairs().size(), 2U);
}

TEST(Splits, RefusesWhatWouldLeakOrIsNotThere) {
  expect_error<InputError>(
      [] {
        Splits({{0, 0, "a", Split::kTrain}, {0, 0, "a", Split::kTest}}, "s.tsv");
      },
      {"a is in train and in test", "repeat 0, fold 0"});
  const TemporaryFolder folder;
  write_text(folder / "s.tsv", "repeat\tfold\tparticipant_id\tsplit\n0\t0\ta\tholdout\n");
  expect_error<InputError>([&] { Splits::read(folder / "s.tsv"); },
                           {"s.tsv", "a: split = 'holdout'", "train, validation, test"});
  const Splits splits({{0, 0, "a", Split::kTrain}}, "s.tsv");
  expect_error<InputError>([&] { splits.participants(0, 3, Split::kTrain); },
                           {"no repeat 0 fold 3", "repeat 0 fold 0"});
  expect_error<InputError>([&] { splits.participants(0, 0, Split::kTest); },
                           {"has no test participants"});
}

}  // namespace
}  // namespace epvs::core
