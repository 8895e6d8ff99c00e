#include "core/table.h"

#include <cmath>

#include "core/error.h"
#include "core/files.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

using tests::expect_error;
using tests::TemporaryFolder;

TEST(Table, WritesAndReadsBackTheSameCells) {
  const TemporaryFolder folder;
  Table table({"participant_id", "rater1"});
  table.add_row({"sub-01", "0.1"});
  table.add_row({"sub-02", ""});
  table.write(folder / "a.tsv");
  const Table read = Table::read(folder / "a.tsv");
  EXPECT_EQ(read.columns(), table.columns());
  EXPECT_EQ(read.number(0, "rater1"), 0.1);
  EXPECT_TRUE(read.missing(1, 1));
  EXPECT_TRUE(std::isnan(read.number(1, "rater1")));
}

TEST(Table, UnderstandsByteOrderMarkAndWindowsLineEnds) {
  const Table table = Table::parse(
      "\xEF\xBB\xBF"
      "a\tb\r\n1\t2\r\n",
      "x.tsv");
  EXPECT_EQ(table.columns(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(table.number(0, "b"), 2.0);
}

TEST(Table, ReadsCommaSeparatedFilesByTheirName) {
  const TemporaryFolder folder;
  write_text(folder / "a.csv", "id,\"a \"\"b\"\"\"\n1,\"x,y\"\n");
  const Table table = Table::read(folder / "a.csv");
  EXPECT_EQ(table.columns()[1], "a \"b\"");
  EXPECT_EQ(table.cell(0, 1), "x,y");
}

TEST(Table, RefusesWhatIsNotAStrictTable) {
  expect_error<InputError>([] { Table::parse("", "x.tsv"); }, {"x.tsv is empty"});
  expect_error<InputError>([] { Table::parse("a\tb\n1\n", "x.tsv"); },
                           {"x.tsv line 2", "1 cells", "2 columns"});
  expect_error<InputError>([] { Table::parse("a\ta\n", "x.tsv"); }, {"'a' appears twice"});
  expect_error<InputError>([] { Table::parse("a\t\n", "x.tsv"); }, {"column 2 has no name"});
  expect_error<InputError>([] { Table::parse("a,b\n1,2\n", "x.tsv"); }, {"','", ".csv"});
  expect_error<InputError>([] { Table::parse("a;b\n1;2\n", "x.tsv"); }, {"';'"});
  expect_error<InputError>(
      [] {
        Table::parse(
            "\xFF\xFE"
            "a",
            "x.tsv");
      },
      {"UTF-16"});
  expect_error<InputError>([] { Table::parse("a,b\n\"1,2\n", "x.csv", ','); },
                           {"quotation mark is not closed"});
}

TEST(Table, NumbersNameTheirPlaceWhenTheyAreNone) {
  const Table table = Table::parse("id\trater1\na\t2,5\nb\tmany\nc\tinf\n", "x.tsv");
  expect_error<InputError>([&] { table.number(0, "rater1"); },
                           {"x.tsv line 2", "rater1", "2,5", "not a comma"});
  expect_error<InputError>([&] { table.number(1, "rater1"); }, {"x.tsv line 3", "many"});
  expect_error<InputError>([&] { table.number(2, "rater1"); }, {"finite"});
  expect_error<InputError>([&] { table.integer(1, "rater1"); }, {"whole number"});
  expect_error<InputError>([&] { table.number(0, "rater_1"); },
                           {"no column", "did you mean 'rater1'"});
}

TEST(Table, CellsCannotBreakTheTable) {
  Table table({"a"});
  expect_error<InputError>([&] { table.add_row({"x\ty"}); }, {"tab or line break"});
}

TEST(Table, AlignedTextRoundsNumbersButNotNames) {
  Table table({"name", "value"});
  table.add_row({"sub-0123456", "0.123456789"});
  table.add_row({"x", "12345"});
  EXPECT_EQ(table.to_aligned(3), "name         value\nsub-0123456  0.123\nx            12345\n");
}

}  // namespace
}  // namespace epvs::core
