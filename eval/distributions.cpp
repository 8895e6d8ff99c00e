#include "eval/distributions.h"

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/fisher_f.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>

namespace epvs::eval {

namespace {

namespace policies = boost::math::policies;
using Policy = policies::policy<policies::domain_error<policies::ignore_error>,
                                policies::pole_error<policies::ignore_error>,
                                policies::overflow_error<policies::ignore_error>,
                                policies::underflow_error<policies::ignore_error>,
                                policies::evaluation_error<policies::ignore_error>>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::sqrt(2.0));
}

double normal_upper(double z) {
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

double normal_quantile(double probability) {
  if (probability == 0) return -kInfinity;
  if (probability == 1) return kInfinity;
  return boost::math::quantile(boost::math::normal_distribution<double, Policy>(), probability);
}

double normal_two_sided(double z) {
  return 2 * normal_upper(std::abs(z));
}

double t_quantile(double probability, double df) {
  if (!(df > 0)) return kUnknown;
  return boost::math::quantile(boost::math::students_t_distribution<double, Policy>(df),
                               probability);
}

double t_two_sided(double t, double df) {
  if (std::isnan(t) || !(df > 0)) return kUnknown;
  if (std::isinf(t)) return 0;
  const boost::math::students_t_distribution<double, Policy> distribution(df);
  return 2 * boost::math::cdf(boost::math::complement(distribution, std::abs(t)));
}

double f_upper(double f, double df1, double df2) {
  if (std::isnan(f) || !(df1 > 0) || !(df2 > 0)) return kUnknown;
  if (std::isinf(f)) return 0;
  if (f <= 0) return 1;
  const boost::math::fisher_f_distribution<double, Policy> distribution(df1, df2);
  return boost::math::cdf(boost::math::complement(distribution, f));
}

double f_quantile(double probability, double df1, double df2) {
  if (!(df1 > 0) || !(df2 > 0)) return kUnknown;
  return boost::math::quantile(boost::math::fisher_f_distribution<double, Policy>(df1, df2),
                               probability);
}

double chi_squared_upper(double x, double df) {
  if (std::isnan(x) || !(df > 0)) return kUnknown;
  if (std::isinf(x)) return 0;
  if (x <= 0) return 1;
  const boost::math::chi_squared_distribution<double, Policy> distribution(df);
  return boost::math::cdf(boost::math::complement(distribution, x));
}

double binomial_cdf(double k, double n, double probability) {
  if (k < 0) return 0;
  if (k >= n) return 1;
  return boost::math::cdf(boost::math::binomial_distribution<double, Policy>(n, probability), k);
}

}  // namespace epvs::eval
