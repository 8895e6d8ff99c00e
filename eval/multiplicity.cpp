#include "eval/multiplicity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/text.h"

namespace epvs::eval {

namespace {

constexpr std::array<std::pair<Adjustment, const char*>, 4> kNames = {{
    {Adjustment::kNone, "none"},
    {Adjustment::kBonferroni, "bonferroni"},
    {Adjustment::kHolm, "holm"},
    {Adjustment::kBenjaminiHochberg, "bh"},
}};

}  // namespace

Adjustment adjustment_from(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [adjustment, text] : kNames) {
    if (name == text) return adjustment;
    known.emplace_back(text);
  }
  throw core::UsageError(
      fmt::format("unknown adjustment '{}'{}", name, core::did_you_mean(name, known)));
}

std::string to_string(Adjustment adjustment) {
  for (const auto& [known, text] : kNames) {
    if (known == adjustment) return text;
  }
  core::internal_error(__FILE__, __LINE__, "every adjustment has a name");
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
