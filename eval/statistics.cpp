#include "eval/statistics.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/fisher_f.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"

namespace epvs::eval {

namespace {

/// Neumaier's compensated sum.
class Sum {
 public:
  void add(double value) {
    const double total = sum_ + value;
    compensation_ +=
        std::abs(sum_) >= std::abs(value) ? (sum_ - total) + value : (value - total) + sum_;
    sum_ = total;
  }
  double value() const { return sum_ + compensation_; }

 private:
  double sum_ = 0;
  double compensation_ = 0;
};

bool constant(std::span<const double> x) {
  return std::all_of(x.begin(), x.end(), [&](double value) { return value == x.front(); });
}

/// The mean of x - x[0].
double shifted_mean(std::span<const double> x) {
  Sum sum;
  for (const double value : x) sum.add(value - x.front());
  return sum.value() / static_cast<double>(x.size());
}

}  // namespace

PairMoments pair_moments(std::span<const double> x, std::span<const double> y) {
  EPVS_ASSERT(x.size() == y.size());
  PairMoments m;
  m.n = x.size();
  if (m.n == 0) return m;
  const double shift_x = shifted_mean(x);
  const double shift_y = shifted_mean(y);
  Sum sum_d;
  for (std::size_t i = 0; i < m.n; ++i) sum_d.add(y[i] - x[i]);
  m.mean_x = x[0] + shift_x;
  m.mean_y = y[0] + shift_y;
  m.mean_d = sum_d.value() / static_cast<double>(m.n);
  m.constant_x = constant(x);
  m.constant_y = constant(y);
  Sum sxx, syy, sxy, sdd, sum_d2;
  for (std::size_t i = 0; i < m.n; ++i) {
    const double dx = (x[i] - x[0]) - shift_x;
    const double dy = (y[i] - y[0]) - shift_y;
    const double d = y[i] - x[i];
    sxx.add(dx * dx);
    syy.add(dy * dy);
    sxy.add(dx * dy);
    sdd.add((d - m.mean_d) * (d - m.mean_d));
    sum_d2.add(d * d);
  }
  m.sxx = m.constant_x ? 0 : sxx.value();
  m.syy = m.constant_y ? 0 : syy.value();
  m.sxy = m.constant_x || m.constant_y ? 0 : sxy.value();
  m.sdd = sdd.value();
  m.sum_d2 = sum_d2.value();
  return m;
}

Moments moments(std::span<const double> x) {
  Moments m;
  m.n = x.size();
  if (m.n == 0) return m;
  const double shift = shifted_mean(x);
  m.mean = x[0] + shift;
  Sum ss;
  for (const double value : x) ss.add(((value - x[0]) - shift) * ((value - x[0]) - shift));
  m.ss = constant(x) ? 0 : ss.value();
  return m;
}

double median(std::span<const double> x) {
  if (x.empty()) return kNaN;
  std::vector<double> sorted(x.begin(), x.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : 0.5 * (sorted[half - 1] + sorted[half]);
}

namespace {

namespace policies = boost::math::policies;
using Policy = policies::policy<policies::domain_error<policies::ignore_error>,
                                policies::pole_error<policies::ignore_error>,
                                policies::overflow_error<policies::ignore_error>,
                                policies::underflow_error<policies::ignore_error>,
                                policies::evaluation_error<policies::ignore_error>>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

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
  if (!(df > 0)) return kNaN;
  return boost::math::quantile(boost::math::students_t_distribution<double, Policy>(df),
                               probability);
}

double t_two_sided(double t, double df) {
  if (std::isnan(t) || !(df > 0)) return kNaN;
  if (std::isinf(t)) return 0;
  const boost::math::students_t_distribution<double, Policy> distribution(df);
  return 2 * boost::math::cdf(boost::math::complement(distribution, std::abs(t)));
}

double f_upper(double f, double df1, double df2) {
  if (std::isnan(f) || !(df1 > 0) || !(df2 > 0)) return kNaN;
  if (std::isinf(f)) return 0;
  if (f <= 0) return 1;
  const boost::math::fisher_f_distribution<double, Policy> distribution(df1, df2);
  return boost::math::cdf(boost::math::complement(distribution, f));
}

double f_quantile(double probability, double df1, double df2) {
  if (!(df1 > 0) || !(df2 > 0)) return kNaN;
  return boost::math::quantile(boost::math::fisher_f_distribution<double, Policy>(df1, df2),
                               probability);
}

double chi_squared_upper(double x, double df) {
  if (std::isnan(x) || !(df > 0)) return kNaN;
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

std::vector<double> adjust(std::span<const double> p, Adjustment adjustment) {
  std::vector<double> result(p.begin(), p.end());
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (!std::isnan(p[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  const std::size_t tests = order.size();
  const double m = static_cast<double>(tests);
  if (adjustment == Adjustment::kBonferroni) {
    for (const std::size_t i : order) result[i] = std::min(1.0, m * p[i]);
  } else if (adjustment == Adjustment::kHolm) {
    double largest = 0;
    for (std::size_t rank = 0; rank < tests; ++rank) {
      const double factor = static_cast<double>(tests - rank);
      largest = std::max(largest, std::min(1.0, factor * p[order[rank]]));
      result[order[rank]] = largest;
    }
  } else if (adjustment == Adjustment::kBenjaminiHochberg) {
    double smallest = 1;
    for (std::size_t rank = tests; rank-- > 0;) {
      const double factor = m / static_cast<double>(rank + 1);
      smallest = std::min(smallest, factor * p[order[rank]]);
      result[order[rank]] = smallest;
    }
  }
  return result;
}

}  // namespace epvs::eval
