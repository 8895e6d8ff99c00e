#include "eval/association_tables.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "eval/count_regression.h"
#include "eval/regression_data.h"
#include "eval/statistics.h"

namespace epvs::eval {
namespace {

/// Design columns, and which covariate each belongs to.
struct Part {
  std::vector<std::pair<std::string, std::vector<double>>> columns;
  std::vector<const Covariate*> owner;  // of design column i + 1
  std::string problem;                  // a covariate without contrast
};

Part part_of(const std::vector<const Covariate*>& covariates,
             const std::vector<std::size_t>& units) {
  Part part;
  for (const Covariate* covariate : covariates) {
    auto columns = covariate->columns(units);
    if (columns.empty() && !units.empty()) {
      part.problem = "covariate '" + covariate->name() + "' is constant";
    }
    for (auto& column : columns) {
      part.columns.push_back(std::move(column));
      part.owner.push_back(covariate);
    }
  }
  return part;
}

/// The rows of one region, group and scorer.
class FitWriter {
 public:
  FitWriter(std::string region, std::string group, std::string scorer,
            const AssociationOptions& options, core::Table& table)
      : region_(std::move(region)),
        group_(std::move(group)),
        scorer_(std::move(scorer)),
        options_(options),
        table_(table) {}

  void write(const std::vector<double>& scores, const std::vector<std::size_t>& units,
             const std::vector<const Covariate*>& count_covariates,
             const std::vector<const Covariate*>& zero_covariates, const std::string& remark) {
    n_ = units.size();
    remark_ = remark;
    counts_ = to_counts(scores, options_.conversion);
    const Part count = part_of(count_covariates, units);
    const Part zero = part_of(zero_covariates, units);
    const Design count_design = make_design(n_, count.columns);
    const Design zero_design = make_design(n_, zero.columns);
    std::string reason = count.problem.empty() ? zero.problem : count.problem;
    if (n_ < options_.minimum_n) {
      reason = fmt::format("n = {}, below the minimum of {}", n_, options_.minimum_n);
    }
    CountFit fit;
    if (reason.empty()) {
      fit = fit_counts(counts_.values, count_design, zero_design, options_.model);
      reason = fit.unavailable;
    }
    if (!reason.empty()) {
      write_unavailable(count_design, zero_design, reason);
      return;
    }
    model_ = core::to_text(fit.fitted);
    write_part("count", fit.count, count);
    write_part("zero", fit.zero, zero);
    if (has_dispersion(options_.model)) write_dispersion(fit);
    write_overall(fit, count, zero, count_design, zero_design);
    write_likelihood_ratios(fit, units, count_covariates, zero_covariates);
    if (has_zero_part(options_.model)) write_vuong(fit, count_design, zero_design);
    write_fit(fit);
  }

 private:
  void add(const std::string& part, const std::string& term, const Coefficient& c,
           const Ratio& ratio, double per, const std::string& note) {
    table_.add(region_, group_, n_, scorer_, model_, part, term, c.estimate, c.se, c.z, c.p,
               ratio.ratio, ratio.low, ratio.high, per, note);
  }

  void add_value(const std::string& part, const std::string& term, double estimate, double p,
                 const std::string& note) {
    add(part, term, {term, estimate, kNaN, kNaN, p, {}}, {}, kNaN, note);
  }

  double per_of(const Covariate& covariate) const {
    return covariate.is_number() ? options_.per : 1.0;
  }

  void write_part(const std::string& part, const std::vector<Coefficient>& coefficients,
                  const Part& design) {
    for (std::size_t i = 0; i < coefficients.size(); ++i) {
      const Coefficient& c = coefficients[i];
      if (i == 0) {
        add(part, c.term, c, ratio_per(c, 1.0, options_.confidence), 1.0, c.note);
        continue;
      }
      const double per = per_of(*design.owner[i - 1]);
      add(part, c.term, c, ratio_per(c, per, options_.confidence), per, c.note);
    }
  }

  void write_dispersion(const CountFit& fit) {
    const Coefficient c{"log_theta", fit.log_theta, fit.log_theta_se};
    const std::string note = has_dispersion(fit.fitted) ? "" : "theta at its edge: no interval";
    add("dispersion", c.term, c, ratio_per(c, 1.0, options_.confidence), kNaN, note);
  }

  void write_overall(const CountFit& fit, const Part& count, const Part& zero,
                     const Design& count_design, const Design& zero_design) {
    std::vector<const Covariate*> numbers;
    for (const auto* owners : {&count.owner, &zero.owner}) {
      for (const Covariate* covariate : *owners) {
        if (covariate->is_number() &&
            std::find(numbers.begin(), numbers.end(), covariate) == numbers.end()) {
          numbers.push_back(covariate);
        }
      }
    }
    const auto place = [](const Part& part, const Covariate* covariate) {
      const auto found = std::find(part.owner.begin(), part.owner.end(), covariate);
      return found == part.owner.end() ? Eigen::Index{-1}
                                       : Eigen::Index{found - part.owner.begin() + 1};
    };
    for (const Covariate* covariate : numbers) {
      const OverallRatio r =
          overall_ratio(fit, count_design, zero_design, place(count, covariate),
                        place(zero, covariate), options_.per, options_.confidence);
      add("overall", covariate->name(), {covariate->name(), r.log_ratio, r.se, r.z, r.p, {}},
          r.ratio, options_.per,
          "log ratio of mean predictions for a change by per, count and zero part together");
    }
  }

  void write_likelihood_ratios(const CountFit& fit, const std::vector<std::size_t>& units,
                               const std::vector<const Covariate*>& count_covariates,
                               const std::vector<const Covariate*>& zero_covariates) {
    std::vector<const Covariate*> all = count_covariates;
    for (const Covariate* covariate : zero_covariates) {
      if (std::find(all.begin(), all.end(), covariate) == all.end()) all.push_back(covariate);
    }
    for (const Covariate* dropped : all) {
      const auto without = [&](std::vector<const Covariate*> covariates) {
        std::erase(covariates, dropped);
        return make_design(n_, part_of(covariates, units).columns);
      };
      const CountFit smaller = fit_counts(counts_.values, without(count_covariates),
                                          without(zero_covariates), options_.model);
      const LikelihoodRatioTest test = likelihood_ratio_test(smaller, fit);
      std::string note = test.note;
      if (note.empty()) {
        note = fmt::format("chi-squared, df = {:g}", test.df);
        if (!smaller.notes.empty()) note += "; without it: " + core::join(smaller.notes, "; ");
      }
      add_value("likelihood_ratio", dropped->name(), test.statistic, test.p, note);
    }
  }

  /// Against the model without zero part that has the same dispersion.
  void write_vuong(const CountFit& fit, const Design& count_design, const Design& zero_design) {
    const CountModel plain =
        has_dispersion(fit.fitted) ? CountModel::kNegativeBinomial : CountModel::kPoisson;
    const CountFit other = fit_counts(counts_.values, count_design, zero_design, plain);
    const VuongTest test = vuong_test(counts_.values, count_design, zero_design, fit, other);
    const std::string note = test.note.empty()
                                 ? "z against " + core::to_text(other.fitted) +
                                       ", positive: zero inflation fits better; p one-sided"
                                 : test.note;
    const auto row = [&](const char* term, const VuongStatistic& s) {
      add("vuong", term, {term, s.z, kNaN, s.z, s.p, {}}, {}, kNaN, note);
    };
    row("raw", test.raw);
    row("aic", test.aic);
    row("bic", test.bic);
  }

  void write_fit(const CountFit& fit) {
    std::vector<std::string> notes = fit.notes;
    if (fit.fitted != fit.requested) notes.push_back("requested " + core::to_text(fit.requested));
    if (!remark_.empty()) notes.push_back(remark_);
    add_value("fit", "log_likelihood", fit.log_likelihood, kNaN, core::join(notes, "; "));
    add_value("fit", "aic", fit.aic, kNaN, {});
    add_value("fit", "bic", fit.bic, kNaN, {});
    add_value("fit", "zeros", static_cast<double>(fit.zeros), kNaN, {});
    add_value("fit", "rounded", static_cast<double>(counts_.rounded), kNaN, counts_.note);
    add_value("fit", "clipped", static_cast<double>(counts_.clipped), kNaN, {});
  }

  void write_unavailable(const Design& count_design, const Design& zero_design,
                         const std::string& reason) {
    model_ = core::to_text(options_.model);
    const auto rows = [&](const char* part, const Design& design) {
      for (const std::string& term : design.terms) add(part, term, {}, {}, kNaN, reason);
    };
    rows("count", count_design);
    if (has_zero_part(options_.model)) rows("zero", zero_design);
  }

  std::string region_;
  std::string group_;
  std::string scorer_;
  const AssociationOptions& options_;
  core::Table& table_;
  std::size_t n_ = 0;
  std::string model_;
  std::string remark_;
  Counts counts_;
};

/// Units of a group with score and covariates; throws without allow_missing for any other.
std::vector<std::size_t> complete(const Dataset& data, const Group& group, std::size_t scorer,
                                  const std::vector<const Covariate*>& covariates,
                                  bool allow_missing) {
  std::vector<std::size_t> units;
  for (const std::size_t unit : group.units) {
    std::string lacking;
    if (std::isnan(data.values[scorer][unit])) lacking = "score of " + data.scorers[scorer];
    for (const Covariate* covariate : covariates) {
      if (covariate->missing(unit)) lacking = "value of covariate " + covariate->name();
    }
    if (lacking.empty()) {
      units.push_back(unit);
    } else if (!allow_missing) {
      throw core::InputError(fmt::format("{} has no {}", data.units[unit].text(), lacking),
                             "complete the tables, or allow missing values");
    }
  }
  return units;
}

std::string remark_on(const Dataset& data, const Group& group,
                      const std::vector<std::size_t>& units) {
  std::vector<std::string> remarks;
  if (units.size() < group.units.size()) {
    remarks.push_back(fmt::format("{} of {} units lack a score or covariate",
                                  group.units.size() - units.size(), group.units.size()));
  }
  std::set<std::string> people;
  for (const std::size_t unit : units) people.insert(data.units[unit].participant_id);
  if (people.size() < units.size()) {
    remarks.push_back(fmt::format("{} scans of {} participants are taken as independent",
                                  units.size(), people.size()));
  }
  return core::join(remarks, "; ");
}

}  // namespace

void AssociationOptions::validate() const {
  if (covariates.empty() && zero_covariates.empty()) {
    throw core::UsageError("no covariate to associate the scores with",
                           "name columns of participants.tsv, such as age");
  }
  if (!zero_covariates.empty() && !has_zero_part(model)) {
    throw core::UsageError(
        fmt::format("covariates of the zero part ({}) with the model '{}', which has no zero part",
                    core::join(zero_covariates, ", "), core::to_text(model)),
        "choose zip or zinb");
  }
  if (per == 0.0 || !std::isfinite(per)) {
    throw core::UsageError(fmt::format("per = {}, expected a number other than 0", per));
  }
  if (!(confidence > 0.0 && confidence < 1.0)) {
    throw core::UsageError(fmt::format("confidence = {}, expected between 0 and 1", confidence));
  }
  for (const auto* list : {&covariates, &zero_covariates}) {
    std::set<std::string> seen;
    for (const std::string& name : *list) {
      if (!seen.insert(name).second) {
        throw core::UsageError("covariate '" + name + "' is named twice");
      }
    }
  }
}

core::Table association_table(const Dataset& data, const core::Table& participants,
                              const GroupOptions& groups, const AssociationOptions& options) {
  options.validate();
  core::Table table({"region", "group", "n", "scorer", "model", "part", "term", "estimate", "se",
                     "z", "p", "ratio", "ratio_low", "ratio_high", "per", "note"});
  std::vector<std::string> names = options.covariates;
  for (const std::string& name : options.zero_covariates) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  std::vector<Covariate> covariates;
  covariates.reserve(names.size());
  for (const std::string& name : names) covariates.emplace_back(data, participants, name);
  const auto pick = [&](const std::vector<std::string>& wanted) {
    std::vector<const Covariate*> picked;
    for (const std::string& name : wanted) {
      picked.push_back(&*std::find_if(covariates.begin(), covariates.end(),
                                      [&](const Covariate& c) { return c.name() == name; }));
    }
    return picked;
  };
  for (const std::string& region : data.regions()) {
    for (const Group& group : make_groups(data, region, &participants, groups)) {
      for (std::size_t scorer = 0; scorer < data.scorers.size(); ++scorer) {
        const auto units = complete(data, group, scorer, pick(names), options.allow_missing);
        std::vector<double> scores;
        for (const std::size_t unit : units) scores.push_back(data.values[scorer][unit]);
        FitWriter writer(region, group.name, data.scorers[scorer], options, table);
        writer.write(scores, units, pick(options.covariates), pick(options.zero_covariates),
                     remark_on(data, group, units));
      }
    }
  }
  return table;
}

core::Table age_bin_table(const Dataset& data, const core::Table& participants,
                          const std::string& covariate, const GroupOptions& groups,
                          const AgeBinOptions& options) {
  core::Table table({"region", "group", "n", "scorer", "covariate", "bin_low", "bin_high", "mean",
                     "sd", "ci_low", "ci_high", "note"});
  const Covariate column(data, participants, covariate);
  if (!column.is_number()) {
    throw core::UsageError("covariate '" + covariate + "' is text, bins need numbers",
                           "choose a column such as age");
  }
  for (const std::string& region : data.regions()) {
    for (const Group& group : make_groups(data, region, &participants, groups)) {
      for (std::size_t scorer = 0; scorer < data.scorers.size(); ++scorer) {
        std::vector<double> ages;
        std::vector<double> scores;
        for (const std::size_t unit : group.units) {
          ages.push_back(column.number(unit));
          scores.push_back(data.values[scorer][unit]);
        }
        for (const AgeBin& bin : mean_by_age(ages, scores, options)) {
          table.add(region, group.name, bin.n, data.scorers[scorer], covariate, bin.low, bin.high,
                    bin.mean, bin.sd, bin.ci_low, bin.ci_high, bin.note);
        }
      }
    }
  }
  return table;
}

}  // namespace epvs::eval
