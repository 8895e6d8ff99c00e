#include "eval/age_bins.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "association_golden.h"
#include "core/error.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_relative;
using tests::expected;

TEST(AgeBins, EqualTTestsOfR) {
  int compared = 0;
  for (const auto& [name, golden] : tests::read_golden_cases("association_pairs")) {
    bool has_bins = false;
    for (const auto& entry : golden.expected) has_bins |= entry.first.starts_with("bin_");
    if (!has_bins) continue;
    std::size_t total = 0;
    for (const AgeBin& bin : mean_by_age(golden.columns.at("x"), golden.columns.at("y"))) {
      const std::string prefix = fmt::format("bin_{:g}_", bin.low);
      total += bin.n;
      EXPECT_EQ(bin.high, bin.low + 5);
      if (bin.n == 0) {
        EXPECT_FALSE(golden.expected.contains(prefix + "n")) << name;
        EXPECT_TRUE(std::isnan(bin.mean));
        EXPECT_EQ(bin.note, "no participant");
        continue;
      }
      EXPECT_EQ(static_cast<double>(bin.n), expected(golden, prefix + "n")) << name;
      expect_relative(bin.mean, expected(golden, prefix + "mean"), 1e-8, 1e-6, name);
      if (golden.expected.contains(prefix + "low")) {
        expect_relative(bin.ci_low, expected(golden, prefix + "low"), 1e-8, 1e-6, name);
        expect_relative(bin.ci_high, expected(golden, prefix + "high"), 1e-8, 1e-6, name);
        ++compared;
      }
    }
    EXPECT_EQ(total, golden.columns.at("x").size()) << name;
  }
  EXPECT_GE(compared, 50);
}

TEST(AgeBins, ALowerEdgeBelongsToItsBin) {
  const std::vector<double> ages = {60, 64.999, 65, 75, std::nan("")};
  const std::vector<double> scores = {1, 3, 10, 7, 4};
  const auto bins = mean_by_age(ages, scores);
  ASSERT_EQ(bins.size(), 4u);
  EXPECT_EQ(bins[0].low, 60);
  EXPECT_EQ(bins[0].n, 2u);
  EXPECT_EQ(bins[0].mean, 2);
  EXPECT_NEAR(bins[0].ci_high, 2 + 12.706204736174698, 1e-10);  // t(1) quantile, sd / sqrt(2) = 1
  EXPECT_EQ(bins[1].mean, 10);
  EXPECT_EQ(bins[1].note, "n = 1, an interval needs 2");
  EXPECT_TRUE(std::isnan(bins[1].ci_low));
  EXPECT_EQ(bins[2].n, 0u);
  EXPECT_EQ(bins[3].low, 75);
  AgeBinOptions shifted;
  shifted.origin = 2.5;
  EXPECT_EQ(mean_by_age(ages, scores, shifted)[0].low, 57.5);
  EXPECT_TRUE(mean_by_age({}, {}).empty());
}

TEST(AgeBins, RefusesBadInput) {
  const std::vector<double> two = {60, 70};
  const std::vector<double> one = {1};
  const std::vector<double> infinite = {1, std::numeric_limits<double>::infinity()};
  const std::vector<double> wide = {0, 1e6};
  tests::expect_error<core::InputError>([&] { mean_by_age(two, one); }, {"2 ages and 1 scores"});
  tests::expect_error<core::InputError>([&] { mean_by_age(two, infinite); },
                                        {"pair 2 is (70, inf)", "finite"});
  tests::expect_error<core::InputError>([&] { mean_by_age(wide, two); },
                                        {"width 5", "200001", "larger width"});
  const auto with = [](double width, double origin, double confidence) {
    AgeBinOptions options;
    options.width = width;
    options.origin = origin;
    options.confidence = confidence;
    options.validate();
  };
  tests::expect_error<core::UsageError>([&] { with(0, 0, .95); }, {"bin width = 0", "above 0"});
  tests::expect_error<core::UsageError>([&] { with(5, std::nan(""), .95); }, {"bin origin = nan"});
  tests::expect_error<core::UsageError>([&] { with(5, 0, 95); },
                                        {"confidence = 95", "between 0 and 1"});
}

}  // namespace
}  // namespace epvs::eval
