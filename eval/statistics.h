// What every statistic is made of: an estimate with its uncertainty, sums of squares, the probability
// distributions, corrections of p-values.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/enum_names.h"

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
  /// Adds to the note, after a semicolon where there is one.
  void add_note(const std::string& text) {
    if (!text.empty()) note += note.empty() ? text : "; " + text;
  }
};

// Sums of squares of paired samples, by two passes over values shifted by the first one, so that an
// offset of 1e9 costs no digits.

struct PairMoments {
  std::size_t n = 0;
  double mean_x = 0;
  double mean_y = 0;
  double sxx = 0;     ///< sum (x - mean_x)^2
  double syy = 0;     ///< sum (y - mean_y)^2
  double sxy = 0;     ///< sum (x - mean_x)(y - mean_y)
  double mean_d = 0;  ///< mean of d = y - x
  double sdd = 0;     ///< sum (d - mean_d)^2
  double sum_d2 = 0;  ///< sum d^2
  bool constant_x = false;
  bool constant_y = false;
};

/// x and y have equal length and hold finite numbers only.
PairMoments pair_moments(std::span<const double> x, std::span<const double> y);

struct Moments {
  std::size_t n = 0;
  double mean = 0;
  double ss = 0;  ///< sum (x - mean)^2
};

Moments moments(std::span<const double> x);

/// Median with the mean of the two middle values for even n; NaN for none.
double median(std::span<const double> x);

// The probability distributions behind p-values and intervals (Boost.Math), with the limits that
// data can reach: an infinite statistic has p = 0, a NaN stays a NaN, nothing throws.

double normal_cdf(double z);
/// P(Z > z), accurate far out in the tail.
double normal_upper(double z);
/// -inf for 0, inf for 1.
double normal_quantile(double probability);
/// 2 P(Z > |z|).
double normal_two_sided(double z);

double t_quantile(double probability, double df);
/// 2 P(T > |t|).
double t_two_sided(double t, double df);

/// P(F > f).
double f_upper(double f, double df1, double df2);
double f_quantile(double probability, double df1, double df2);

double chi_squared_upper(double x, double df);

/// P(X <= k) for X ~ Binomial(n, probability).
double binomial_cdf(double k, double n, double probability);

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
