// All statistics of a joined dataset: the rows of metrics.tsv and comparisons.tsv.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/bootstrap.h"
#include "eval/groups.h"
#include "eval/join.h"
#include "eval/pair_statistics.h"
#include "eval/statistics.h"

namespace epvs::eval {

/// Bootstrap and permutation.
struct ResamplingOptions {
  std::size_t bootstrap = 0;     ///< resamples; 0 for none
  std::size_t permutations = 0;  ///< 0 for none
  std::uint64_t seed = 1;
  int threads = 1;
  /// Per unit of the dataset: participants are drawn within equal texts; empty for one stratum.
  std::vector<std::string> strata;
  /// Given resamples instead of drawn ones: lists of participant_id. A group of other participants
  /// than those of the first list gets n/a.
  std::vector<std::vector<std::string>> given;
};

/// Pairs of scorers in metrics.tsv: every two of them, or each with the reference.
enum class Pairs { kAll, kReference };

constexpr auto names_of(Pairs) {
  return std::to_array<core::EnumName<Pairs>>(
      {{Pairs::kAll, "all"}, {Pairs::kReference, "reference"}});
}

struct EvaluationOptions {
  double confidence = 0.95;
  /// Groups with fewer complete units get n/a and the reason.
  std::size_t minimum_n = 3;
  Pairs pairs = Pairs::kAll;
  /// Scorers whose joint intraclass correlations are added (two or more).
  std::vector<std::string> together;
  Adjustment adjustment = Adjustment::kHolm;
  /// Columns of comparisons.tsv within whose equal values tests form one family.
  std::vector<std::string> family_by = {"test", "metric", "group"};
  std::string family_name;  ///< written in the output before the columns of family_by
  PairOptions cuts;         ///< thresholds and categories
  ResamplingOptions resampling;
  /// Called after each region and group with the number done and the number of all.
  std::function<void(std::size_t, std::size_t)> progress;

  /// Throws UsageError naming option, value and constraint.
  void validate() const;
};

struct MetricRow {
  std::string region;
  std::string group;
  std::size_t n = 0;
  std::string reference;
  std::string scorer;
  std::string metric;
  std::string parameter;
  Estimate value;
};

struct ComparisonRow {
  std::string region;
  std::string group;
  std::size_t n = 0;
  std::string reference;
  std::string scorer_a;
  std::string scorer_b;
  std::string test;
  std::string metric;
  Estimate value;  ///< estimate = metric of scorer_a minus metric of scorer_b
  double p_adjusted = kNaN;
  std::string adjustment;
  std::string family;
};

struct Evaluation {
  std::vector<MetricRow> metrics;
  std::vector<ComparisonRow> comparisons;
};

/// Complete pairs (or triples) of score columns within a group.
struct Complete {
  std::vector<std::size_t> units;
  std::vector<std::vector<double>> columns;  ///< in the order asked for
};
Complete complete_units(const Dataset& data, const std::vector<std::size_t>& units,
                        const std::vector<std::size_t>& scorers);

/// Every metric of every pair in every region and group, every comparison of two scorers against
/// the reference. `participants` may be null.
Evaluation evaluate(const Dataset& data, const core::Table* participants,
                    const GroupOptions& groups, const EvaluationOptions& options);

/// Appends the rows of one region and group to `out`; p-values are not corrected yet.
void evaluate_group(const Dataset& data, const std::string& region, const Group& group,
                    const EvaluationOptions& options, Evaluation& out);

/// Draws of these participants (one text per unit, with its stratum where there are strata) as the
/// options say. Nothing where the given resamples are of other participants: `obstacle` says so.
std::optional<Resampler> make_resampler(const std::vector<std::string>& participants,
                                        const std::vector<std::string>& strata,
                                        const ResamplingOptions& options, std::uint64_t seed,
                                        std::string& obstacle);

/// Corrects the p-values of the comparisons within families and names the families.
void adjust_families(std::vector<ComparisonRow>& rows, const EvaluationOptions& options);

}  // namespace epvs::eval
