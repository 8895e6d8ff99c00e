// `epvs eval` as users meet it: outputs, provenance, every bad input with its message and exit
// code.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "core/text.h"
#include "tests/support/test_support.h"

namespace epvs {
namespace {

using tests::CommandResult;
using tests::run_epvs;
using tests::TemporaryFolder;

class EvalCommandLine : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    core::write_text(folder_ / name, text);
  }
  CommandResult eval(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "eval");
    return run_epvs(arguments, folder_.path());
  }
  /// The two standard tables with `extra` options.
  CommandResult standard(std::vector<std::string> extra = {}) {
    std::vector<std::string> arguments = {"--scores",    "visual.tsv", "--scores", "gp.tsv",
                                          "--reference", "rater1",     "--out",    "out"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return eval(arguments);
  }
  void SetUp() override {
    std::string visual = "participant_id\tregion\trater1\trater2\n";
    std::string gp = "participant_id\tregion\tgp\n";
    std::string participants = "participant_id\tscanner\n";
    for (int i = 0; i < 12; ++i) {
      const std::string id = "sub-" + std::to_string(i);
      visual += id + "\tbg\t" + std::to_string((i * 7) % 11) + "\t" +
                std::to_string((i * 7) % 11 + i % 2) + "\n";
      gp += id + "\tbg\t" + std::to_string((i * 7) % 11 + (i * 3) % 5) + ".5\n";
      participants += id + "\t" + (i % 3 == 0 ? "ge" : "philips") + "\n";
    }
    write("visual.tsv", visual);
    write("gp.tsv", gp);
    write("participants.tsv", participants);
  }

  TemporaryFolder folder_;
};

TEST_F(EvalCommandLine, WritesTablesWithProvenance) {
  const CommandResult result =
      standard({"--participants", "participants.tsv", "--group-by", "scanner"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("scanner=ge"), std::string::npos);
  EXPECT_NE(result.out.find("Williams"), std::string::npos);
  const core::Table metrics = core::Table::read(folder_ / "out/metrics.tsv");
  EXPECT_EQ(metrics.columns(),
            (std::vector<std::string>{"region", "group", "n", "reference", "scorer", "metric",
                                      "parameter", "estimate", "ci_low", "ci_high", "ci_method",
                                      "statistic", "df1", "df2", "p", "note"}));
  const core::Table comparisons = core::Table::read(folder_ / "out/comparisons.tsv");
  EXPECT_EQ(
      comparisons.columns(),
      (std::vector<std::string>{"region", "group", "n", "reference", "scorer_a", "scorer_b", "test",
                                "metric", "difference", "ci_low", "ci_high", "statistic", "df", "p",
                                "p_adjusted", "adjustment", "family", "note"}));
  const core::Json document = core::read_json(folder_ / "out/metrics.json");
  EXPECT_EQ(document["metrics"].size(), metrics.rows());
  EXPECT_EQ(document["comparisons"].size(), comparisons.rows());
  EXPECT_EQ(document["provenance"]["inputs"].size(), 3u);
  EXPECT_EQ(document["metrics"][0]["estimate"].get<double>(), metrics.number(0, "estimate"));
}

TEST_F(EvalCommandLine, ShroutFleissTogether) {
  write("sf.tsv",
        "participant_id\tj1\tj2\tj3\tj4\n1\t9\t2\t5\t8\n2\t6\t1\t3\t2\n3\t8\t4\t6\t8\n"
        "4\t7\t1\t2\t6\n5\t10\t5\t6\t9\n6\t6\t2\t4\t7\n");
  const CommandResult result = eval(
      {"--scores", "sf.tsv", "--reference", "j1", "--together", "j1,j2,j3,j4", "--out", "out"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table metrics = core::Table::read(folder_ / "out/metrics.tsv");
  const std::vector<double> published = {.17, .29, .71, .44, .62, .91};
  std::vector<double> found;
  for (std::size_t row = 0; row < metrics.rows(); ++row) {
    if (metrics.cell(row, "scorer") == "j1+j2+j3+j4") {
      found.push_back(std::round(100 * metrics.number(row, "estimate")) / 100);
    }
  }
  EXPECT_EQ(found, published);
}

TEST_F(EvalCommandLine, HelpIsAManualPageAndFast) {
  const auto start = std::chrono::steady_clock::now();
  const CommandResult result = eval({"--help"});
  const auto elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(result.exit_code, 0);
  for (const char* text : {"NAME", "SYNOPSIS", "EXAMPLES", "CITATIONS", "--allow-missing"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << text;
  }
  EXPECT_LT(std::chrono::duration<double>(elapsed).count(), .5);  // 8 ms alone on the machine
}

TEST_F(EvalCommandLine, RefusesToOverwrite) {
  ASSERT_EQ(standard().exit_code, 0);
  tests::expect_result(standard(), 2, {"metrics.tsv exists already", "--force"});
  EXPECT_EQ(standard({"--force"}).exit_code, 0);
}

TEST_F(EvalCommandLine, DryRunWritesNothing) {
  const CommandResult result = standard({"--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  EXPECT_NE(result.err.find("--dry-run: all inputs were checked; without it metrics.tsv"),
            std::string::npos)
      << result.err;
}

TEST_F(EvalCommandLine, ConstantScorerIsMissingWithReasonAndExitZero) {
  write("gp.tsv", "participant_id\tflat\n");
  std::string text = "participant_id\tflat\n";
  for (int i = 0; i < 12; ++i) text += "sub-" + std::to_string(i) + "\t3\n";
  write("gp.tsv", text);
  const CommandResult result = standard();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(core::read_text(folder_ / "out/metrics.tsv").find("the scorer is constant"),
            std::string::npos);
}

TEST_F(EvalCommandLine, TwoParticipantsGiveReasonsNotNumbers) {
  write("visual.tsv", "participant_id\trater1\na\t1\nb\t2\n");
  write("gp.tsv", "participant_id\tgp\na\t1\nb\t4\n");
  ASSERT_EQ(standard().exit_code, 0);
  EXPECT_NE(core::read_text(folder_ / "out/metrics.tsv").find("n = 2, below the minimum of 3"),
            std::string::npos);
}

TEST_F(EvalCommandLine, MissingParticipantsAreNamed) {
  write("gp.tsv", "participant_id\tregion\tgp\nsub-1\tbg\t2\nsub-2\tbg\t3\nsub-3\tbg\t5\n");
  tests::expect_result(standard(), 3, {"'gp' lacks 9 of 12: sub-0 bg", "--allow-missing"});
  EXPECT_EQ(standard({"--allow-missing"}).exit_code, 0);
  EXPECT_NE(core::read_text(folder_ / "out/metrics.tsv").find("9 of 12 units lack a score"),
            std::string::npos);
}

TEST_F(EvalCommandLine, BadCells) {
  write("gp.tsv", "participant_id\tgp\nsub-1\tinf\n");
  tests::expect_result(standard(), 3, {"gp.tsv line 2", "'inf'", "finite number"});
  write("gp.tsv", "participant_id\tgp\nsub-1\tnan\n");
  tests::expect_result(standard(), 3, {"gp.tsv line 2", "'nan'"});
  write("gp.tsv", "participant_id\tgp\nsub-1\t3,5\n");
  tests::expect_result(standard(), 3, {"'3,5'", "point, not a comma"});
  write("gp.tsv", "participant_id\tgp\nsub-1\tmany\n");
  tests::expect_result(standard(), 3, {"gp.tsv line 2", "column 'gp'", "'many'"});
  write("gp.tsv", "participant_id\tgp\nsub-1\t1\nsub-2\t2\nsub-1\t3\n");
  tests::expect_result(standard(), 3, {"gp.tsv line 4", "sub-1 was scored already", "line 2"});
  write("gp.tsv", "participant_id\tgp\nsub-1\t1\textra\n");
  tests::expect_result(standard(), 3, {"gp.tsv line 2", "3 cells", "2 columns"});
  write("gp.tsv", "participant_id,gp\nsub-1,1\n");
  tests::expect_result(standard(), 3, {"separated by ','", ".csv"});
  write("gp.tsv", "");
  tests::expect_result(standard(), 3, {"gp.tsv is empty"});
  write("gp.tsv", "subject\tgp\n1\t2\n");
  tests::expect_result(standard(), 3, {"no column 'participant_id'"});
}

TEST_F(EvalCommandLine, WhatRWritesIsRefusedWithTheRemedy) {
  write("gp.tsv", "participant_id\tgp\nsub-1\tNA\n");
  tests::expect_result(standard(), 3, {"gp.tsv line 2", "'NA'", "written n/a", "na = \"n/a\""});
  write("gp.csv", "participant_id;gp\nsub-1;3,5\n");
  tests::expect_result(eval({"--scores", "visual.tsv", "--scores", "gp.csv", "--reference",
                             "rater1", "--out", "out"}),
                       3, {"separated by ';'", "write.csv2"});
  write("participants.tsv", "participant_id\tscanner\nsub-0\tNA\nsub-1\tge\n");
  write("gp.tsv", "participant_id\tregion\tgp\nsub-0\tbg\t1\nsub-1\tbg\t2\n");
  write("visual.tsv", "participant_id\tregion\trater1\nsub-0\tbg\t1\nsub-1\tbg\t2\n");
  tests::expect_result(standard({"--participants", "participants.tsv", "--group-by", "scanner"}), 3,
                       {"participants.tsv line 2", "'scanner' holds NA", "n/a"});
}

TEST_F(EvalCommandLine, NamesWithAndWithoutSubAreRefused) {
  std::string without;
  for (const char c : core::read_text(folder_ / "gp.tsv")) without += c;
  for (std::size_t at = without.find("sub-"); at != std::string::npos; at = without.find("sub-")) {
    without.erase(at, 4);
  }
  write("bare.tsv", without);
  const std::vector<std::string> texts = {"differently", "sub-0", "write participant_id the same"};
  const std::vector<std::string> call = {"--scores",    "visual.tsv", "--scores", "bare.tsv",
                                         "--reference", "rater1",     "--out",    "out"};
  tests::expect_result(eval(call), 3, texts);
  std::vector<std::string> allowed = call;
  allowed.emplace_back("--allow-missing");
  tests::expect_result(eval(allowed), 3, texts);
  write("splits.tsv", "repeat\tfold\tparticipant_id\tsplit\n0\t0\t3\ttest\n");
  tests::expect_result(standard({"--splits", "splits.tsv"}), 3, {"the splits", "'sub-3'", "'3'"});
  write("participants.tsv", "participant_id\tscanner\n0\tge\n");
  tests::expect_result(standard({"--participants", "participants.tsv", "--group-by", "scanner"}), 3,
                       {"no row for sub-0", "'sub-0'", "'0'"});
}

TEST_F(EvalCommandLine, SmallGroupsStandInOneLineOfThePrintedTable) {
  std::string participants = "participant_id\tsite\n";
  for (int i = 0; i < 12; ++i) {
    participants +=
        "sub-" + std::to_string(i) + "\t" + (i < 9 ? "a" : "b" + std::to_string(i)) + "\n";
  }
  write("participants.tsv", participants);
  const CommandResult result =
      standard({"--participants", "participants.tsv", "--group-by", "site"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("site=a "), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("n/a"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("Fewer than 3 units, not evaluated: bg site=b10 (n = 1), bg site=b11 "
                            "(n = 1), bg site=b9"),
            std::string::npos)
      << result.out;
  EXPECT_NE(core::read_text(folder_ / "out/metrics.tsv").find("n = 1, below the minimum of 3"),
            std::string::npos);
}

TEST_F(EvalCommandLine, PrintedTablesFitTheScreen) {
  std::string wide = "participant_id\tregion\ta_network_with_quite_a_long_name_of_its_own\n";
  std::string participants = "participant_id\tscanner_model_and_software\n";
  for (int i = 0; i < 12; ++i) {
    const std::string id = "sub-" + std::to_string(i);
    wide += id + "\tbg\t" + std::to_string((i * 7) % 11 + 1000 * ((i * 3) % 5)) + "\n";
    participants += id + "\tPhilips Achieva 3.0T release " + std::to_string(i % 2) + "\n";
  }
  write("wide.tsv", wide);
  write("participants.tsv", participants);
  const CommandResult result =
      standard({"--scores", "wide.tsv", "--participants", "participants.tsv", "--group-by",
                "scanner_model_and_software"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const std::string& line : core::split(result.out, '\n')) {
    EXPECT_LE(line.size(), 100U) << line;
  }
  const std::size_t header = result.out.find("region");
  const std::string titles = result.out.substr(header, result.out.find('\n', header) - header);
  EXPECT_TRUE(titles.ends_with("p(r)")) << titles;
}

TEST_F(EvalCommandLine, WindowsLinesMarkAndCsvAreUnderstood) {
  ASSERT_EQ(standard().exit_code, 0);
  const std::string plain = core::read_text(folder_ / "out/metrics.tsv");
  std::string csv = "\xEF\xBB\xBF";
  for (const char c : core::read_text(folder_ / "gp.tsv")) {
    csv += c == '\t' ? std::string(",") : c == '\n' ? std::string("\r\n") : std::string(1, c);
  }
  write("gp.csv", csv);
  ASSERT_EQ(eval({"--scores", "visual.tsv", "--scores", "gp.csv", "--reference", "rater1", "--out",
                  "csv"})
                .exit_code,
            0);
  EXPECT_EQ(core::read_text(folder_ / "csv/metrics.tsv"), plain);
}

TEST_F(EvalCommandLine, BootstrapIsTheSameForAnyThreads) {
  for (const char* threads : {"1", "3"}) {
    const CommandResult result =
        standard({"--bootstrap", "200", "--permutations", "100", "--seed", "4", "--thresholds", "5",
                  "--categories", "0,3,8", "--threads", threads, "--force"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    core::write_text(folder_ / threads, core::read_text(folder_ / "out/metrics.tsv") +
                                            core::read_text(folder_ / "out/comparisons.tsv"));
  }
  const std::string text = core::read_text(folder_ / "1");
  EXPECT_EQ(text, core::read_text(folder_ / "3"));
  for (const char* part : {"\tbca\t", "\tpercentile\t", "\tbootstrap\tmae\t",
                           "\tpermutation\tmae\t", "\tauc\t>5\t", "\tkappa_linear\t0|3|8\t"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
}

TEST_F(EvalCommandLine, GivenResamples) {
  std::string text;
  for (int i = 0; i < 12; ++i) text += (i == 0 ? "d0" : "\td" + std::to_string(i));
  text += "\n";
  for (int b = 0; b < 60; ++b) {
    for (int i = 0; i < 12; ++i) {
      text +=
          (i == 0 ? "" : "\t") + std::string("sub-") + std::to_string((i * i + b * (i + 3)) % 12);
    }
    text += "\n";
  }
  write("resamples.tsv", text);
  ASSERT_EQ(standard({"--resamples", "resamples.tsv"}).exit_code, 0);
  EXPECT_NE(core::read_text(folder_ / "out/metrics.tsv").find("\tbca\t"), std::string::npos);
  write("resamples.tsv", "a\tb\nsub-1\tsub-2\n");
  ASSERT_EQ(standard({"--resamples", "resamples.tsv", "--force"}).exit_code, 0);
  EXPECT_NE(core::read_text(folder_ / "out/metrics.tsv")
                .find("the given resamples draw 2 participants, not the 12 of this group"),
            std::string::npos);
  tests::expect_result(standard({"--resamples", "resamples.tsv", "--bootstrap", "9", "--force"}), 2,
                       {"exclude each other"});
}

TEST_F(EvalCommandLine, PaperTablesPointsAndMethods) {
  ASSERT_EQ(standard({"--participants", "participants.tsv", "--group-by", "scanner"}).exit_code, 0);
  EXPECT_NE(core::read_text(folder_ / "out/tables.md").find("| bg | all | 12 |"),
            std::string::npos);
  EXPECT_NE(core::read_text(folder_ / "out/tables.tex").find("\\toprule"), std::string::npos);
  EXPECT_NE(core::read_text(folder_ / "out/methods.md").find("12 participants"), std::string::npos);
  const core::Table points = core::Table::read(folder_ / "out/points.tsv");
  EXPECT_EQ(points.rows(), 12u);
  EXPECT_TRUE(points.has("scanner") && points.has("rater1") && points.has("gp"));
}

TEST_F(EvalCommandLine, BadUsage) {
  tests::expect_result(standard({"--categories", "0,20,10"}), 2,
                       {"--categories = 0|20|10", "above the one before"});
  tests::expect_result(standard({"--strata", "scanner", "--participants", "participants.tsv"}), 2,
                       {"--strata is given, but nothing is drawn"});
  tests::expect_result(eval({"--scores", "visual.tsv", "--out", "out"}), 2,
                       {"--reference is missing", "--associate"});
  tests::expect_result(eval({"--scores", "nowhere.tsv", "--reference", "r", "--out", "o"}), 3,
                       {"nowhere.tsv does not exist"});
  tests::expect_result(eval({"--scores", "visual.tsv", "--scores", "visual.tsv", "--reference",
                             "rater1", "--out", "o"}),
                       2, {"visual.tsv is given twice"});
  tests::expect_result(eval({"--scores", "visual.tsv", "--reference", "region", "--out", "o"}), 2,
                       {"'region' is a key column"});
  tests::expect_result(eval({"--scores", "visual.tsv", "--reference", "rater3", "--out", "o"}), 2,
                       {"'rater3'", "did you mean"});
  tests::expect_result(standard({"--refrence", "x"}), 2, {"unknown option --refrence"});
  tests::expect_result(standard({"--split", "test"}), 2, {"--split is given without --splits"});
  tests::expect_result(standard({"--participants", "participants.tsv"}), 2,
                       {"nothing uses it", "--group-by"});
  tests::expect_result(standard({"--group-by", "scanner"}), 2, {"needs a participants table"});
  tests::expect_result(standard({"--adjust", "fdr"}), 2, {"--adjust", "fdr"});
  tests::expect_result(standard({"--confidence", "1.5"}), 2, {"--confidence = 1.5"});
  tests::expect_result(standard({"--minimum-n", "1"}), 2, {"--minimum-n = 1"});
}

}  // namespace
}  // namespace epvs
