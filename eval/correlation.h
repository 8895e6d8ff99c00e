// Pearson's and Spearman's correlation with tests and intervals, equal to R's cor.test.
#pragma once

#include <span>
#include <vector>

#include "eval/estimate.h"

namespace epvs::eval {

/// Pearson's r. statistic t = r sqrt((n-2)/(1-r^2)), df1 = n - 2, two-sided p; interval by Fisher's
/// z, tanh(atanh r -+ z/sqrt(n-3)), for n > 3 (ci_method "fisher").
/// n/a with a reason for n < 3 or a constant sample.
Estimate pearson(std::span<const double> x, std::span<const double> y, double confidence = 0.95);

/// Spearman's rho: Pearson's r of the mid-ranks. statistic S = (n^3 - n)(1 - rho)/6. Without ties
/// and n <= 1290, p as R's prho: exact by all permutations for n <= 9, else the Edgeworth series of
/// Best & Roberts 1975 (AS 89); with ties or more participants, p from t with n - 2 df.
/// Interval: tanh(atanh rho -+ z sqrt((1 + rho^2/2)/(n-3))) (Bonett & Wright 2000) for n > 3.
Estimate spearman(std::span<const double> x, std::span<const double> y, double confidence = 0.95);

/// Ranks from 1; equal values get the mean of their ranks.
std::vector<double> mid_ranks(std::span<const double> x);

/// P(S >= s) (or P(S < s) for the lower tail) of Spearman's S for n untied pairs; AS 89.
double spearman_s_probability(double s, std::size_t n, bool lower_tail);

}  // namespace epvs::eval
