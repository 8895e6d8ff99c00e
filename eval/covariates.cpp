#include "eval/covariates.h"

#include <cmath>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "eval/estimate.h"
#include "eval/groups.h"

namespace epvs::eval {
namespace {

constexpr std::size_t kMaximalCategories = 20;

}  // namespace

Covariate::Covariate(const Dataset& data, const core::Table& participants,
                     const std::string& column)
    : name_(column), texts_(unit_column(data, &participants, column)) {
  std::set<std::string> values;
  bool numbers = true;
  numbers_.assign(texts_.size(), kNaN);
  for (std::size_t unit = 0; unit < texts_.size(); ++unit) {
    if (missing(unit)) continue;
    values.insert(texts_[unit]);
    const auto number = core::parse_number(texts_[unit]);
    if (number && std::isfinite(*number)) {
      numbers_[unit] = *number;
    } else {
      numbers = false;
    }
  }
  if (values.empty()) {
    throw core::UsageError(fmt::format("covariate '{}' of {} has no value for any scored "
                                       "participant",
                                       column, participants.source()),
                           "choose another column");
  }
  if (numbers) return;
  if (values.size() > kMaximalCategories) {
    throw core::UsageError(
        fmt::format("covariate '{}' of {} is text with {} different values ('{}', ...), at most {} "
                    "can be compared",
                    column, participants.source(), values.size(), *values.begin(),
                    kMaximalCategories),
        "correct the column or choose another");
  }
  categories_.assign(values.begin(), values.end());
}

bool Covariate::missing(std::size_t unit) const {
  return texts_[unit] == core::kMissing;
}

double Covariate::number(std::size_t unit) const {
  return is_number() ? numbers_[unit] : kNaN;
}

std::vector<std::pair<std::string, std::vector<double>>> Covariate::columns(
    const std::vector<std::size_t>& units) const {
  std::vector<double> values;
  if (is_number()) {
    for (const std::size_t unit : units) values.push_back(numbers_[unit]);
    return {{name_, values}};
  }
  std::set<std::string> present;
  for (const std::size_t unit : units) present.insert(texts_[unit]);
  std::vector<std::pair<std::string, std::vector<double>>> result;
  for (auto category = present.begin(); category != present.end(); ++category) {
    if (category == present.begin()) continue;
    values.clear();
    for (const std::size_t unit : units) values.push_back(texts_[unit] == *category ? 1.0 : 0.0);
    result.emplace_back(name_ + "=" + *category, values);
  }
  return result;
}

}  // namespace epvs::eval
