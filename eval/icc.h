// Intraclass correlations: the six forms of Shrout & Fleiss 1979, equal to psych::ICC(lmer =
// FALSE).
//
// form  Shrout & Fleiss  McGraw & Wong 1996  what it says
// 1     ICC(1,1)         ICC(1)              each participant has other raters (one-way)
// 2     ICC(2,1)         ICC(A,1)            same raters, random; absolute agreement
// 3     ICC(3,1)         ICC(C,1)            same raters, fixed; consistency
// 1k..  ICC(1,k) ..      ICC(k) ..           the same of the mean of the k raters
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "eval/estimate.h"

namespace epvs::eval {

/// Mean squares of the two-way analysis of variance of n participants by k raters.
struct MeanSquares {
  std::size_t n = 0;
  std::size_t k = 0;
  double between = 0;   ///< MSB, between participants, n - 1 df
  double within = 0;    ///< MSW, within participants, n (k - 1) df
  double raters = 0;    ///< MSJ, between raters, k - 1 df
  double residual = 0;  ///< MSE, (n - 1)(k - 1) df
};

/// `columns`: k raters of equal length n.
MeanSquares mean_squares(std::span<const std::span<const double>> columns);

/// The point estimates in the order 1, 2, 3, 1k, 2k, 3k.
std::array<double, 6> icc_values(const MeanSquares& ms);

/// The six forms in the order 1, 2, 3, 1k, 2k, 3k with F (statistic), df1, df2, p of F and
/// interval: exact from F for forms 1 and 3, Satterthwaite's approximation for form 2 (ci_method
/// "f" and "f_satterthwaite"). n/a with a reason for n < 3, fewer than two raters, no variance at
/// all.
std::array<Estimate, 6> icc(std::span<const std::span<const double>> columns,
                            double confidence = 0.95);

/// The two raters x and y.
std::array<Estimate, 6> icc(std::span<const double> x, std::span<const double> y,
                            double confidence = 0.95);

/// Names of the six forms in metrics.tsv.
inline constexpr std::array<const char*, 6> kIccNames = {"icc1",  "icc2",  "icc3",
                                                         "icc1k", "icc2k", "icc3k"};

}  // namespace epvs::eval
