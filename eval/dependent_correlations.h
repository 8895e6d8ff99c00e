// Tests for two correlations that share a variable: two scorers (2, 3) against one reference (1).
#pragma once

#include <cstddef>

#include "eval/estimate.h"

namespace epvs::eval {

/// Williams' t (Williams 1959; Steiger 1980, eq. 7; psych::r.test) with df = n - 3, two-sided:
///   t = (r12 - r13) sqrt((n-1)(1+r23) / (2 (n-1)/(n-3) |R| + ((r12+r13)/2)^2 (1-r23)^3)).
/// estimate = r12 - r13 with the interval of Zou 2007 (ci_method "zou"), df1 = n - 3.
/// n/a with a reason for n < 4, |r| of 1 between the scorers, or impossible correlations (|R| < 0).
Estimate williams(std::size_t n, double r12, double r13, double r23, double confidence = 0.95);

/// Steiger's Z for the same question: Fisher's z with the covariance at the pooled correlation
/// (Steiger 1980, eq. 14: Z1*-bar), two-sided normal p. statistic = Z.
Estimate steiger(std::size_t n, double r12, double r13, double r23, double confidence = 0.95);

/// Steiger's Z for two correlations without a shared variable, r12 against r34, in one sample
/// (Steiger 1980, eq. 15: Z2*-bar).
Estimate steiger_disjoint(std::size_t n, double r12, double r34, double r13, double r14, double r23,
                          double r24);

/// The smallest correlation between the two scorers from which on, up to the largest that is
/// possible beside r12 and r13, Williams' p is below `p`; NaN when it is not below even at that
/// largest one.
double williams_smallest_r23(std::size_t n, double r12, double r13, double p);

}  // namespace epvs::eval
