// Corrections of p-values for a family of tests, equal to R's p.adjust.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace epvs::eval {

enum class Adjustment { kNone, kBonferroni, kHolm, kBenjaminiHochberg };

/// "none", "bonferroni", "holm", "bh". Throws UsageError naming the known ones.
Adjustment adjustment_from(const std::string& name);
std::string to_string(Adjustment adjustment);

/// Adjusted p-values in the given order. NaN stays NaN and does not count as a test.
std::vector<double> adjust(std::span<const double> p, Adjustment adjustment);

}  // namespace epvs::eval
