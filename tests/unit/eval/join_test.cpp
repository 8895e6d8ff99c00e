#include "eval/join.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/files.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using core::InputError;
using core::ScoresTable;
using core::UsageError;
using tests::expect_error;

ScoresTable table(const std::string& text, const std::string& name = "t.tsv") {
  return ScoresTable::from_table(core::Table::parse(text, name));
}

JoinOptions by(const std::string& reference) {
  JoinOptions options;
  options.reference = reference;
  return options;
}

const char* kVisual = "participant_id\tr1\nb\t2\na\t1\nc\t3\n";
const char* kMethod = "participant_id\tgp\na\t10\nb\t20\nc\t30\n";

TEST(Join, MatchesByKeyNotByOrder) {
  const Dataset data = join({table(kVisual), table(kMethod)}, by("gp"));
  ASSERT_EQ(data.units.size(), 3u);
  EXPECT_EQ(data.scorers, (std::vector<std::string>{"gp", "r1"}));  // the reference first
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(data.values[0][i], 10 * data.values[1][i]);
}

TEST(Join, NamesThoseThatOneTableLacks) {
  const auto half = table("participant_id\tgp\na\t10\n");
  expect_error<InputError>(
      [&] {
        join({table(kVisual), half}, by("r1"));
      },
      {"'gp' lacks 2 of 3: b, c", "--allow-missing"});
  JoinOptions options = by("r1");
  options.allow_missing = true;
  const Dataset data = join({table(kVisual), half}, options);
  EXPECT_EQ(data.units.size(), 3u);
  EXPECT_TRUE(std::isnan(data.values[1][0]));
}

TEST(Join, MissingCellCountsAsMissing) {
  const auto gap = table("participant_id\tgp\na\t1\nb\tn/a\nc\t3\n");
  expect_error<InputError>(
      [&] {
        join({table(kVisual), gap}, by("r1"));
      },
      {"'gp' lacks 1 of 3: b"});
}

TEST(Join, SameScorerInSeveralFoldTables) {
  const auto first = table("participant_id\tfold\tgp\na\t0\t1\n", "f0.tsv");
  const auto second = table("participant_id\tfold\tgp\nb\t1\t2\nc\t1\t3\n", "f1.tsv");
  const Dataset data = join({table(kVisual), first, second}, by("r1"));
  EXPECT_EQ(data.values[0], data.values[1]);
  const auto again = table("participant_id\tgp\na\t1\n", "again.tsv");
  const auto once = table("participant_id\tgp\na\t1\n", "once.tsv");
  expect_error<InputError>(
      [&] {
        join({table(kVisual), once, again}, by("r1"));
      },
      {"again.tsv", "a was scored by 'gp' in another table already"});
}

TEST(Join, TableWithoutSessionsNeedsOneSessionEach) {
  const auto sessions = table("participant_id\tsession_id\tgp\na\t1\t5\nb\t1\t6\nc\t2\t7\n");
  EXPECT_EQ(join({table(kVisual), sessions}, by("r1")).units.size(), 3u);
  const auto twice = table("participant_id\tsession_id\tgp\na\t1\t5\na\t2\t6\nb\t1\t1\nc\t1\t1\n");
  expect_error<InputError>(
      [&] {
        join({table(kVisual), twice}, by("r1"));
      },
      {"has no sessions, but a has the sessions 1 and 2"});
}

TEST(Join, TableWithoutRegionsNeedsOneRegion) {
  const auto one = table("participant_id\tregion\tgp\na\tbg\t5\nb\tbg\t6\nc\tbg\t7\n");
  EXPECT_EQ(join({table(kVisual), one}, by("r1")).units[0].region, "bg");
  const auto two = table("participant_id\tregion\tgp\na\tbg\t5\na\tcso\t6\nb\tbg\t1\nc\tbg\t1\n");
  expect_error<InputError>(
      [&] {
        join({table(kVisual), two}, by("r1"));
      },
      {"no region column", "bg, cso"});
  JoinOptions options = by("r1");
  options.regions = {"bg"};
  EXPECT_EQ(join({table(kVisual), two}, options).units.size(), 3u);
}

TEST(Join, TablesThatEachLackAKeyOfTheOther) {
  const auto region = table("participant_id\tregion\tgp\na\tbg\t5\n", "r.tsv");
  const auto session = table("participant_id\tsession_id\tr1\na\t1\t5\n", "s.tsv");
  expect_error<InputError>(
      [&] {
        join({region, session}, by("r1"));
      },
      {"r.tsv, s.tsv cannot be joined"});
}

TEST(Join, SplitChoosesParticipants) {
  const core::Splits splits({{0, 0, "a", core::Split::kTrain},
                             {0, 0, "b", core::Split::kTest},
                             {0, 0, "c", core::Split::kTest},
                             {0, 1, "a", core::Split::kTest},
                             {0, 1, "b", core::Split::kTrain},
                             {0, 1, "c", core::Split::kTrain}});
  JoinOptions options = by("r1");
  options.splits = &splits;
  EXPECT_EQ(join({table(kVisual), table(kMethod)}, options).units.size(), 2u);
  options.fold = 1;
  const Dataset one = join({table(kVisual), table(kMethod)}, options);
  ASSERT_EQ(one.units.size(), 1u);
  EXPECT_EQ(one.units[0].participant_id, "a");
}

TEST(Join, CrossValidationPoolsTheTestPartOfEachFold) {
  const core::Splits splits({{0, 0, "a", core::Split::kTrain},
                             {0, 0, "b", core::Split::kTest},
                             {0, 0, "c", core::Split::kTest},
                             {0, 1, "a", core::Split::kTest},
                             {0, 1, "b", core::Split::kTrain},
                             {0, 1, "c", core::Split::kTrain}});
  const auto folds =
      table("participant_id\tfold\tgp\nb\t0\t2\nc\t0\t3\na\t1\t1\na\t0\t99\nb\t1\t99\n");
  JoinOptions options = by("r1");
  options.splits = &splits;
  const Dataset data = join({table(kVisual), folds}, options);
  EXPECT_EQ(data.units.size(), 3u);
  EXPECT_EQ(data.values[0], data.values[1]);  // none of the 99 of training participants
}

TEST(Join, ParticipantsOfTheSplitWithoutAnyScore) {
  const core::Splits splits({{0, 0, "a", core::Split::kTest}, {0, 0, "zed", core::Split::kTest}});
  JoinOptions options = by("r1");
  options.splits = &splits;
  expect_error<InputError>(
      [&] {
        join({table(kVisual), table(kMethod)}, options);
      },
      {"no scores at all: zed"});
  options.allow_missing = true;
  EXPECT_EQ(join({table(kVisual), table(kMethod)}, options).unscored_participants,
            std::vector<std::string>{"zed"});
}

TEST(Join, WrongScorerNames) {
  const std::vector<ScoresTable> tables = {table(kVisual), table(kMethod)};
  expect_error<UsageError>([&] { join(tables, by("gpp")); }, {"'gpp'", "did you mean 'gp'"});
  expect_error<UsageError>([&] { join(tables, by("region")); }, {"'region' is a key column"});
  JoinOptions options = by("r1");
  options.scorers = {"nobody"};
  expect_error<UsageError>([&] { join(tables, options); }, {"--scorers", "'nobody'"});
  expect_error<UsageError>([&] { join({table(kVisual)}, by("r1")); },
                           {"no scorer beside the reference 'r1'"});
}

TEST(Join, EveryRegionAskedForIsThere) {
  const auto one = table("participant_id\tregion\tr1\tgp\na\tbg\t1\t2\nb\tbg\t1\t3\n");
  JoinOptions options = by("r1");
  options.regions = {"bg", "cso"};
  expect_error<core::InputError>([&] { join({one}, options); }, {"no region 'cso'", "it has bg"});
  options.regions = {"bgg"};
  expect_error<UsageError>([&] { join({one}, options); }, {"'bgg'", "did you mean 'bg'"});
}

TEST(Join, NothingLeft) {
  JoinOptions options = by("r1");
  options.fold = 3;
  const auto folds = table("participant_id\tfold\tgp\tr1\na\t0\t1\t1\n");
  expect_error<InputError>([&] { join({folds}, options); },
                           {"no row of the scores tables is left"});
}

TEST(ReadScores, SpreadColumnsAreNotScorers) {
  const tests::TemporaryFolder folder;
  core::write_text(folder / "s.tsv", "participant_id\tgp\tgp_sd\tlone_sd\na\t1\t.1\t4\n");
  EXPECT_EQ(read_scores(folder / "s.tsv", {}).scorers, (std::vector<std::string>{"gp", "lone_sd"}));
  expect_error<InputError>([&] { read_scores(folder / "s.tsv", {"cnn"}); },
                           {"none of the scorers asked for (cnn)"});
}

TEST(ReadScores, RefusesMoreRowsThanFitInMemory) {
  const tests::TemporaryFolder folder;
  std::string text = "participant_id\tgp\n";
  for (std::size_t i = 0; i < kMaximumRows + 1; ++i) text += "a\t1\n";
  core::write_text(folder / "s.tsv", text);
  expect_error<InputError>([&] { read_scores(folder / "s.tsv", {}); },
                           {"1000001 rows", "at most 1000000"});
}

}  // namespace
}  // namespace epvs::eval
