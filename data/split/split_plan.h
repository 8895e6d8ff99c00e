// How participants are divided into training, validation and test sets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/parameters.h"
#include "core/splits.h"

namespace epvs::data {

/// Either k-fold (`folds` >= 2) or random splits (`monte_carlo` of them, otherwise one).
struct SplitOptions {
  int folds = 0;
  int repeats = 1;
  int monte_carlo = 0;
  double test_fraction = 0.2;
  double validation_fraction = 0.2;
  double train_fraction = 0;
  int train = -1;
  int validation = -1;
  int test = -1;
  int development = -1;

  void declare(core::ParameterTable& table);
  bool has_sizes() const { return train >= 0 || validation >= 0 || test >= 0 || development >= 0; }
  /// Throws UsageError for options that contradict each other.
  void validate() const;
};

struct SplitSizes {
  std::size_t train = 0;
  std::size_t validation = 0;
  std::size_t test = 0;
};

/// Sizes of one split of `count` participants; f = validation_fraction.
///   k-fold:  test = count / k, one more in the first count % k folds
///   sizes:   test as given, else what is left; development = train + validation together, of which
///            round(f * development) validate; a validation size that is not given is
///            round(f * (count - test)), with a given train round(f / (1 - f) * train); a train
///            size that is not given is what is left
///   else:    test = round(test_fraction * count), validation = round(f * (count - test)), train =
///            round(train_fraction * count), or what is left when that is 0
/// Participants beyond these sizes are in no set. Throws UsageError when the sizes exceed the
/// participants or leave no training participants.
SplitSizes split_sizes(const SplitOptions& options, std::size_t count, int fold = 0);

/// A participant and its stratum (empty when there are no strata).
struct SplitSubject {
  std::string participant_id;
  std::string stratum;
};

/// All repeats and folds, a function of the seed and the set of subjects, not of their order.
///
/// In each repeat the members of each stratum are shuffled, and the strata are then merged evenly
/// into one row of participants, of which the sets are contiguous parts: every set has its share of
/// every stratum to within about one participant. In k-fold each participant is tested once in a
/// repeat. Throws UsageError for a participant that is there twice, or fewer participants than
/// folds.
core::Splits make_splits(std::vector<SplitSubject> subjects, const SplitOptions& options,
                         std::uint64_t seed);

/// Cuts numbers into `bins` groups of nearly equal size by rank; equal values stay together.
/// Returns "q1", "q2", ...; NaN becomes "n/a".
std::vector<std::string> quantile_strata(const std::vector<double>& values, int bins);

}  // namespace epvs::data
