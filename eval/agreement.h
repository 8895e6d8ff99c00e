// How far a scorer lies from a reference: errors, bias, limits of agreement, concordance, intraclass
// correlations. x is the reference, y the scorer, d = y - x.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "eval/statistics.h"

namespace epvs::eval {

/// Errors and limits of agreement of one pair. n/a with a reason for n < 1 (estimates) or too few
/// participants for an interval.
struct AgreementEstimates {
  Estimate mse;        ///< mean d^2; interval by t on d^2
  Estimate rmse;       ///< square root of mse and of its interval (cut at 0)
  Estimate mae;        ///< mean |d|; interval by t on |d|
  Estimate median_ae;  ///< median |d|; exact interval from order statistics (binomial)
  Estimate bias;       ///< mean d; t test against 0 (statistic, df1, p), interval by t
  Estimate
      loa_low;  ///< bias - 1.96 SD(d); Bland & Altman 1999: variance s^2 (1/n + 1.96^2/(2(n-1)))
  Estimate loa_high;  ///< bias + 1.96 SD(d)
};
AgreementEstimates agreement(std::span<const double> x, std::span<const double> y,
                             double confidence = 0.95);

/// Lin's concordance correlation 2 sxy / (sxx + syy + n (mean_x - mean_y)^2), population moments
/// (Lin 1989), interval by Fisher's z with the variance of Lin 2000 (n - 2), as epiR::epi.ccc.
Estimate concordance(std::span<const double> x, std::span<const double> y,
                     double confidence = 0.95);

// Intraclass correlations: the six forms of Shrout & Fleiss 1979, equal to psych::ICC(lmer =
// FALSE).
//
// form  Shrout & Fleiss  McGraw & Wong 1996  what it says
// 1     ICC(1,1)         ICC(1)              each participant has other raters (one-way)
// 2     ICC(2,1)         ICC(A,1)            same raters, random; absolute agreement
// 3     ICC(3,1)         ICC(C,1)            same raters, fixed; consistency
// 1k..  ICC(1,k) ..      ICC(k) ..           the same of the mean of the k raters

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
