// Associations of scores with covariates as tables: associations.tsv and the means per age bin,
// from a joined dataset and participants.tsv.
#pragma once

#include <string>
#include <vector>

#include "core/table.h"
#include "eval/age_bins.h"
#include "eval/count_regression.h"
#include "eval/groups.h"
#include "eval/join.h"
#include "eval/regression_data.h"

namespace epvs::eval {

struct AssociationOptions {
  CountModel model = CountModel::kZeroInflatedNegativeBinomial;
  /// Columns of participants.tsv (or session_id, fold, repeat). Numbers enter as they are, other
  /// text as indicator columns against its first value in alphabetical order, named "sex=m".
  std::vector<std::string> covariates;
  /// Covariates of the zero part; none leaves its intercept alone.
  std::vector<std::string> zero_covariates;
  /// Ratios are for a change of a number by this: 10 gives a decade of age in years. Indicator
  /// columns always change by 1.
  double per = 10.0;
  CountConversion conversion;
  double confidence = 0.95;
  std::size_t minimum_n = 10;
  /// Leaves out units without score or covariate (and says how many) instead of refusing them.
  bool allow_missing = false;

  /// Throws UsageError naming option, value and constraint.
  void validate() const;
};

/// region group n scorer model part term estimate se z p ratio ratio_low ratio_high per note, for
/// every region, group and scorer. `part` is one of
///   count, zero       coefficients (log scale) with rate ratio or odds ratio per `per`
///   overall           log ratio of mean predictions, both parts together, per `per` (numbers only)
///   dispersion        log_theta; ratio = theta with its interval
///   likelihood_ratio  estimate = statistic of dropping the covariate from both parts, note = df
///   vuong             z of the zero-inflated against the plain model: raw, aic, bic (eval/vuong.h)
///   fit               estimate = log_likelihood, aic, bic, zeros, rounded, clipped
/// `model` is the fitted model; the note of the fit row says where it is simpler than the
/// requested. A fit that is not possible leaves one row per coefficient with n/a and the reason.
/// Throws UsageError for unknown columns, InputError for missing values without allow_missing.
core::Table association_table(const Dataset& data, const core::Table& participants,
                              const GroupOptions& groups, const AssociationOptions& options);

/// region group n scorer covariate bin_low bin_high mean sd ci_low ci_high note: n participants
/// with a covariate in [bin_low, bin_high). Units without score or covariate are left out.
core::Table age_bin_table(const Dataset& data, const core::Table& participants,
                          const std::string& covariate, const GroupOptions& groups,
                          const AgeBinOptions& options);

}  // namespace epvs::eval
