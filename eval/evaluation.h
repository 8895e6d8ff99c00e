// All statistics of a joined dataset: the rows of metrics.tsv and comparisons.tsv.
#pragma once

#include <string>
#include <vector>

#include "eval/estimate.h"
#include "eval/groups.h"
#include "eval/join.h"
#include "eval/multiplicity.h"

namespace epvs::eval {

struct EvaluationOptions {
  double confidence = 0.95;
  /// Groups with fewer complete units get n/a and the reason.
  std::size_t minimum_n = 3;
  /// Also every scorer against every other one, not only against the reference.
  bool all_pairs = true;
  /// Scorers whose joint intraclass correlations are added (two or more).
  std::vector<std::string> together;
  Adjustment adjustment = Adjustment::kHolm;
  /// Columns of comparisons.tsv within whose equal values tests form one family.
  std::vector<std::string> family_by = {"test", "metric", "group"};
  std::string family_name;  ///< written in the output; made from family_by when empty

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

/// Corrects the p-values of the comparisons within families and names the families.
void adjust_families(std::vector<ComparisonRow>& rows, const EvaluationOptions& options);

}  // namespace epvs::eval
