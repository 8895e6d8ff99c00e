#include "eval/report_tables.h"

#include <gtest/gtest.h>

#include "eval/tables.h"

namespace epvs::eval {
namespace {

MetricRow row(const std::string& region, const std::string& scorer, const std::string& metric,
              double estimate, double p) {
  Estimate value;
  value.estimate = estimate;
  value.p = p;
  return {region, "all", 76, "rater1", scorer, metric, "", value};
}

/// The correlations of Table 2 of P2 with p of 76 participants.
Evaluation p2() {
  Evaluation e;
  e.metrics = {
      row("cso", "gp_unet", "pearson", .78, 1e-16), row("cso", "cnn", "pearson", .52, 1e-6),
      row("bg", "gp_unet", "pearson", .31, .0064),  row("bg", "cnn", "pearson", .25, .029),
      row("cso", "gp_unet", "mae", 5.58, kNaN),     row("bg", "gp_unet", "mae", 5.67, kNaN)};
  return e;
}

const ReportTable& table(const std::vector<ReportTable>& tables, const std::string& name) {
  for (const ReportTable& t : tables) {
    if (t.name == name) return t;
  }
  throw std::runtime_error(name);
}

TEST(ReportTables, BoldMeansSignificantAfterCorrection) {
  EvaluationOptions options;
  options.adjustment = Adjustment::kNone;
  const auto raw = report_tables(p2(), "rater1", options);
  EXPECT_TRUE(table(raw, "correlation").rows[1][4].bold);  // .25, p = .029
  options.adjustment = Adjustment::kBonferroni;
  const auto corrected = report_tables(p2(), "rater1", options);
  const ReportTable& t = table(corrected, "correlation");
  EXPECT_EQ(t.header, (std::vector<std::string>{"region", "group", "n", "gp_unet", "cnn"}));
  EXPECT_TRUE(t.rows[0][3].bold);
  EXPECT_TRUE(t.rows[1][3].bold);   // 4 x .0064 < .05
  EXPECT_FALSE(t.rows[1][4].bold);  // 4 x .029 > .05
  EXPECT_NE(t.to_markdown().find("| cso | all | 76 | **0.78** | **0.52** |"), std::string::npos);
  EXPECT_NE(t.to_markdown().find("| bg | all | 76 | **0.31** | 0.25 |"), std::string::npos);
  EXPECT_NE(t.to_latex().find("gp\\_unet"), std::string::npos);
  EXPECT_NE(t.to_latex().find("\\textbf{0.31} & 0.25 \\\\"), std::string::npos);
  EXPECT_NE(t.to_latex().find("95\\%"), std::string::npos);
}

TEST(ReportTables, MissingCellsAreMarkedAndNeverBold) {
  const auto tables = report_tables(p2(), "rater1", {});
  const ReportTable& t = table(tables, "mae");
  EXPECT_EQ(t.rows[0][4].text, "n/a");
  EXPECT_FALSE(t.rows[0][3].bold);
  EXPECT_EQ(table(tables, "agreement").rows.size(), 4u);
}

TEST(ReportTables, SpecialCharactersAreEscaped) {
  ReportTable t;
  t.header = {"scanner=a_b", "r<=20"};
  t.rows = {{{"50% & more", false}, {"0|10", true}}};
  EXPECT_NE(t.to_latex().find("scanner=a\\_b & r$\\lt$=20 \\\\"), std::string::npos);
  EXPECT_NE(t.to_latex().find("50\\% \\& more"), std::string::npos);
  EXPECT_NE(t.to_markdown().find("**0\\|10**"), std::string::npos);
}

Dataset small_data() {
  Dataset data;
  data.scorers = {"rater1", "gp"};
  data.units = {{"sub-1", "", "bg", "", ""}, {"sub-2", "", "bg", "", ""}};
  data.values = {{1, 2}, {1.5, kNaN}};
  return data;
}

TEST(PointsTable, HoldsKeysGroupsAndScores) {
  const core::Table t = points_table(small_data(), {{"scanner", {"ge", "philips"}}});
  EXPECT_EQ(t.columns(), (std::vector<std::string>{"participant_id", "session_id", "region", "fold",
                                                   "repeat", "scanner", "rater1", "gp"}));
  EXPECT_EQ(t.cell(1, "scanner"), "philips");
  EXPECT_TRUE(t.missing(1, t.index("gp")));
  EXPECT_EQ(t.number(0, "gp"), 1.5);
}

TEST(Methods, SaysWhatWasDoneAndNothingElse) {
  EvaluationOptions options;
  Evaluation evaluation = p2();
  const std::string plain = methods_paragraph(evaluation, small_data(), {}, options);
  EXPECT_NE(plain.find("Scores of 2 participants in bg by gp"), std::string::npos);
  EXPECT_EQ(plain.find("Bootstrap"), std::string::npos);
  EXPECT_EQ(plain.find("Williams"), std::string::npos);  // nothing was compared
  EXPECT_EQ(plain.find("kappa"), std::string::npos);
  evaluation.comparisons.emplace_back();
  options.resampling.bootstrap = 10000;
  options.resampling.seed = 7;
  options.resampling.permutations = 500;
  options.cuts = {{10}, {0, 10}};
  options.adjustment = Adjustment::kBenjaminiHochberg;
  std::string full = methods_paragraph(evaluation, small_data(), {{"scanner"}, {}, {}}, options);
  for (char& c : full) c = c == '\n' ? ' ' : c;
  for (const char* text : {"10000 resamples", "(seed 7)", "500 permutations", "Williams",
                           "Benjamini and Hochberg", "above 10", "bounds 0|10", "by scanner"}) {
    EXPECT_NE(full.find(text), std::string::npos) << text;
  }
}

TEST(Tables, JsonKeepsNumbersAndMissing) {
  const core::Json rows = table_to_json(metrics_table(p2()));
  EXPECT_EQ(rows[0]["estimate"].get<double>(), .78);
  EXPECT_EQ(rows[0]["n"].get<int>(), 76);
  EXPECT_TRUE(rows[4]["p"].is_null());
  EXPECT_TRUE(rows[0]["parameter"].is_null());
}

TEST(Tables, SmallPValuesAreNotZero) {
  EXPECT_EQ(format_p(1e-9), "<0.0001");
  EXPECT_EQ(format_p(.01234), "0.0123");
  EXPECT_EQ(format_p(kNaN), "n/a");
}

}  // namespace
}  // namespace epvs::eval
