#include "eval/regression_data.h"

#include <cmath>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "eval/count_likelihood.h"
#include "eval/groups.h"
#include "eval/statistics.h"

namespace epvs::eval {

namespace {

double whole(double score, CountRounding rounding) {
  return rounding == CountRounding::kFloor ? std::floor(score) : std::nearbyint(score);
}

void check_score(double score, std::size_t position, const CountConversion& conversion) {
  const auto refuse = [&](const char* expectation, const char* hint) {
    throw core::InputError(
        fmt::format("score {} is {}, a count must be {}", position + 1, score, expectation), hint);
  };
  if (!std::isfinite(score)) refuse("a finite number", "drop participants with missing scores");
  if (score > kMaximalCount) refuse("at most 1e7", "correct the score");
  if (conversion.rounding == CountRounding::kRefuse && score != std::nearbyint(score)) {
    refuse("a whole number", "choose how to round");
  }
  if (conversion.negatives == NegativeCounts::kRefuse && whole(score, conversion.rounding) < 0.0) {
    refuse("zero or more", "allow clipping at zero");
  }
}

std::string describe(const Counts& counts, CountRounding rounding) {
  std::string text;
  if (counts.rounded > 0) {
    text = fmt::format("{} of {} scores rounded {}", counts.rounded, counts.values.size(),
                       rounding == CountRounding::kFloor ? "down" : "to the nearest whole number");
  }
  if (counts.clipped > 0) {
    text += fmt::format("{}{} of {} scores below zero set to 0", text.empty() ? "" : ", ",
                        counts.clipped, counts.values.size());
  }
  return text;
}

}  // namespace

Counts to_counts(std::span<const double> scores, const CountConversion& conversion) {
  Counts counts;
  counts.values.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    check_score(scores[i], i, conversion);
    double value = whole(scores[i], conversion.rounding);
    if (value != scores[i]) ++counts.rounded;
    if (value < 0.0) {
      ++counts.clipped;
      value = 0.0;
    }
    counts.values.push_back(value + 0.0);  // -0 becomes 0
  }
  counts.note = describe(counts, conversion.rounding);
  return counts;
}

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
