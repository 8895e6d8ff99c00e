// Corrections of p-values for a family of tests, equal to R's p.adjust.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/enum_names.h"

namespace epvs::eval {

enum class Adjustment { kNone, kBonferroni, kHolm, kBenjaminiHochberg };

constexpr auto names_of(Adjustment) {
  return std::to_array<core::EnumName<Adjustment>>({{Adjustment::kNone, "none"},
                                                    {Adjustment::kBonferroni, "bonferroni"},
                                                    {Adjustment::kHolm, "holm"},
                                                    {Adjustment::kBenjaminiHochberg, "bh"}});
}

/// Adjusted p-values in the given order. NaN stays NaN and does not count as a test.
std::vector<double> adjust(std::span<const double> p, Adjustment adjustment);

}  // namespace epvs::eval
