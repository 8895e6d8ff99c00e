// Linear calibration of a method's scores to a reference: y' = a + b y that maximises the
// intraclass correlation on validation participants, then applied unchanged to test participants.
//
// Derivation (two scorers, n participants; s are sample variances with n - 1, c the covariance of
// reference x and score y, d = mean(x) - a - b mean(y)). The mean squares of the two-way layout are
//   BMS = (sx + b^2 sy + 2 b c) / 2,  EMS = (sx + b^2 sy - 2 b c) / 2,  JMS = n d^2 / 2, so
//   ICC(2,1) = 2 b c / ((1 - 1/n)(sx + b^2 sy) + 2 b c / n + d^2)
//   ICC(1,1) = (BMS - WMS) / (BMS + WMS),  WMS = (JMS + (n - 1) EMS) / n.
// For b c > 0 both fall as d^2 grows, so a = mean(x) - b mean(y). With d = 0 both are increasing
// functions of t = 2 b c / (sx + b^2 sy), which is largest at |b| = sqrt(sx / sy), where t = |r|.
// Hence the exact solution is the same for both forms: equal means, equal standard deviations, the
// sign of the correlation; and ICC(2,1) becomes n |r| / (n - 1 + |r|). It is not the least-squares
// line, whose slope r sqrt(sx / sy) shrinks the variance. (McGraw & Wong 1996 for the forms; Dubost
// et al. 2019, section 3.4, for the use.)
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/enum_names.h"

namespace epvs::eval {

enum class CalibrationTarget { kIcc1, kIcc2 };

constexpr auto names_of(CalibrationTarget) {
  return std::to_array<core::EnumName<CalibrationTarget>>(
      {{CalibrationTarget::kIcc1, "icc1"}, {CalibrationTarget::kIcc2, "icc2"}});
}

struct CalibrationOptions {
  CalibrationTarget target = CalibrationTarget::kIcc2;
  /// P1 lets a baseline be turned round (its rescaled scores may be negative). With this a method
  /// that falls with the reference has no best slope, and the result says so.
  bool keep_sign = false;
};

struct Calibration {
  std::size_t n = 0;
  double intercept = 0.0;  ///< NaN when there is no solution; `note` says why
  double slope = 0.0;
  double icc_before = 0.0;  ///< on the calibration participants, of the target form
  double icc_after = 0.0;
  bool sign_flipped = false;
  std::string note;

  bool valid() const;
};

/// The exact maximiser on these participants. Needs n >= 3. Throws InputError for unequal lengths
/// and for values that are not finite. A constant series, a correlation of exactly zero and a
/// forbidden sign flip give NaN with a note.
Calibration calibrate(std::span<const double> reference, std::span<const double> scores,
                      const CalibrationOptions& options = {});

/// intercept + slope * score; NaN stays NaN. Throws InputError when the calibration is not valid.
std::vector<double> apply_calibration(const Calibration& calibration,
                                      std::span<const double> scores);

}  // namespace epvs::eval
