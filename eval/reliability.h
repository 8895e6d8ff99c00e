// Do scans of one person agree, and do scanners?
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/scores.h"
#include "eval/statistics.h"

namespace epvs::eval {

// Repeatability of a scorer from people scanned twice: pairs by session, within-subject SD and
// repeatability coefficient (Bland & Altman 1996), intraclass correlations, systematic change.
//
// With d_i the difference of the two scans of participant i, the within-subject variance of the
// one-way layout is Sw^2 = sum d_i^2 / (2 n); n Sw^2 / sigma^2 is chi-squared with n degrees of
// freedom, which gives the interval. The repeatability coefficient 1.96 sqrt(2) Sw is the
// difference that 95% of pairs of scans of one person stay below. A systematic change between
// sessions is part of Sw here; `bias` shows it.

struct RescanPair {
  std::string participant_id;
  double first = 0.0;
  double second = 0.0;
};

struct RescanPairs {
  std::string scorer;
  std::string region;  ///< empty when the table has none
  std::vector<RescanPair> pairs;
  /// Participants with a single scan, or without a score in one of the two.
  std::vector<std::string> left_out;
};

struct RescanOptions {
  /// The two sessions to pair, first and second; empty: each participant's only two, in natural
  /// order of their names ("2" before "10").
  std::string first_session;
  std::string second_session;
};

/// Pairs of one scorer in one region ("" for a table without regions). Throws InputError for a
/// table without sessions, a participant with more than two sessions (named) when the sessions are
/// not chosen, and a table with several folds or repeats of one scan; UsageError for half a choice
/// and for sessions that the table lacks (naming those that it has).
RescanPairs pair_sessions(const core::ScoresTable& table, const std::string& scorer,
                          const std::string& region, const RescanOptions& options = {});

struct RescanAgreement {
  std::size_t n = 0;
  std::array<Estimate, 6> icc;  ///< in the order of kIccNames
  Estimate within_subject_sd;   ///< chi-squared interval, ci_method "chi_squared"
  Estimate repeatability_coefficient;
  Estimate bias;  ///< second minus first; paired t, ci_method "t"
};

/// All NaN with a reason for n < 3.
RescanAgreement rescan_agreement(std::span<const double> first, std::span<const double> second,
                                 double confidence = 0.95);

// Do scanners agree? Correlations of k independent groups compared and pooled on Fisher's z scale.
//
// z = atanh(r) has variance 1 / (n - 3). Q = sum w (z - mean)^2 with w = n - 3 is chi-squared with
// k - 1 degrees of freedom when all correlations are equal (Fisher 1921; Hedges & Olkin 1985).
// Random effects by DerSimonian & Laird 1986: tau2 = max(0, (Q - (k - 1)) / (W - sum w^2 / W)),
// weights 1 / (1 / w + tau2). I2 = max(0, (Q - (k - 1)) / Q), its interval is the test-based one of
// Higgins & Thompson 2002.

struct GroupCorrelation {
  std::string group;
  std::size_t n = 0;
  double r = 0.0;
};

/// A correlation with its interval on the r scale, from z +- quantile * se.
struct PooledCorrelation {
  double r = 0.0;
  double ci_low = 0.0;
  double ci_high = 0.0;
  double z = 0.0;
  double se_z = 0.0;
};

struct CorrelationHeterogeneity {
  std::size_t groups = 0;  ///< groups used
  std::size_t n = 0;       ///< participants in them
  double q = 0.0;
  double df = 0.0;
  double p = 0.0;
  double tau2 = 0.0;  ///< on the z scale
  double i2 = 0.0;    ///< fraction, 0..1
  double i2_low = 0.0;
  double i2_high = 0.0;
  PooledCorrelation fixed;
  PooledCorrelation random;
  /// "scanner-x: n = 3, needs at least 4": groups that could not enter.
  std::vector<std::string> left_out;
  std::string note;  ///< why the numbers are NaN (fewer than two usable groups)
};

/// Groups with n < 4, with r not a number or |r| = 1 are left out and named. Throws InputError for
/// |r| > 1 and UsageError for a confidence outside (0, 1).
CorrelationHeterogeneity correlation_heterogeneity(const std::vector<GroupCorrelation>& groups,
                                                   double confidence = 0.95);

struct LeaveOneOut {
  std::string left_out_group;
  std::size_t n = 0;        ///< participants that remain
  double estimate = 0.0;    ///< of those that remain
  double difference = 0.0;  ///< estimate minus the estimate of everyone
};

/// The metric of all participants except those of one group, for each group in order of first
/// appearance. `metric` gets the row numbers that remain and may return NaN.
std::vector<LeaveOneOut> leave_one_group_out(
    const std::vector<std::string>& labels,
    const std::function<double(const std::vector<std::size_t>&)>& metric);

}  // namespace epvs::eval
