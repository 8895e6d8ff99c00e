// Vuong's test of a zero-inflated count model against the plain one (Vuong 1989, Econometrica
// 57:307-333).
//
// With m_i the difference of the two log-likelihoods of observation i, z = sum m_i / (sd(m)
// sqrt(n)) is standard normal where neither model is nearer to the truth. The corrections take (k1
// - k2) or (k1 - k2) log(n) / 2 from the sum, as AIC and BIC do (k: coefficients without the
// dispersion, as pscl counts them). Beware: a plain model is the edge
// of a zero-inflated one, and there the normal limit does not hold (Wilson 2015, Econ Lett
// 127:51-53): read the corrected forms as a comparison of fit, not as a test of "no zero
// inflation".
#pragma once

#include <span>
#include <string>

#include "eval/count_regression.h"
#include "eval/estimate.h"

namespace epvs::eval {

struct VuongStatistic {
  double z = kNaN;  ///< positive: the zero-inflated model is nearer
  double p = kNaN;  ///< one-sided, in the direction of z, as pscl::vuong has it
};

struct VuongTest {
  VuongStatistic raw;
  VuongStatistic aic;
  VuongStatistic bic;
  std::string note;  ///< why there is none
};

/// Fits of the same counts and designs. NaN with a reason where `inflated` has no zero part,
/// `plain` has one, a fit is not available or has a coefficient without a finite value, n differs,
/// or all observations are fitted equally well. Throws InputError for counts of another length.
VuongTest vuong_test(std::span<const double> counts, const Design& count_design,
                     const Design& zero_design, const CountFit& inflated, const CountFit& plain);

}  // namespace epvs::eval
