#include "eval/calibration.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "association_golden.h"
#include "core/error.h"
#include "core/random.h"
#include "eval/agreement.h"
#include "eval/statistics.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_relative;
using tests::expected;

double icc_form(std::span<const double> x, std::span<const double> y, int form) {
  const std::array<std::span<const double>, 2> columns = {x, y};
  return icc_values(mean_squares(columns))[static_cast<std::size_t>(form - 1)];
}

TEST(Calibration, EqualsBruteForceSearchOfR) {
  const auto cases = tests::read_golden_cases("association_pairs");
  ASSERT_GE(cases.size(), 20u);
  for (const auto& [name, golden] : cases) {
    const auto& x = golden.columns.at("x");
    const auto& y = golden.columns.at("y");
    const double spread_x = std::sqrt(pair_moments(x, y).sxx / static_cast<double>(x.size() - 1));
    for (const auto& [target, prefix] :
         {std::pair{CalibrationTarget::kIcc1, std::string("icc1")},
          std::pair{CalibrationTarget::kIcc2, std::string("icc2")}}) {
      CalibrationOptions options;
      options.target = target;
      const Calibration result = calibrate(x, y, options);
      ASSERT_TRUE(result.valid()) << name;
      // A search finds the flat top of a maximum only to about the root of the machine epsilon.
      expect_relative(result.slope, expected(golden, prefix + "_slope"), 2e-5, 0.0,
                      name + " slope of " + prefix);
      const double mean_y = pair_moments(x, y).mean_y;
      EXPECT_NEAR(result.intercept, expected(golden, prefix + "_intercept"),
                  2e-5 * (spread_x + std::abs(result.slope * mean_y)))
          << name;
      expect_relative(result.icc_after, expected(golden, prefix + "_after"), 1e-8, 1e-3,
                      name + " best " + prefix);
      EXPECT_GE(result.icc_after, expected(golden, prefix + "_after") - 1e-9) << name;
      expect_relative(result.icc_before, expected(golden, prefix + "_before"), 1e-8, 1e-3,
                      name + " psych::ICC before " + prefix);
    }
  }
}

TEST(Calibration, ReachesTheClosedFormOfTheMaximum) {
  const std::vector<double> x = {0, 3, 5, 8, 2, 11};
  const std::vector<double> y = {9, 8, 8, 4, 7, 2.5};
  const PairMoments m = pair_moments(x, y);
  const double r = std::abs(m.sxy) / std::sqrt(m.sxx * m.syy);
  const Calibration result = calibrate(x, y);
  EXPECT_NEAR(result.icc_after, 6 * r / (5 + r), 1e-13);
  EXPECT_TRUE(result.sign_flipped);
  EXPECT_LT(result.slope, 0.0);
  EXPECT_NE(result.note.find("sign"), std::string::npos);
}

TEST(Calibration, NoOtherLineIsBetter) {
  core::Random random(11);
  std::vector<double> x(30), y(30);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = random.normal(10, 4);
    y[i] = 100 + 3 * x[i] + random.normal(0, 9);
  }
  for (const auto target : {CalibrationTarget::kIcc1, CalibrationTarget::kIcc2}) {
    CalibrationOptions options;
    options.target = target;
    const Calibration best = calibrate(x, y, options);
    const int form = target == CalibrationTarget::kIcc1 ? 1 : 2;
    for (int trial = 0; trial < 2000; ++trial) {
      Calibration other = best;
      other.slope *= std::exp(random.normal(0, 0.3));
      other.intercept += random.normal(0, 2) - (other.slope - best.slope) * 130;
      EXPECT_LE(icc_form(x, apply_calibration(other, y), form), best.icc_after + 1e-13);
    }
  }
}

TEST(Calibration, IsUnchangedByALinearChangeOfTheScores) {
  const std::vector<double> x = {1, 4, 2, 8, 5, 7};
  const std::vector<double> y = {2, 3, 3, 9, 4, 8};
  std::vector<double> z;
  for (const double value : y) z.push_back(-7 * value + 1000);
  const auto from_y = apply_calibration(calibrate(x, y), y);
  const auto from_z = apply_calibration(calibrate(x, z), z);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(from_y[i], from_z[i], 1e-11);
}

TEST(Calibration, SaysWhyThereIsNoSolution) {
  const std::vector<double> rising = {1, 2, 3, 4};
  const std::vector<double> falling = {4, 3, 2, 0};
  const std::vector<double> constant = {5, 5, 5, 5};
  const std::vector<double> symmetric = {1, -1, -1, 1};
  CalibrationOptions upright;
  upright.keep_sign = true;
  const auto note = [](const Calibration& c) { return c.valid() ? "valid" : c.note; };
  EXPECT_EQ(note(calibrate(rising, constant)), "the scores are constant");
  EXPECT_EQ(note(calibrate(constant, rising)), "the reference is constant");
  EXPECT_EQ(note(calibrate(rising, symmetric)), "the correlation is zero: no slope is best");
  EXPECT_EQ(note(calibrate(rising, falling, upright)),
            "the correlation is negative and turning the sign is not allowed");
  EXPECT_EQ(note(calibrate(std::vector<double>{1, 2}, std::vector<double>{1, 2})),
            "n = 2, calibration needs at least 3");
  EXPECT_TRUE(calibrate(rising, falling).valid());
  EXPECT_TRUE(calibrate(rising, rising, upright).valid());
}

TEST(Calibration, RefusesBadInput) {
  const std::vector<double> three = {1, 2, 3};
  tests::expect_error<core::InputError>(
      [&] {
        calibrate(three, std::vector<double>{1, 2});
      },
      {"3 reference values and 2 scores"});
  tests::expect_error<core::InputError>(
      [&] {
        calibrate(three, std::vector<double>{1, std::nan(""), 2});
      },
      {"calibration pair 2 is (2, nan)", "missing"});
  tests::expect_error<core::InputError>(
      [&] {
        apply_calibration(calibrate(three, std::vector<double>{1, 1, 1}), three);
      },
      {"without a solution", "the scores are constant"});
}

}  // namespace
}  // namespace epvs::eval
