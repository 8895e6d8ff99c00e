#include "eval/count_data.h"

#include <cmath>

#include "core/error.h"
#include "eval/count_likelihood.h"

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

}  // namespace epvs::eval
