// Scores as counts and columns of participants.tsv as covariates of a regression.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/enum_names.h"
#include "core/table.h"
#include "eval/join.h"

namespace epvs::eval {

// Scores as counts: methods give real and negative scores, count models need whole ones. What was
// changed is counted, so that it can be written beside the result.

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

/// One column for all units of a dataset, as numbers or as categories.
class Covariate {
 public:
  /// Throws UsageError for an unknown column, for one without any value and for text with more than
  /// 20 different values, InputError for a participant without a row.
  Covariate(const Dataset& data, const core::Table& participants, const std::string& column);

  const std::string& name() const { return name_; }
  bool is_number() const { return categories_.empty(); }
  bool missing(std::size_t unit) const;
  /// NaN for categories and where missing.
  double number(std::size_t unit) const;
  const std::string& text(std::size_t unit) const { return texts_[unit]; }

  /// Design columns for these units: the numbers, or an indicator "name=value" for every value that
  /// occurs among them but the first.
  std::vector<std::pair<std::string, std::vector<double>>> columns(
      const std::vector<std::size_t>& units) const;

 private:
  std::string name_;
  std::vector<std::string> texts_;
  std::vector<double> numbers_;
  std::vector<std::string> categories_;
};

}  // namespace epvs::eval
