// Regression of counts on covariates by maximum likelihood: Poisson, negative binomial (NB2), and
// both with zero inflation (logit), with standard errors from the observed information.
//
// Parametrisation (as pscl::zeroinfl and MASS::glm.nb): log(mean) = x'b; variance mean + mean^2 /
// theta; logit(probability of a structural zero) = z'g. exp(b) is a rate ratio: the factor on the
// mean count among those who can have any. exp(g) is an odds ratio of having a structural zero, so
// a covariate that brings more EPVS has an odds ratio BELOW one there. docs/associations.md has an
// example. References: Lambert 1992 (ZIP), Greene 1994 (ZINB), Zeileis, Kleiber & Jackman 2008
// (pscl).
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/enum_names.h"

namespace epvs::eval {

enum class CountModel {
  kPoisson,
  kNegativeBinomial,
  kZeroInflatedPoisson,
  kZeroInflatedNegativeBinomial,
};
constexpr auto names_of(CountModel) {
  return std::to_array<core::EnumName<CountModel>>(
      {{CountModel::kPoisson, "poisson"},
       {CountModel::kNegativeBinomial, "nb"},
       {CountModel::kZeroInflatedPoisson, "zip"},
       {CountModel::kZeroInflatedNegativeBinomial, "zinb"}});
}
bool has_zero_part(CountModel model);
bool has_dispersion(CountModel model);

/// n x p design matrix; the first column is the intercept.
struct Design {
  Eigen::MatrixXd values;
  std::vector<std::string> terms;  ///< p names, "intercept" first
};
/// Intercept and these covariates (name, n values each). Throws InputError naming the covariate for
/// another length and for values that are not finite.
Design make_design(std::size_t n,
                   const std::vector<std::pair<std::string, std::vector<double>>>& covariates);

struct Coefficient {
  std::string term;
  double estimate = 0.0;  ///< log scale; NaN when it has no finite value (`note` says why)
  double se = 0.0;
  double z = 0.0;
  double p = 0.0;  ///< Wald, two-sided
  std::string note;
};

struct CountFit {
  CountModel requested = CountModel::kPoisson;
  /// The model of the numbers below. It is simpler than the requested one where that one's maximum
  /// lies at the edge (theta infinite, no zero inflation, no zeros at all); `notes` then says so.
  CountModel fitted = CountModel::kPoisson;
  std::size_t n = 0;
  std::size_t zeros = 0;
  std::vector<Coefficient> count;
  std::vector<Coefficient> zero;  ///< NaN with a note where the requested zero part has no estimate
  double theta = 0.0;             ///< NaN without dispersion, inf at its edge
  double theta_se = 0.0;          ///< theta * log_theta_se
  double log_theta = 0.0;
  double log_theta_se = 0.0;
  double log_likelihood = 0.0;
  int parameters = 0;  ///< of the fitted model
  int requested_parameters = 0;
  double aic = 0.0;
  double bic = 0.0;
  /// Covariance of b, g and log(theta) of the fitted model; NaN for parameters without a finite
  /// value.
  Eigen::MatrixXd covariance;
  int starts = 0;          ///< starting points tried
  int starts_at_best = 0;  ///< that ended at the best likelihood
  bool converged = false;
  std::vector<std::string> notes;
  std::string unavailable;  ///< why there is no fit at all; then every number is NaN

  bool available() const { return unavailable.empty(); }
};

/// `counts`: whole numbers 0..1e7, else InputError (see to_counts). Designs must have n rows. The
/// zero design is ignored by models without zero part. A design of deficient rank, n not above the
/// number of parameters and counts that are all zero give a fit that is not available, with the
/// reason.
CountFit fit_counts(std::span<const double> counts, const Design& count_design,
                    const Design& zero_design, CountModel model);

struct LikelihoodRatioTest {
  double statistic = 0.0;
  double df = 0.0;
  double p = 0.0;
  std::string note;
};
/// Twice the difference of the log-likelihoods of nested models on the same counts, chi-squared
/// with the difference of the numbers of requested parameters. For a model with dispersion against
/// the same without, the null lies on the edge and p is halved (Self & Liang 1987). NaN with a
/// reason for fits that are not available, have other n, do not gain parameters, or differ in
/// having a zero part (its null is not a point of the larger model).
LikelihoodRatioTest likelihood_ratio_test(const CountFit& smaller, const CountFit& larger);

/// exp(per * estimate) with its Wald interval: rate ratio (count part) or odds ratio (zero part)
/// for a change of the covariate by `per` units, for example 10 for a decade of age in years.
struct Ratio {
  double ratio = 0.0;
  double low = 0.0;
  double high = 0.0;
};
Ratio ratio_per(const Coefficient& coefficient, double per, double confidence = 0.95);

/// Ratio of the mean predicted score (1 - p) mu over all participants when one covariate is `per`
/// higher for everyone, both parts together, with a delta-method interval and Wald test on the log
/// scale. `count_term` and `zero_term` are the covariate's columns, -1 where a part lacks it.
struct OverallRatio {
  double log_ratio = 0.0;
  double se = 0.0;
  double z = 0.0;
  double p = 0.0;
  Ratio ratio;
};
OverallRatio overall_ratio(const CountFit& fit, const Design& count_design,
                           const Design& zero_design, Eigen::Index count_term,
                           Eigen::Index zero_term, double per, double confidence = 0.95);

}  // namespace epvs::eval
