// Pearson's and Spearman's correlation with tests and intervals, equal to R's cor.test; and tests for
// two correlations that share a variable: two scorers (2, 3) against one reference (1).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "eval/statistics.h"

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

/// Williams' t (Williams 1959; Steiger 1980, eq. 7; psych::r.test) with df = n - 3, two-sided:
///   t = (r12 - r13) sqrt((n-1)(1+r23) / (2 (n-1)/(n-3) |R| + ((r12+r13)/2)^2 (1-r23)^3)).
/// estimate = r12 - r13 with the interval of Zou 2007 (ci_method "zou"), df1 = n - 3.
/// n/a with a reason for n < 4, |r| of 1 between the scorers, or impossible correlations (|R| < 0).
Estimate williams(std::size_t n, double r12, double r13, double r23, double confidence = 0.95);

/// Steiger's Z for the same question: Fisher's z with the covariance at the pooled correlation
/// (Steiger 1980, eq. 14: Z1*-bar), two-sided normal p. statistic = Z.
Estimate steiger(std::size_t n, double r12, double r13, double r23, double confidence = 0.95);

/// The smallest correlation between the two scorers from which on, up to the largest that is
/// possible beside r12 and r13, Williams' p is below `p`; NaN when it is not below even at that
/// largest one.
double williams_smallest_r23(std::size_t n, double r12, double r13, double p);

}  // namespace epvs::eval
