// Columns of participants.tsv as covariates of a regression.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/table.h"
#include "eval/join.h"

namespace epvs::eval {

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
