// The methods paragraph of eval/report_tables.h.
#include <boost/version.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/text.h"
#include "core/version.h"
#include "eval/report_tables.h"

namespace epvs::eval {

namespace {

std::string percent_text(double share) {
  return core::format_number(std::round(1e6 * share) / 1e4) + "%";
}

std::string adjustment_sentence(const EvaluationOptions& options) {
  std::vector<std::string> columns = options.family_by;
  const std::string families = columns.empty()
                                   ? "all comparisons together"
                                   : "families of tests that share " + core::join(columns, ", ");
  switch (options.adjustment) {
    case Adjustment::kNone:
      return "P-values of comparisons were not corrected for the number of tests.";
    case Adjustment::kBonferroni:
      return "P-values of comparisons were corrected by Bonferroni's method within " + families +
             ".";
    case Adjustment::kHolm:
      return "P-values of comparisons were corrected by Holm's method (Holm 1979) within " +
             families + ".";
    case Adjustment::kBenjaminiHochberg:
      return "The false discovery rate of comparisons was controlled by the method of Benjamini "
             "and Hochberg (1995) within " +
             families + ".";
  }
  return {};
}

std::string resampling_sentences(const EvaluationOptions& options) {
  std::string text;
  const ResamplingOptions& r = options.resampling;
  if (r.bootstrap > 0) {
    text += fmt::format(
        " Bootstrap intervals (percentile, and bias-corrected and accelerated, Efron 1987) of "
        "every metric and of its differences between scorers come from {} resamples of "
        "participants{}; a participant's sessions stayed together{}.",
        r.bootstrap, r.strata.empty() ? "" : " within strata",
        r.given.empty() ? fmt::format(" (seed {})", r.seed) : " (resamples given in a table)");
  }
  if (r.permutations > 0) {
    text += fmt::format(
        " Permutation p-values come from {} permutations: of participants for association, of the "
        "two scorers within participants for differences (seed {}).",
        r.permutations, r.seed);
  }
  return text;
}

}  // namespace

std::string methods_paragraph(const Evaluation& evaluation, const Dataset& data,
                              const GroupOptions& groups, const EvaluationOptions& options) {
  std::set<std::string> participants;
  for (const core::ScoreKey& unit : data.units) participants.insert(unit.participant_id);
  const std::vector<std::string> others(data.scorers.begin() + 1, data.scorers.end());
  std::vector<std::string> regions = data.regions();
  const bool has_regions = !regions.empty() && !regions.front().empty();
  std::string text = fmt::format(
      "Scores of {} participants{} by {} were compared with the reference {}{}. Linear association "
      "was measured by Pearson's correlation with Fisher's interval and t test, monotone "
      "association by Spearman's correlation (interval of Bonett and Wright 2000). Agreement was "
      "measured by intraclass correlations: ICC(1,1), ICC(2,1) (absolute agreement) and ICC(3,1) "
      "(consistency) with their mean-rating forms (Shrout and Fleiss 1979; intervals from the F "
      "distribution, by Satterthwaite's approximation for the second form), by Lin's concordance "
      "correlation (Lin 1989, 2000), mean squared and absolute errors, bias, and limits of "
      "agreement with their intervals (Bland and Altman 1999). All intervals are {} intervals.",
      participants.size(), has_regions ? " in " + core::join(regions, ", ") : "",
      core::join(others, ", "), data.scorers.front(),
      options.pairs == Pairs::kAll ? " and with each other" : "", percent_text(options.confidence));
  if (!options.cuts.thresholds.empty()) {
    std::vector<std::string> parts;
    for (const double t : options.cuts.thresholds) parts.push_back(core::format_number(t));
    text += fmt::format(
        " Scores above {} were detected with the accuracy, sensitivity and specificity (Wilson's "
        "interval) and the area under the curve (DeLong et al. 1988) reported.",
        core::join(parts, ", "));
  }
  if (!options.cuts.category_bounds.empty()) {
    text += fmt::format(
        " Categories with upper bounds {} were compared by Cohen's kappa without, with linear and "
        "with quadratic weights (Fleiss, Cohen and Everitt 1969).",
        categories_text(options.cuts.category_bounds));
  }
  if (!evaluation.comparisons.empty()) {
    text +=
        " The correlations of two scorers with the reference were compared by Williams' t test "
        "(Williams 1959; Steiger 1980; interval of the difference by Zou 2007) and by Steiger's "
        "Z. " +
        adjustment_sentence(options);
  }
  text += resampling_sentences(options);
  if (!groups.group_by.empty()) {
    text += fmt::format(
        " Results are given overall and by {}; groups of fewer than {} are not evaluated.",
        core::join(groups.group_by, ", "), options.minimum_n);
  }
  text += fmt::format(" Computed with epvs {} ({}), Boost.Math {}.{}.{}.\n", core::kVersion,
                      core::kGitCommit, BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000,
                      BOOST_VERSION % 100);
  return core::wrap(text, 100, 0);
}

}  // namespace epvs::eval
