#include "eval/calibration.h"

#include <array>
#include <cmath>

#include "core/error.h"
#include "eval/agreement.h"
#include "eval/statistics.h"

namespace epvs::eval {
namespace {

void check_pairs(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) {
    throw core::InputError(fmt::format(
        "calibration got {} reference values and {} scores, expected as many", x.size(), y.size()));
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) {
      throw core::InputError(fmt::format("calibration pair {} is ({}, {}), expected finite numbers",
                                         i + 1, x[i], y[i]),
                             "drop participants with missing scores first");
    }
  }
}

double target_icc(std::span<const double> x, std::span<const double> y, CalibrationTarget target) {
  const std::array<std::span<const double>, 2> columns = {x, y};
  return icc_values(mean_squares(columns))[target == CalibrationTarget::kIcc1 ? 0 : 1];
}

std::string obstacle(const PairMoments& moments, const CalibrationOptions& options) {
  if (moments.n < 3) return fmt::format("n = {}, calibration needs at least 3", moments.n);
  if (moments.constant_x) return "the reference is constant";
  if (moments.constant_y) return "the scores are constant";
  if (moments.sxy == 0.0) return "the correlation is zero: no slope is best";
  if (moments.sxy < 0.0 && options.keep_sign) {
    return "the correlation is negative and turning the sign is not allowed";
  }
  return {};
}

}  // namespace

bool Calibration::valid() const {
  return std::isfinite(intercept) && std::isfinite(slope);
}

Calibration calibrate(std::span<const double> reference, std::span<const double> scores,
                      const CalibrationOptions& options) {
  check_pairs(reference, scores);
  const PairMoments moments = pair_moments(reference, scores);
  Calibration result;
  result.n = moments.n;
  result.icc_before = moments.n >= 2 ? target_icc(reference, scores, options.target) : kNaN;
  result.note = obstacle(moments, options);
  if (!result.note.empty()) {
    result.intercept = result.slope = result.icc_after = kNaN;
    return result;
  }
  result.sign_flipped = moments.sxy < 0.0;
  const double magnitude = std::sqrt(moments.sxx) / std::sqrt(moments.syy);
  result.slope = result.sign_flipped ? -magnitude : magnitude;
  result.intercept = moments.mean_x - result.slope * moments.mean_y;
  result.icc_after = target_icc(reference, apply_calibration(result, scores), options.target);
  if (result.sign_flipped) result.note = "the sign was turned: the scores fall with the reference";
  return result;
}

std::vector<double> apply_calibration(const Calibration& calibration,
                                      std::span<const double> scores) {
  if (!calibration.valid()) {
    throw core::InputError("cannot apply a calibration without a solution: " + calibration.note,
                           "look at the scores of the calibration participants");
  }
  std::vector<double> result;
  result.reserve(scores.size());
  for (const double score : scores) {
    result.push_back(calibration.intercept + calibration.slope * score);
  }
  return result;
}

}  // namespace epvs::eval
