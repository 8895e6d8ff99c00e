// One region and group of an evaluation: every pair, every comparison, closed forms and resamples.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/agreement.h"
#include "eval/bootstrap.h"
#include "eval/categories.h"
#include "eval/correlation.h"
#include "eval/evaluation.h"

namespace epvs::eval {

namespace {

/// Every closed form of one pair in the order of `metric_names`; x is the reference.
std::vector<Estimate> closed_forms(std::span<const double> x, std::span<const double> y,
                                   const EvaluationOptions& options) {
  const double confidence = options.confidence;
  std::vector<Estimate> list = {pearson(x, y, confidence), spearman(x, y, confidence)};
  for (const Estimate& form : icc(x, y, confidence)) list.push_back(form);
  list.push_back(concordance(x, y, confidence));
  const AgreementEstimates errors = agreement(x, y, confidence);
  list.insert(list.end(), {errors.mse, errors.rmse, errors.mae, errors.median_ae, errors.bias,
                           errors.loa_low, errors.loa_high});
  for (const double threshold : options.cuts.thresholds) {
    const ThresholdEstimates at = at_threshold(x, y, threshold, confidence);
    list.insert(list.end(), {at.accuracy, at.sensitivity, at.specificity, at.auc});
  }
  const std::vector<double>& bounds = options.cuts.category_bounds;
  if (bounds.empty()) return list;
  const std::vector<int> cx = categories_of(x, bounds);
  const std::vector<int> cy = categories_of(y, bounds);
  const int count = static_cast<int>(bounds.size()) + 1;
  for (const auto weights :
       {KappaWeights::kNone, KappaWeights::kLinear, KappaWeights::kQuadratic}) {
    list.push_back(kappa(cx, cy, count, weights, confidence));
  }
  return list;
}

constexpr const char* kSessionsNote =
    "participants have several sessions, treated here as independent";

class GroupEvaluator {
 public:
  GroupEvaluator(const Dataset& data, const std::string& region, const Group& group,
                 const EvaluationOptions& options, Evaluation& out)
      : data_(data), region_(region), group_(group), options_(options), out_(out) {}

  void run() {
    if (options_.resampling.bootstrap > 0) prepare_jobs();
    const std::size_t scorers = data_.scorers.size();
    for (std::size_t a = 0; a < scorers; ++a) {
      for (std::size_t b = a + 1; b < scorers; ++b) {
        if (a == 0 || options_.pairs == Pairs::kAll) add_pair(a, b);
      }
    }
    if (!options_.together.empty()) add_together();
    for (std::size_t a = 1; a < scorers; ++a) {
      for (std::size_t b = a + 1; b < scorers; ++b) add_comparison(a, b);
    }
  }

 private:
  using Pair = std::pair<std::size_t, std::size_t>;
  /// Pairs on the same complete units share their resamples.
  struct Job {
    std::vector<Pair> pairs;
    std::vector<PairStatistics> statistics;
    std::vector<Replicates> replicates;
    std::string obstacle;  ///< why there are no resamples

    std::size_t index(const Pair& pair) const {
      return static_cast<std::size_t>(std::find(pairs.begin(), pairs.end(), pair) - pairs.begin());
    }
  };

  /// Too few units; empty when there are enough.
  std::string small(std::size_t n) const {
    if (n >= options_.minimum_n) return {};
    return fmt::format("n = {}, below the minimum of {}", n, options_.minimum_n);
  }

  /// How many units lack a score; empty for none.
  std::string loss(std::size_t n) const {
    if (n == group_.units.size()) return {};
    return fmt::format("{} of {} units lack a score", group_.units.size() - n, group_.units.size());
  }

  bool has_sessions(const std::vector<std::size_t>& units) const {
    std::set<std::string> seen;
    return std::any_of(units.begin(), units.end(), [&](std::size_t unit) {
      return !seen.insert(data_.units[unit].participant_id).second;
    });
  }

  std::uint64_t seed() const {
    return core::mix_seed(options_.resampling.seed, {region_, group_.name});
  }

  std::vector<std::string> strata(const std::vector<std::size_t>& units) const {
    std::vector<std::string> result;
    if (options_.resampling.strata.empty()) return result;
    for (const std::size_t unit : units) result.push_back(options_.resampling.strata[unit]);
    return result;
  }

  std::vector<std::string> participants(const std::vector<std::size_t>& units) const {
    std::vector<std::string> result;
    for (const std::size_t unit : units) result.push_back(data_.units[unit].participant_id);
    return result;
  }

  void prepare_jobs() {
    const auto add = [&](const std::vector<std::size_t>& units, std::size_t a, std::size_t b) {
      if (!small(units.size()).empty() || units.empty()) return;
      Job& job = jobs_[units];
      if (std::find(job.pairs.begin(), job.pairs.end(), Pair(a, b)) == job.pairs.end()) {
        job.pairs.emplace_back(a, b);
      }
    };
    const std::size_t scorers = data_.scorers.size();
    for (std::size_t a = 0; a < scorers; ++a) {
      for (std::size_t b = a + 1; b < scorers; ++b) {
        if (a == 0 || options_.pairs == Pairs::kAll) {
          add(complete_units(data_, group_.units, {a, b}).units, a, b);
        }
        if (a == 0) continue;
        const auto triple = complete_units(data_, group_.units, {0, a, b}).units;
        add(triple, 0, a);
        add(triple, 0, b);
      }
    }
    for (auto& [units, job] : jobs_) run_job(units, job);
  }

  void run_job(const std::vector<std::size_t>& units, Job& job) {
    const std::optional<Resampler> draws = make_resampler(
        participants(units), strata(units), options_.resampling, seed(), job.obstacle);
    if (!draws) return;
    job.statistics.reserve(job.pairs.size());
    for (const auto& [a, b] : job.pairs) {
      const Complete pair = complete_units(data_, units, {a, b});
      job.statistics.emplace_back(pair.columns[0], pair.columns[1], options_.cuts);
    }
    std::vector<const PairStatistics*> pointers;
    for (const PairStatistics& statistics : job.statistics) pointers.push_back(&statistics);
    job.replicates = bootstrap(pointers, *draws, options_.resampling.threads);
  }

  void push_metric(std::size_t n, std::size_t a, std::size_t b, const MetricName& name,
                   Estimate value) {
    value.add_note(loss(n));
    out_.metrics.push_back({region_, group_.name, n, data_.scorers[a], data_.scorers[b],
                            name.metric, name.parameter, std::move(value)});
  }

  void push_comparison(std::size_t n, std::size_t a, std::size_t b, const char* test,
                       const MetricName& metric, Estimate value) {
    value.add_note(loss(n));
    const std::string name =
        metric.parameter.empty() ? metric.metric : metric.metric + " " + metric.parameter;
    out_.comparisons.push_back({region_, group_.name, n, data_.scorers[0], data_.scorers[a],
                                data_.scorers[b], test, name, std::move(value), kNaN, "", ""});
  }

  void add_pair(std::size_t a, std::size_t b) {
    const Complete pair = complete_units(data_, group_.units, {a, b});
    const std::size_t n = pair.units.size();
    const std::string reason = small(n);
    const bool sessions = has_sessions(pair.units);
    const std::vector<MetricName> names = metric_names(options_.cuts);
    std::vector<Estimate> values = closed_forms(pair.columns[0], pair.columns[1], options_);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!reason.empty()) values[i] = Estimate::unavailable(reason);
      if (reason.empty() && sessions) values[i].add_note(kSessionsNote);
      push_metric(n, a, b, names[i], std::move(values[i]));
    }
    if (!reason.empty()) return;
    if (options_.resampling.bootstrap > 0) add_resampled_metrics(pair, a, b);
    if (options_.resampling.permutations > 0) add_association_p(pair, a, b);
  }

  void add_resampled_metrics(const Complete& complete, std::size_t a, std::size_t b) {
    const Job& job = jobs_.at(complete.units);
    const std::size_t n = complete.units.size();
    if (!job.obstacle.empty()) {
      push_metric(n, a, b, {"pearson", ""}, Estimate::unavailable(job.obstacle));
      return;
    }
    const std::size_t index = job.index({a, b});
    const Replicates& r = job.replicates[index];
    const auto& names = job.statistics[index].names();
    for (std::size_t m = 0; m < names.size(); ++m) {
      push_metric(n, a, b, names[m],
                  bca_interval(r.observed[m], r.of(m), r.influence_of(m), options_.confidence));
      push_metric(n, a, b, names[m],
                  percentile_interval(r.observed[m], r.of(m), options_.confidence));
    }
  }

  void add_association_p(const Complete& complete, std::size_t a, std::size_t b) {
    const std::size_t n = complete.units.size();
    Estimate plain, ranks;
    if (has_sessions(complete.units)) {
      plain = ranks = Estimate::unavailable(
          "no permutation: participants have several sessions, which are not exchangeable");
    } else {
      const auto& c = complete.columns;
      const AssociationP p =
          permute_association(c[0], c[1], strata(complete.units), options_.resampling.permutations,
                              core::mix_seed(seed(), {"association"}), options_.resampling.threads);
      plain = pearson(c[0], c[1]);
      ranks = spearman(c[0], c[1]);
      for (Estimate* value : {&plain, &ranks}) {
        value->ci_low = value->ci_high = value->statistic = value->df1 = kNaN;
        value->ci_method.clear();
      }
      plain.p = p.pearson;
      ranks.p = p.spearman;
    }
    push_metric(n, a, b, {"pearson", "permutation"}, std::move(plain));
    push_metric(n, a, b, {"spearman", "permutation"}, std::move(ranks));
  }

  void add_together() {
    std::vector<std::size_t> scorers;
    for (const std::string& name : options_.together) scorers.push_back(data_.scorer(name));
    const Complete all = complete_units(data_, group_.units, scorers);
    const std::size_t n = all.units.size();
    const std::vector<std::span<const double>> columns(all.columns.begin(), all.columns.end());
    const std::string reason = small(n);
    auto forms = icc(columns, options_.confidence);
    for (std::size_t i = 0; i < forms.size(); ++i) {
      if (!reason.empty()) forms[i] = Estimate::unavailable(reason);
      forms[i].add_note(loss(n));
      out_.metrics.push_back({region_, group_.name, n, "", core::join(options_.together, "+"),
                              kIccNames[i], "", std::move(forms[i])});
    }
  }

  void add_comparison(std::size_t a, std::size_t b) {
    const Complete triple = complete_units(data_, group_.units, {0, a, b});
    const std::size_t n = triple.units.size();
    const std::string reason = small(n);
    const auto& c = triple.columns;
    const double r12 = pearson(c[0], c[1]).estimate;
    const double r13 = pearson(c[0], c[2]).estimate;
    const double r23 = pearson(c[1], c[2]).estimate;
    const bool sessions = has_sessions(triple.units);
    const auto add = [&](const char* test, Estimate value) {
      if (!reason.empty()) value = Estimate::unavailable(reason);
      if (reason.empty() && sessions) value.add_note(kSessionsNote);
      push_comparison(n, a, b, test, {"pearson", ""}, std::move(value));
    };
    add("williams", williams(n, r12, r13, r23, options_.confidence));
    add("steiger", steiger(n, r12, r13, r23, options_.confidence));
    if (!reason.empty()) return;
    if (options_.resampling.bootstrap > 0) add_resampled_comparisons(triple, a, b);
    if (options_.resampling.permutations > 0) add_permuted_comparisons(triple, a, b);
  }

  void add_resampled_comparisons(const Complete& triple, std::size_t a, std::size_t b) {
    const Job& job = jobs_.at(triple.units);
    const std::size_t n = triple.units.size();
    if (!job.obstacle.empty()) {
      push_comparison(n, a, b, "bootstrap", {"pearson", ""}, Estimate::unavailable(job.obstacle));
      return;
    }
    const Replicates& first = job.replicates[job.index({0, a})];
    const Replicates& second = job.replicates[job.index({0, b})];
    const auto& names = job.statistics[job.index({0, a})].names();
    const auto minus = [](std::span<const double> x, std::span<const double> y) {
      std::vector<double> result(x.size());
      std::transform(x.begin(), x.end(), y.begin(), result.begin(), std::minus<>());
      return result;
    };
    for (std::size_t m = 0; m < names.size(); ++m) {
      const std::vector<double> values = minus(first.of(m), second.of(m));
      Estimate value =
          bca_interval(first.observed[m] - second.observed[m], values,
                       minus(first.influence_of(m), second.influence_of(m)), options_.confidence);
      if (!std::isnan(value.ci_low)) value.p = bootstrap_p(values);
      push_comparison(n, a, b, "bootstrap", names[m], std::move(value));
    }
  }

  void add_permuted_comparisons(const Complete& triple, std::size_t a, std::size_t b) {
    const auto& c = triple.columns;
    const PairStatistics first(c[0], c[1], options_.cuts);
    const PairStatistics second(c[0], c[2], options_.cuts);
    const std::size_t metrics = first.names().size();
    std::vector<double> va(metrics), vb(metrics);
    const std::vector<double> ones(triple.units.size(), 1.0);
    PairStatistics::Workspace work;
    first.evaluate(ones, va, work);
    second.evaluate(ones, vb, work);
    const std::vector<double> p = permute_difference(
        c[0], c[1], c[2], options_.cuts,
        ResamplingDesign::by_participant(participants(triple.units), strata(triple.units)),
        options_.resampling.permutations, core::mix_seed(seed(), {"difference"}),
        options_.resampling.threads);
    for (std::size_t m = 0; m < metrics; ++m) {
      Estimate value = std::isnan(va[m] - vb[m])
                           ? Estimate::unavailable("the metric does not exist")
                           : Estimate{};
      value.estimate = va[m] - vb[m];
      value.p = p[m];
      push_comparison(triple.units.size(), a, b, "permutation", first.names()[m], std::move(value));
    }
  }

  const Dataset& data_;
  const std::string& region_;
  const Group& group_;
  const EvaluationOptions& options_;
  Evaluation& out_;
  std::map<std::vector<std::size_t>, Job> jobs_;
};

}  // namespace

std::optional<Resampler> make_resampler(const std::vector<std::string>& participants,
                                        const std::vector<std::string>& strata,
                                        const ResamplingOptions& options, std::uint64_t seed,
                                        std::string& obstacle) {
  ResamplingDesign design = ResamplingDesign::by_participant(participants, strata);
  if (options.given.empty()) return Resampler(std::move(design), options.bootstrap, seed);
  std::map<std::string, std::size_t> number;
  for (std::size_t i = 0; i < participants.size(); ++i) {
    number.emplace(participants[i], design.cluster_of_unit[i]);
  }
  std::vector<std::vector<std::size_t>> draws;
  for (const std::vector<std::string>& list : options.given) {
    std::vector<std::size_t>& draw = draws.emplace_back();
    for (const std::string& participant : list) {
      const auto found = number.find(participant);
      if (found == number.end() || list.size() != design.clusters()) {
        obstacle = fmt::format(
            "no interval: the given resamples draw {} participants, not the {} of this group",
            list.size(), design.clusters());
        return std::nullopt;
      }
      draw.push_back(found->second);
    }
  }
  return Resampler(std::move(design), std::move(draws));
}

void evaluate_group(const Dataset& data, const std::string& region, const Group& group,
                    const EvaluationOptions& options, Evaluation& out) {
  GroupEvaluator(data, region, group, options, out).run();
}

}  // namespace epvs::eval
