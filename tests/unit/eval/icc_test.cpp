#include "eval/agreement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/table.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using Columns = std::vector<std::vector<double>>;

std::array<Estimate, 6> icc_of(const Columns& columns) {
  const std::vector<std::span<const double>> spans(columns.begin(), columns.end());
  return icc(spans);
}

// Shrout & Fleiss 1979, table 2: six targets, four judges.
const Columns kShroutFleiss = {
    {9, 6, 8, 7, 10, 6}, {2, 1, 4, 1, 5, 2}, {5, 3, 6, 2, 6, 4}, {8, 2, 8, 6, 9, 7}};

TEST(Icc, ShroutFleissExample) {
  const auto forms = icc_of(kShroutFleiss);
  const std::array<double, 6> published = {.17, .29, .71, .44, .62, .91};
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(forms[i].estimate, published[i], .005) << kIccNames[i];
  }
  const std::array<std::span<const double>, 4> spans = {kShroutFleiss[0], kShroutFleiss[1],
                                                        kShroutFleiss[2], kShroutFleiss[3]};
  const MeanSquares ms = mean_squares(spans);  // table 3 of the paper
  EXPECT_NEAR(ms.between, 11.24, .005);
  EXPECT_NEAR(ms.within, 6.26, .005);
  EXPECT_NEAR(ms.raters, 32.49, .005);
  EXPECT_NEAR(ms.residual, 1.02, .005);
}

TEST(Icc, ConsistencyIgnoresAnOffsetAndAgreementDoesNot) {
  Columns shifted = kShroutFleiss;
  for (double& value : shifted[1]) value += 100;
  const auto before = icc_of(kShroutFleiss);
  const auto after = icc_of(shifted);
  EXPECT_NEAR(after[2].estimate, before[2].estimate, 1e-12);
  EXPECT_LT(after[1].estimate, .5 * before[1].estimate);
}

TEST(Icc, EqualRatersGiveOneAndInfiniteF) {
  const auto forms = icc_of({{1, 2, 3, 7}, {1, 2, 3, 7}});
  for (const Estimate& form : forms) {
    EXPECT_EQ(form.estimate, 1);
    EXPECT_TRUE(std::isinf(form.statistic));
    EXPECT_EQ(form.p, 0);
  }
  EXPECT_EQ(forms[0].ci_low, 1);
  EXPECT_EQ(forms[5].ci_high, 1);
}

TEST(Icc, SaysWhyItDoesNotExist) {
  EXPECT_EQ(icc_of({{1, 2}, {2, 1}})[0].note, "n = 2, at least 3 are needed");
  EXPECT_EQ(icc_of({{1, 2, 3}})[0].note, "at least two scorers are needed");
  EXPECT_EQ(icc_of({{4, 4, 4}, {4, 4, 4}})[0].note, "every scorer is constant");
  EXPECT_TRUE(std::isnan(icc_of({{4, 4, 4}, {4, 4, 4}})[1].estimate));
}

TEST(Icc, LargeOffsetCostsNoDigits) {
  Columns far = kShroutFleiss;
  for (auto& column : far) {
    for (double& value : column) value += 1e9;
  }
  const auto near_forms = icc_of(kShroutFleiss);
  const auto far_forms = icc_of(far);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(far_forms[i].estimate, near_forms[i].estimate, 1e-12);
    EXPECT_NEAR(far_forms[i].ci_low, near_forms[i].ci_low, 1e-10);
  }
}

TEST(Icc, ScanRescanVolumesOfRealPeople) {
  EPVS_REQUIRE_TEST_DATA(path, "scan_rescan/scan_rescan_roi_volumes_derived.csv");
  const core::Table table = core::Table::read(path);
  std::map<std::string, std::map<std::string, std::map<std::string, double>>> volumes;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    volumes[table.cell(row, "roi")][table.cell(row, "visit")][table.cell(row, "subject")] =
        table.number(row, "voxels");
  }
  const std::map<std::string, double> known = {
      {"Caud_L", .9864}, {"Put_L", .9729}, {"GP_L", .9283}, {"Hippo_L", .9834}};
  for (const auto& [structure, value] : known) {
    Columns columns(2);
    for (const auto& [subject, first] : volumes.at(structure).at("1")) {
      columns[0].push_back(first);
      columns[1].push_back(volumes.at(structure).at("2").at(subject));
    }
    EXPECT_EQ(columns[0].size(), 20u);
    EXPECT_NEAR(icc_of(columns)[1].estimate, value, 5e-5) << structure;
  }
}

}  // namespace
}  // namespace epvs::eval
