// How far a scorer lies from a reference: errors, bias, limits of agreement, concordance.
// x is the reference, y the scorer, d = y - x.
#pragma once

#include <span>

#include "eval/estimate.h"

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

}  // namespace epvs::eval
