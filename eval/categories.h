// Agreement after scores are cut: above a threshold or not, or in several categories.
// x is the reference, y the scorer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/statistics.h"

namespace epvs::eval {

/// Does the scorer find those whose reference score is above a threshold (x > t)? A scorer says yes
/// where its own score is above it (y > t).
struct ThresholdEstimates {
  Estimate accuracy;     ///< share of equal answers; Wilson's interval
  Estimate sensitivity;  ///< yes among x > t; Wilson's interval; n/a when no x > t
  Estimate specificity;  ///< no among x <= t; Wilson's interval; n/a when no x <= t
  Estimate auc;          ///< P(y of a yes > y of a no) + P(equal)/2; interval by DeLong et al. 1988
};
ThresholdEstimates at_threshold(std::span<const double> x, std::span<const double> y,
                                double threshold, double confidence = 0.95);

enum class KappaWeights { kNone, kLinear, kQuadratic };

/// Cohen's kappa of the categories 0..count-1 in `x` and `y`; weights 1 - |i-j|/(c-1) or its
/// square. Interval from the large-sample variance of Fleiss, Cohen & Everitt 1969
/// (psych::cohen.kappa), cut to -1..1. n/a when both scorers use one and the same category only.
Estimate kappa(std::span<const int> x, std::span<const int> y, int count, KappaWeights weights,
               double confidence = 0.95);

/// The category of each score: the number of bounds that are below it, so bounds 0, 10, 20, 40 make
/// the five categories 0, 1-10, 11-20, 21-40, > 40 of counts.
std::vector<int> categories_of(std::span<const double> scores, std::span<const double> bounds);

/// Kappa of a table of counts (or weights) of `count` x `count` cells, row = reference. NaN when it
/// does not exist.
double kappa_value(std::span<const double> cells, int count, KappaWeights weights);

/// Wilson's interval of `successes` of `n`.
Estimate proportion(double successes, double n, double confidence = 0.95);

}  // namespace epvs::eval
