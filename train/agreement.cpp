#include "train/agreement.h"

#include <cmath>
#include <limits>

#include "core/error.h"

namespace epvs::train {

Agreement agreement(const std::vector<double>& scores, const std::vector<double>& labels) {
  EPVS_ASSERT(scores.size() == labels.size());
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  Agreement result{scores.size(), kNaN, kNaN, kNaN, kNaN, kNaN};
  if (scores.empty()) return result;
  const double n = static_cast<double>(scores.size());
  double score_mean = 0;
  double label_mean = 0;
  double absolute = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    score_mean += scores[i] / n;
    label_mean += labels[i] / n;
    absolute += std::abs(scores[i] - labels[i]);
  }
  result.mae = absolute / n;
  if (scores.size() < 2) return result;
  double ss = 0;
  double ll = 0;
  double sl = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double s = scores[i] - score_mean;
    const double l = labels[i] - label_mean;
    ss += s * s;
    ll += l * l;
    sl += s * l;
  }
  result.score_sd = std::sqrt(ss / (n - 1));
  result.label_sd = std::sqrt(ll / (n - 1));
  if (ss > 0 && ll > 0) result.pearson = sl / std::sqrt(ss * ll);
  // Two-way analysis of variance with k = 2 raters: mean squares of rows, columns and error.
  const double shift = score_mean - label_mean;
  const double rows = (ss + ll + 2 * sl) / 2 / (n - 1);
  const double columns = n * shift * shift / 2;
  const double error = (ss + ll - 2 * sl) / 2 / (n - 1);
  const double denominator = rows + error + 2 * (columns - error) / n;
  if (denominator != 0) result.icc2 = (rows - error) / denominator;
  return result;
}

}  // namespace epvs::train
