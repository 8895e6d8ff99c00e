// Means of a score per bin of age (or another covariate) with t intervals: Figure 9 of Dubost et
// al. 2019 shows them per 5 years.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace epvs::eval {

struct AgeBinOptions {
  double width = 5.0;   ///< units of the covariate, years for age
  double origin = 0.0;  ///< a bin edge: with 0 and 5 the bins are 60-65, 65-70, ...
  double confidence = 0.95;

  /// Throws UsageError naming the option, its value and what was expected.
  void validate() const;
};

/// One bin [low, high): n, mean and the interval mean +- t(n - 1) sd / sqrt(n).
struct AgeBin {
  double low = 0.0;
  double high = 0.0;
  std::size_t n = 0;
  double mean = 0.0;  ///< NaN when the bin is empty
  double sd = 0.0;    ///< sample SD (n - 1); NaN below n = 2, as is the interval
  double ci_low = 0.0;
  double ci_high = 0.0;
  std::string note;
};

/// Bins from the one with the smallest to the one with the largest age, empty ones between them
/// included. Pairs in which either is NaN are left out. Throws InputError for unequal lengths, for
/// infinite values and when more than 10,000 bins would be needed.
std::vector<AgeBin> mean_by_age(std::span<const double> ages, std::span<const double> scores,
                                const AgeBinOptions& options = {});

}  // namespace epvs::eval
