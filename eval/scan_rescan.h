// Repeatability of a scorer from people scanned twice: pairs by session, within-subject SD and
// repeatability coefficient (Bland & Altman 1996), intraclass correlations, systematic change.
//
// With d_i the difference of the two scans of participant i, the within-subject variance of the
// one-way layout is Sw^2 = sum d_i^2 / (2 n); n Sw^2 / sigma^2 is chi-squared with n degrees of
// freedom, which gives the interval. The repeatability coefficient 1.96 sqrt(2) Sw is the
// difference that 95% of pairs of scans of one person stay below. A systematic change between
// sessions is part of Sw here; `bias` shows it.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/scores.h"
#include "eval/estimate.h"

namespace epvs::eval {

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

}  // namespace epvs::eval
