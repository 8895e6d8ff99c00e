// The probability distributions behind p-values and intervals (Boost.Math), with the limits that
// data can reach: an infinite statistic has p = 0, a NaN stays a NaN, nothing throws.
#pragma once

namespace epvs::eval {

double normal_cdf(double z);
/// P(Z > z), accurate far out in the tail.
double normal_upper(double z);
/// -inf for 0, inf for 1.
double normal_quantile(double probability);
/// 2 P(Z > |z|).
double normal_two_sided(double z);

double t_quantile(double probability, double df);
/// 2 P(T > |t|).
double t_two_sided(double t, double df);

/// P(F > f).
double f_upper(double f, double df1, double df2);
double f_quantile(double probability, double df1, double df2);

double chi_squared_upper(double x, double df);

/// P(X <= k) for X ~ Binomial(n, probability).
double binomial_cdf(double k, double n, double probability);

}  // namespace epvs::eval
