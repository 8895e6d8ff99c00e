#include "eval/moments.h"

#include <algorithm>
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
  Sum sxx, syy, sxy, sdd, sum_d2, sum_abs_d;
  for (std::size_t i = 0; i < m.n; ++i) {
    const double dx = (x[i] - x[0]) - shift_x;
    const double dy = (y[i] - y[0]) - shift_y;
    const double d = y[i] - x[i];
    sxx.add(dx * dx);
    syy.add(dy * dy);
    sxy.add(dx * dy);
    sdd.add((d - m.mean_d) * (d - m.mean_d));
    sum_d2.add(d * d);
    sum_abs_d.add(std::abs(d));
  }
  m.sxx = m.constant_x ? 0 : sxx.value();
  m.syy = m.constant_y ? 0 : syy.value();
  m.sxy = m.constant_x || m.constant_y ? 0 : sxy.value();
  m.sdd = sdd.value();
  m.sum_d2 = sum_d2.value();
  m.sum_abs_d = sum_abs_d.value();
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
  if (x.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted(x.begin(), x.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : 0.5 * (sorted[half - 1] + sorted[half]);
}

}  // namespace epvs::eval
