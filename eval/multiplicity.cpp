#include "eval/multiplicity.h"

#include <algorithm>
#include <cmath>

namespace epvs::eval {

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
