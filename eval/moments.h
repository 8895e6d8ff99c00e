// Sums of squares of paired samples, by two passes over values shifted by the first one, so that an
// offset of 1e9 costs no digits.
#pragma once

#include <cstddef>
#include <span>

namespace epvs::eval {

struct PairMoments {
  std::size_t n = 0;
  double mean_x = 0;
  double mean_y = 0;
  double sxx = 0;        ///< sum (x - mean_x)^2
  double syy = 0;        ///< sum (y - mean_y)^2
  double sxy = 0;        ///< sum (x - mean_x)(y - mean_y)
  double mean_d = 0;     ///< mean of d = y - x
  double sdd = 0;        ///< sum (d - mean_d)^2
  double sum_d2 = 0;     ///< sum d^2
  double sum_abs_d = 0;  ///< sum |d|
  bool constant_x = false;
  bool constant_y = false;
};

/// x and y have equal length and hold finite numbers only.
PairMoments pair_moments(std::span<const double> x, std::span<const double> y);

struct Moments {
  std::size_t n = 0;
  double mean = 0;
  double ss = 0;  ///< sum (x - mean)^2
};

Moments moments(std::span<const double> x);

/// Median with the mean of the two middle values for even n; NaN for none.
double median(std::span<const double> x);

}  // namespace epvs::eval
