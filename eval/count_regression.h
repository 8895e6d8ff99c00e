// Regression of counts on covariates by maximum likelihood: Poisson, negative binomial (NB2), and
// both with zero inflation (logit), with standard errors from the observed information.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/enum_names.h"
#include "eval/statistics.h"

namespace epvs::eval {

// Regression of counts on covariates by maximum likelihood: Poisson, negative binomial (NB2), and
// both with zero inflation (logit), with standard errors from the observed information.
//
// Parametrisation (as pscl::zeroinfl and MASS::glm.nb): log(mean) = x'b; variance mean + mean^2 /
// theta; logit(probability of a structural zero) = z'g. exp(b) is a rate ratio: the factor on the
// mean count among those who can have any. exp(g) is an odds ratio of having a structural zero, so
// a covariate that brings more EPVS has an odds ratio BELOW one there. docs/associations.md has an
// example. References: Lambert 1992 (ZIP), Greene 1994 (ZINB), Zeileis, Kleiber & Jackman 2008
// (pscl).

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
  double estimate = kNaN;  ///< log scale; NaN when it has no finite value (`note` says why)
  double se = kNaN;
  double z = kNaN;
  double p = kNaN;  ///< Wald, two-sided
  std::string note = {};
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
  double theta = kNaN;            ///< NaN without dispersion, inf at its edge
  double theta_se = kNaN;         ///< theta * log_theta_se
  double log_theta = kNaN;
  double log_theta_se = kNaN;
  double log_likelihood = kNaN;
  int parameters = 0;  ///< of the fitted model
  int requested_parameters = 0;
  double aic = kNaN;
  double bic = kNaN;
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
  double statistic = kNaN;
  double df = kNaN;
  double p = kNaN;
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
  double ratio = kNaN;
  double low = kNaN;
  double high = kNaN;
};
Ratio ratio_per(const Coefficient& coefficient, double per, double confidence = 0.95);

/// Ratio of the mean predicted score (1 - p) mu over all participants when one covariate is `per`
/// higher for everyone, both parts together, with a delta-method interval and Wald test on the log
/// scale. `count_term` and `zero_term` are the covariate's columns, -1 where a part lacks it.
struct OverallRatio {
  double log_ratio = kNaN;
  double se = kNaN;
  double z = kNaN;
  double p = kNaN;
  Ratio ratio;
};
OverallRatio overall_ratio(const CountFit& fit, const Design& count_design,
                           const Design& zero_design, Eigen::Index count_term,
                           Eigen::Index zero_term, double per, double confidence = 0.95);

// Vuong's test of a zero-inflated count model against the plain one (Vuong 1989, Econometrica
// 57:307-333).
//
// With m_i the difference of the two log-likelihoods of observation i, z = sum m_i / (sd(m)
// sqrt(n)) is standard normal where neither model is nearer to the truth. The corrections take (k1
// - k2) or (k1 - k2) log(n) / 2 from the sum, as AIC and BIC do (k: coefficients without the
// dispersion, as pscl counts them). Beware: a plain model is the edge
// of a zero-inflated one, and there the normal limit does not hold (Wilson 2015, Econ Lett
// 127:51-53): read the corrected forms as a comparison of fit, not as a test of "no zero
// inflation".

struct VuongStatistic {
  double z = kNaN;  ///< positive: the zero-inflated model is nearer
  double p = kNaN;  ///< one-sided, in the direction of z, as pscl::vuong has it
};

struct VuongTest {
  VuongStatistic raw;
  VuongStatistic aic;
  VuongStatistic bic;
  std::string note;  ///< why there is none
};

/// Fits of the same counts and designs. NaN with a reason where `inflated` has no zero part,
/// `plain` has one, a fit is not available or has a coefficient without a finite value, n differs,
/// or all observations are fitted equally well. Throws InputError for counts of another length.
VuongTest vuong_test(std::span<const double> counts, const Design& count_design,
                     const Design& zero_design, const CountFit& inflated, const CountFit& plain);

}  // namespace epvs::eval
