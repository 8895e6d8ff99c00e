// One statistic with its uncertainty, as it stands in one row of metrics.tsv.
#pragma once

#include <limits>
#include <string>

namespace epvs::eval {

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// NaN means "does not exist here" and is written as n/a; `note` then holds the reason.
struct Estimate {
  double estimate = kNaN;
  double ci_low = kNaN;
  double ci_high = kNaN;
  std::string ci_method;  ///< "fisher", "f", "t", "bca", ...; empty without an interval
  double statistic = kNaN;
  double df1 = kNaN;
  double df2 = kNaN;
  double p = kNaN;
  std::string note;

  static Estimate unavailable(std::string reason) {
    Estimate result;
    result.note = std::move(reason);
    return result;
  }
};

}  // namespace epvs::eval
