// Scores as counts: methods give real and negative scores, count models need whole ones. What was
// changed is counted, so that it can be written beside the result.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/enum_names.h"

namespace epvs::eval {

enum class CountRounding {
  kNearest,  ///< to the nearest whole number, halves to the even one (as R's round)
  kFloor,
  kRefuse,
};
enum class NegativeCounts {
  kClip,  ///< below zero after rounding becomes zero
  kRefuse,
};

constexpr auto names_of(CountRounding) {
  return std::to_array<core::EnumName<CountRounding>>({{CountRounding::kNearest, "nearest"},
                                                       {CountRounding::kFloor, "floor"},
                                                       {CountRounding::kRefuse, "refuse"}});
}
constexpr auto names_of(NegativeCounts) {
  return std::to_array<core::EnumName<NegativeCounts>>(
      {{NegativeCounts::kClip, "clip"}, {NegativeCounts::kRefuse, "refuse"}});
}

struct CountConversion {
  CountRounding rounding = CountRounding::kNearest;
  NegativeCounts negatives = NegativeCounts::kClip;
};

struct Counts {
  std::vector<double> values;
  std::size_t rounded = 0;  ///< values that were not whole
  std::size_t clipped = 0;  ///< values below zero after rounding
  /// "12 of 80 scores rounded to the nearest whole number, 3 below zero set to 0"; empty when
  /// nothing was changed.
  std::string note;
};

/// Throws InputError for values that are not finite, for values above 1e7, and, with kRefuse, for
/// the first value that is not whole or negative, naming its position and value.
Counts to_counts(std::span<const double> scores, const CountConversion& conversion = {});

}  // namespace epvs::eval
