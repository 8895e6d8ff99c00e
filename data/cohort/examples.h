// What a training learns from: scans of the cohort joined with their labels and splits.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/scores.h"
#include "core/splits.h"
#include "data/cohort/cohort.h"

namespace epvs::data {

/// One scan with its label.
struct Example {
  std::string participant_id;
  std::string session_id;
  std::size_t row = 0;                                      ///< of the cohort's region
  double label = std::numeric_limits<double>::quiet_NaN();  ///< NaN: not known (test scans only)
  /// "sub-01" or "sub-01 ses-2": names the scan in seeds and messages.
  std::string name() const;
};

struct Examples {
  std::string region;
  std::string target;
  int repeat = 0;
  int fold = 0;
  std::vector<Example> train;
  std::vector<Example> validation;
  std::vector<Example> test;

  /// Mean label of the training scans.
  double mean_label() const;
  /// SHA-256 over names, rows and labels of train and validation.
  std::string fingerprint() const;
};

/// The region to train on: `wanted`, or the cohort's only region when it is empty. Throws
/// core::UsageError naming the regions.
std::string choose_region(const CohortReader& cohort, const std::string& wanted);

/// Joins by participant, session (where the table has sessions) and region (where it has regions).
/// Throws core::InputError: a participant of the split is not in the cohort (all are named); a
/// train or validation scan has no label (all are named); a table without sessions for a
/// participant with several scans.
Examples collect_examples(const CohortReader& cohort, const std::string& region,
                          const core::ScoresTable& scores, const std::string& target,
                          const core::Splits& splits, int repeat, int fold);

/// Says how many scans there are and what their labels look like; says when labels are negative or
/// fractional, warns when all are equal.
void describe_examples(const Examples& examples, core::Log& log);

}  // namespace epvs::data
