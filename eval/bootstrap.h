// Resamples by participant: bootstrap intervals and permutation p-values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/pair_statistics.h"
#include "eval/statistics.h"

namespace epvs::eval {

/// What is drawn: clusters (participants) of units (their sessions), within strata.
struct ResamplingDesign {
  std::vector<std::size_t> cluster_of_unit;
  std::vector<std::size_t> stratum_of_cluster;
  std::size_t clusters() const { return stratum_of_cluster.size(); }

  /// Units of one participant stay together; participants are drawn within `strata` (one text per
  /// unit; empty for one stratum). Throws InputError when a participant's units differ in stratum.
  static ResamplingDesign by_participant(const std::vector<std::string>& participants,
                                         const std::vector<std::string>& strata = {});
  /// Every unit on its own.
  static ResamplingDesign of_units(std::size_t units);
};

/// Counts of replicate after replicate; replicate b depends on (seed, b) alone, so any thread may
/// ask for any replicate.
class Resampler {
 public:
  /// As many draws with replacement from each stratum as it has clusters.
  Resampler(ResamplingDesign design, std::size_t replicates, std::uint64_t seed);
  /// Given draws: draws[b] lists clusters.
  Resampler(ResamplingDesign design, std::vector<std::vector<std::size_t>> draws);

  const ResamplingDesign& design() const { return design_; }
  std::size_t replicates() const { return replicates_; }
  /// How often each cluster is in replicate b.
  void counts(std::size_t replicate, std::vector<double>& counts) const;
  /// Counts of clusters spread on their units.
  void unit_weights(const std::vector<double>& counts, std::vector<double>& weights) const;

 private:
  ResamplingDesign design_;
  std::vector<std::vector<std::size_t>> strata_;  ///< clusters of each stratum
  std::size_t replicates_;
  std::uint64_t seed_ = 0;
  std::vector<std::vector<std::size_t>> draws_;
};

// Bootstrap intervals (percentile and BCa, Efron 1987) and permutation p-values of every metric of
// one or several pairs of scorers on the same participants.
//
// Given the same resamples, intervals equal those of R's boot.ci(type = c("perc", "bca")) with the
// jackknife influence values of empinf(type = "jack"); quantiles are interpolated on the normal
// scale as boot does, and replicates that do not exist (a constant resample) are left out as there.

/// Replicates of all metrics of one pair.
struct Replicates {
  std::size_t metrics = 0;
  std::vector<double> observed;   ///< per metric
  std::vector<double> values;     ///< metric-major: values[m * replicates + b]
  std::vector<double> influence;  ///< jackknife, metric-major: influence[m * clusters + c]
  std::size_t replicates = 0;
  std::size_t clusters = 0;

  std::span<const double> of(std::size_t metric) const {
    return std::span(values).subspan(metric * replicates, replicates);
  }
  std::span<const double> influence_of(std::size_t metric) const {
    return std::span(influence).subspan(metric * clusters, clusters);
  }
};

/// Bootstraps all `pairs` (of the same units, in the order of the resampler's design) on the same
/// resamples. The result does not depend on `threads`.
std::vector<Replicates> bootstrap(std::span<const PairStatistics* const> pairs,
                                  const Resampler& resampler, int threads);

/// ci_low, ci_high, ci_method "percentile"; n/a with a reason for fewer than 50 finite replicates.
Estimate percentile_interval(double observed, std::span<const double> replicates,
                             double confidence);
/// ci_method "bca". n/a with a reason when the observed value lies outside all replicates.
Estimate bca_interval(double observed, std::span<const double> replicates,
                      std::span<const double> influence, double confidence);

/// Two-sided p of 0 under the replicates of a difference: 2 min(share <= 0, share >= 0), each with
/// one added to count and number; never 0.
double bootstrap_p(std::span<const double> replicates);

/// Permutation test of no association: the scorer's values change participants. For each metric, p
/// = (1 + number of permutations with |metric| at least the observed) / (1 + permutations).
/// Permutations stay within strata of units. Order: as `pair.names()`, only pearson and spearman.
struct AssociationP {
  double pearson = kNaN;
  double spearman = kNaN;
};
AssociationP permute_association(std::span<const double> x, std::span<const double> y,
                                 const std::vector<std::string>& strata, std::size_t permutations,
                                 std::uint64_t seed, int threads);

/// Paired permutation test of equal metrics: scorers a and b change places within participants
/// (clusters of `design`). p per metric as above, on |metric(a) - metric(b)|.
std::vector<double> permute_difference(std::span<const double> x, std::span<const double> a,
                                       std::span<const double> b, const PairOptions& options,
                                       const ResamplingDesign& design, std::size_t permutations,
                                       std::uint64_t seed, int threads);

}  // namespace epvs::eval
