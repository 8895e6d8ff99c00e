#include "data/prepare/registration/limited_memory.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

namespace epvs::data {

namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

struct Pair {
  std::vector<double> moved;
  std::vector<double> change;
  double curvature;  ///< moved . change, positive
};

/// -H gradient, with the inverse Hessian that the pairs stand for.
std::vector<double> direction_of(const std::vector<double>& gradient,
                                 const std::deque<Pair>& pairs) {
  std::vector<double> d = gradient;
  std::vector<double> shares(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    shares[i] = dot(pairs[i].moved, d) / pairs[i].curvature;
    for (std::size_t k = 0; k < d.size(); ++k) d[k] -= shares[i] * pairs[i].change[k];
  }
  if (!pairs.empty()) {
    const Pair& last = pairs.back();
    const double scale = last.curvature / dot(last.change, last.change);
    for (double& value : d) value *= scale;
  }
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const double share = shares[i] - dot(pairs[i].change, d) / pairs[i].curvature;
    for (std::size_t k = 0; k < d.size(); ++k) d[k] += share * pairs[i].moved[k];
  }
  for (double& value : d) value = -value;
  return d;
}

double largest(const std::vector<double>& values) {
  double found = 0;
  for (const double value : values) found = std::max(found, std::abs(value));
  return found;
}

}  // namespace

double minimise(const SmoothFunction& function, std::vector<double>& x,
                const LimitedMemoryOptions& options) {
  std::vector<double> gradient;
  std::vector<double> new_gradient;
  std::vector<double> next = x;
  double value = function(x, &gradient);
  const double first = value;
  std::deque<Pair> pairs;
  for (int i = 0; i < options.iterations; ++i) {
    std::vector<double> direction = direction_of(gradient, pairs);
    double slope = dot(direction, gradient);
    if (slope >= 0) {  // not a descent: forget what was learned
      if (pairs.empty()) break;
      pairs.clear();
      direction = direction_of(gradient, pairs);
      slope = dot(direction, gradient);
    }
    const double reach = largest(direction);
    if (reach == 0) break;
    double step = options.longest_step / reach;
    if (!pairs.empty()) step = std::min(1.0, step);
    double new_value = value;
    bool improved = false;
    for (int trial = 0; trial < 12 && !improved; ++trial, step *= improved ? 1.0 : 0.4) {
      for (std::size_t k = 0; k < x.size(); ++k) next[k] = x[k] + step * direction[k];
      new_value = function(next, &new_gradient);
      improved = new_value <= value + 1e-4 * step * slope;
    }
    if (!improved) {
      if (pairs.empty()) break;
      pairs.clear();
      continue;
    }
    Pair pair{next, new_gradient, 0};
    for (std::size_t k = 0; k < x.size(); ++k) {
      pair.moved[k] -= x[k];
      pair.change[k] -= gradient[k];
    }
    pair.curvature = dot(pair.moved, pair.change);
    if (pair.curvature >
        1e-12 * std::sqrt(dot(pair.moved, pair.moved)) * std::sqrt(dot(pair.change, pair.change))) {
      pairs.push_back(std::move(pair));
      if (static_cast<int>(pairs.size()) > options.memory) pairs.pop_front();
    }
    const double fall = value - new_value;
    x = next;
    gradient = new_gradient;
    value = new_value;
    if (fall < options.tolerance * (first - value)) break;
  }
  return value;
}

}  // namespace epvs::data
