// How well scores agree with labels during a training. The full statistics with intervals are those
// of `epvs eval`; these few decide the best epoch.
#pragma once

#include <cstddef>
#include <vector>

namespace epvs::train {

struct Agreement {
  std::size_t n = 0;
  double mae = 0;
  double pearson = 0;   ///< NaN when either side is constant
  double icc2 = 0;      ///< ICC(2,1) = ICC(A,1), Shrout & Fleiss 1979; NaN with fewer than 2 scans
  double score_sd = 0;  ///< n - 1 in the denominator; NaN with fewer than 2 scans
  double label_sd = 0;
};

/// `scores` and `labels` of equal length, without NaN.
Agreement agreement(const std::vector<double>& scores, const std::vector<double>& labels);

}  // namespace epvs::train
