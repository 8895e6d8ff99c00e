#include "eval/eval_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"

namespace epvs::eval {

using core::UsageError;

namespace {

std::vector<core::Example> examples() {
  return {
      {"A network against the first rater, the second rater beside it, per scanner:",
       "epvs eval --scores visual.tsv --scores gp.tsv --reference rater1 --splits splits.tsv "
       "--participants participants.tsv --group-by scanner --out evaluation"},
      {"Only the test participants of a split, one region:",
       "epvs eval --scores visual.tsv --scores gp.tsv --reference rater1 --splits splits.tsv "
       "--split test --regions bg --out evaluation"},
      {"Bootstrap intervals, few or many at 10, categories of Adams' rating:",
       "epvs eval --scores visual.tsv --scores gp.tsv --reference rater1 --splits splits.tsv "
       "--bootstrap 10000 --seed 1 --thresholds 10 --categories 0,10,20,40 --out evaluation"},
      {"Three raters together, scans with at most 20 by the first as well:",
       "epvs eval --scores visual.tsv --reference rater1 --together rater1,rater2,rater3 "
       "--reference-at-most 20 --out evaluation"},
      {"Scores against age, ratios per decade, means per 5 years; one table is enough:",
       "epvs eval --scores visual.tsv --participants participants.tsv --associate age --zero-part "
       "age --per 10 --means-by age --out evaluation"},
      {"A baseline (scores of everybody, or of validation and test) rescaled on the validation "
       "participants:",
       "epvs eval --scores visual.tsv --scores volume.tsv --reference rater1 --splits splits.tsv "
       "--calibrate-on validation --out evaluation"},
      {"Does the score rise by what was implanted, per scanner:",
       "epvs eval --scores implanted/truth/truth_counts.tsv --scores implanted.tsv --reference "
       "true_count --implants --bootstrap 10000 --participants participants.tsv --group-by scanner "
       "--out evaluation"},
      {"Detections within 3 mm of marked points:",
       "epvs eval --scores visual.tsv --scores gp.tsv --reference rater1 --splits splits.tsv "
       "--detections detections.tsv --truth truth_epvs.tsv --radius-mm 3 --out evaluation"}};
}

std::vector<std::string> citations() {
  return {
      "Shrout PE, Fleiss JL. Intraclass correlations: uses in assessing rater reliability. Psychol "
      "Bull 1979;86:420-428. doi:10.1037/0033-2909.86.2.420",
      "McGraw KO, Wong SP. Forming inferences about some intraclass correlation coefficients. "
      "Psychol Methods 1996;1:30-46. doi:10.1037/1082-989X.1.1.30",
      "Williams EJ. The comparison of regression variables. J R Stat Soc B 1959;21:396-399.",
      "Steiger JH. Tests for comparing elements of a correlation matrix. Psychol Bull "
      "1980;87:245-251. doi:10.1037/0033-2909.87.2.245",
      "Efron B. Better bootstrap confidence intervals. J Am Stat Assoc 1987;82:171-185. "
      "doi:10.1080/01621459.1987.10478410",
      "Lin LI. A concordance correlation coefficient to evaluate reproducibility. Biometrics "
      "1989;45:255-268. doi:10.2307/2532051",
      "Bland JM, Altman DG. Measuring agreement in method comparison studies. Stat Methods Med Res "
      "1999;8:135-160. doi:10.1177/096228029900800204",
      "Zeileis A, Kleiber C, Jackman S. Regression models for count data in R. J Stat Softw "
      "2008;27(8). doi:10.18637/jss.v027.i08",
      "DerSimonian R, Laird N. Meta-analysis in clinical trials. Control Clin Trials "
      "1986;7:177-188. doi:10.1016/0197-2456(86)90046-2"};
}

/// An option that means nothing without another one.
void require_with(const core::CommandLine& line, const std::vector<std::string>& options,
                  const std::string& needed) {
  if (line.given(needed)) return;
  for (const std::string& option : options) {
    if (line.given(option)) {
      throw UsageError(option + " is given without " + needed, "give " + needed + " too");
    }
  }
}

/// Throws for groups by a key that `option` cannot divide by.
void refuse_groups(const GroupOptions& groups, const std::vector<std::string>& keys,
                   const std::string& option, const std::string& why) {
  for (const std::string& entry : groups.group_by) {
    for (const std::string& column : core::split(entry, ':')) {
      if (std::find(keys.begin(), keys.end(), column) == keys.end()) continue;
      throw UsageError(fmt::format("{} cannot be grouped by {}: {}", option, column, why),
                       fmt::format("group by {} in a run without {}", column, option));
    }
  }
}

/// Options that compare scorers with a reference.
const std::vector<std::string> kNeedReference = {
    "--together",           "--pairs",      "--reference-at-most",
    "--reference-at-least", "--thresholds", "--categories",
    "--permutations",       "--resamples",  "--adjust",
    "--family-by",          "--family",     "--heterogeneity",
    "--calibrate-on",       "--implants"};

}  // namespace

core::Manual EvalCommand::manual() const {
  core::Manual manual;
  manual.name = "eval";
  manual.uses_threads = true;
  manual.uses_seed = true;
  manual.summary = "agreement and association of scorers with each other and with covariates";
  manual.synopsis = "--scores TABLE --scores TABLE ... --reference SCORER --out DIR [options]";
  manual.description =
      "Joins tables of scores (one row per participant, optional session_id, region, fold, repeat; "
      "every other column is a scorer: a rater or a method) and measures how each scorer agrees "
      "with the reference and how all scorers agree with each other: Pearson and Spearman "
      "correlation, the six intraclass correlations of Shrout & Fleiss, Lin's concordance, squared "
      "and absolute errors, bias and limits of agreement, each with an interval, overall and per "
      "group; on request kappa of categories, accuracy and AUC at thresholds, bootstrap intervals "
      "and permutation p-values. Two scorers are compared against the reference by Williams' t, "
      "Steiger's Z and the paired bootstrap of any metric.\n"
      "The numbers equal those of R (cor.test, psych::ICC, psych::r.test, boot, p.adjust). Any "
      "counting or rating study can be evaluated; nothing here knows about images.\n"
      "A participant that one scorer lacks is an error that names it, not a silent loss; "
      "--allow-missing evaluates those that are there and reports n beside every number. The main "
      "table goes to stdout. DIR gets metrics.tsv, comparisons.tsv, the same as metrics.json, "
      "points.tsv (the joined scores, for plots), tables.md and tables.tex (bold where significant "
      "after correction) and methods.md (a paragraph for a paper). docs/eval.md explains every "
      "column and formula.\n"
      "--associate regresses the scores on covariates as counts (zero-inflated negative binomial "
      "by default), --means-by averages them per bin of age, --rescan measures repeatability, "
      "--heterogeneity compares scanners, --calibrate-on rescales scores on validation "
      "participants first, --detections compares marked points with a truth.";
  manual.examples = examples();
  manual.citations = citations();
  return manual;
}
void EvalCommand::declare(core::CommandLine& line) {
  declare_tables(line);
  declare_participants(line);
  declare_statistics(line);
  declare_associations(line);
  declare_reliability(line);
  declare_detections(line);
}

void EvalCommand::declare_tables(core::CommandLine& line) {
  line.heading("Tables and scorers");
  line.option("--scores", &scores_,
              "table of scores (.tsv, or .csv with commas); repeat it for every table")
      .unit("FILE")
      .required();
  line.option("--reference", &join_.reference,
              "scorer that the others are compared with; not needed for --associate, --means-by, "
              "--rescan and --detections alone")
      .unit("SCORER");
  line.option("--scorers", &join_.scorers, "scorers to evaluate; without it all of the tables")
      .unit("SCORER,...");
  line.option("--together", &options_.together,
              "scorers whose joint intraclass correlations are added")
      .unit("SCORER,...");
  line.option("--pairs", &options_.pairs,
              "pairs in metrics.tsv: all, or each scorer with the reference");
  line.option("--out", &out_, "folder for the results; created when missing")
      .unit("DIR")
      .required();
}

void EvalCommand::declare_participants(core::CommandLine& line) {
  line.heading("Participants");
  line.option("--splits", &splits_path_, "splits table; only participants of --split are evaluated")
      .unit("FILE");
  line.option("--split", &join_.split, "split of --splits");
  line.option("--fold", &join_.fold,
              "only scores of this fold; without it all folds of the scores (0 where they name "
              "none)")
      .range(0);
  line.option("--repeat", &join_.repeat, "only scores of this repeat; without it as for --fold")
      .range(0);
  line.option("--regions", &join_.regions, "regions to evaluate; without it all")
      .unit("REGION,...");
  line.option("--allow-missing", &join_.allow_missing,
              "evaluate complete pairs where scores are missing, and report the loss of n");

  line.heading("Groups");
  line.option("--participants", &participants_path_, "participants.tsv with columns to group by")
      .unit("FILE");
  line.option("--group-by", &groups_.group_by,
              "columns of participants.tsv, or session_id, fold, repeat; scanner:sex crosses two")
      .unit("COLUMN,...");
  line.option("--minimum-n", &options_.minimum_n, "groups with fewer units say n/a and why")
      .range(3);
  line.option("--reference-at-most", &groups_.reference_at_most,
              "adds the group of units with a reference score up to this")
      .unit("SCORE");
  line.option("--reference-at-least", &groups_.reference_at_least,
              "adds the group of units with a reference score from this")
      .unit("SCORE");
}

void EvalCommand::declare_statistics(core::CommandLine& line) {
  line.heading("Cuts");
  line.option("--thresholds", &options_.cuts.thresholds,
              "scores above which a scorer says yes: accuracy, sensitivity, specificity and AUC")
      .unit("SCORE,...");
  line.option("--categories", &options_.cuts.category_bounds,
              "upper bounds of categories for kappa (none, linear, quadratic weights): 0,10,20,40 "
              "makes 0, 1-10, 11-20, 21-40, above")
      .unit("SCORE,...");

  line.heading("Intervals and tests");
  line.option("--bootstrap", &options_.resampling.bootstrap,
              "resamples of participants for BCa and percentile intervals of every metric and for "
              "differences between scorers; 0 for none, 10000 is usual")
      .range(0, 1e7);
  line.option("--permutations", &options_.resampling.permutations,
              "permutations for p-values of association and of differences; 0 for none")
      .range(0, 1e7);
  line.option("--strata", &strata_,
              "column of participants.tsv within whose values participants are drawn and permuted")
      .unit("COLUMN");
  line.option("--resamples", &resamples_path_,
              "table with one resample a row (participant_id in every cell) instead of drawn ones, "
              "to repeat the bootstrap of another program exactly")
      .unit("FILE");
  line.option("--confidence", &options_.confidence, "level of all intervals");
  line.option("--adjust", &options_.adjustment, "correction of the p-values of comparisons");
  line.option("--family-by", &options_.family_by,
              "columns of comparisons.tsv (region, group, test, metric, scorer_a, scorer_b) within "
              "whose equal values the tests form one family")
      .unit("COLUMN,...");
  line.option("--family", &options_.family_name, "name of the family, written in comparisons.tsv")
      .unit("NAME");
}

void EvalCommand::declare_associations(core::CommandLine& line) {
  line.heading("Associations with covariates");
  line.option("--associate", &association_.covariates,
              "regresses the scores, as counts, on these columns of participants.tsv; writes "
              "associations.tsv")
      .unit("COLUMN,...");
  line.option("--model", &association_.model,
              "Poisson, negative binomial, zero-inflated Poisson or negative binomial");
  line.option("--zero-part", &association_.zero_covariates,
              "columns of the zero part of zip and zinb; without it its intercept alone")
      .unit("COLUMN,...");
  line.option("--per", &association_.per,
              "change of a covariate that ratios are for: 10 makes years of age decades");
  line.option("--rounding", &association_.conversion.rounding,
              "what becomes of scores that are not whole");
  line.option("--negative", &association_.conversion.negatives,
              "what becomes of counts below zero after rounding");
  line.option("--means-by", &means_by_,
              "means of the scores per bin of this column; writes means.tsv")
      .unit("COLUMN");
  line.option("--bin-width", &bins_.width, "width of the bins, in units of the column");
}

void EvalCommand::declare_reliability(core::CommandLine& line) {
  line.heading("Implants, repeat scans, scanners, calibration");
  line.option("--implants", &implants_,
              "the reference is what epvs implant added (true_count): slope and intercept of the "
              "score's rise against it, and the correlation within scans");
  line.option("--rescan", &rescan_,
              "pairs the sessions of each participant: ICC, within-subject SD, repeatability "
              "coefficient of every scorer");
  line.option("--rescan-sessions", &rescan_sessions_,
              "the two sessions to pair, where participants have more")
      .unit("FIRST,SECOND")
      .length(2);
  line.option("--heterogeneity", &heterogeneity_,
              "compares and pools the correlations of the groups of this column (scanner) and "
              "leaves each group out once")
      .unit("COLUMN");
  line.option("--calibrate-on", &calibrate_on_,
              "split of --splits on which scores are rescaled linearly to the highest ICC with the "
              "reference before they are evaluated; writes calibration.tsv")
      .choices({"train", "validation"});
  line.option("--calibrate", &calibrated_scorers_,
              "scorers to calibrate; without it all but the reference")
      .unit("SCORER,...");
  line.option("--calibration-target", &calibration_.target,
              "form of the ICC in calibration.tsv; both have the same best line");
  line.option("--keep-sign", &calibration_.keep_sign,
              "a scorer that falls with the reference is not turned round but left n/a");
}

void EvalCommand::declare_detections(core::CommandLine& line) {
  line.heading("Detections");
  line.option("--detections", &detections_,
              "table with participant_id, x, y, z (mm), weight, where the scores have them "
              "session_id and region; or the folder that epvs infer --detections wrote. Gives "
              "froc.tsv and matched_points.tsv")
      .unit("FILE");
  line.option("--truth", &truth_, "table of the marked points, as --detections without weight")
      .unit("FILE");
  line.option("--radius-mm", &detection_.radius_mm,
              "a detection nearer than this to a marked point can be a hit; required with "
              "--detections")
      .unit("mm");
  line.option("--detection-weight", &detection_.threshold,
              "least weight that counts for sensitivity and precision; without it all count")
      .unit("WEIGHT");
  line.option("--fp-rates", &detection_.fp_rates,
              "false positives per scan at which the FROC curve is read")
      .unit("RATE,...");
  line.option("--detection-scorer", &detection_scorer_, "name of the detector in the results")
      .unit("NAME");
}

std::vector<std::string> EvalCommand::output_files() const {
  std::vector<std::string> names = {"metrics.tsv", "metrics.json", "points.tsv"};
  if (!join_.reference.empty()) {
    names.insert(names.end(), {"comparisons.tsv", "tables.md", "tables.tex", "methods.md"});
  }
  if (!association_.covariates.empty()) names.emplace_back("associations.tsv");
  if (!means_by_.empty()) names.emplace_back("means.tsv");
  if (!calibrate_on_.empty()) names.emplace_back("calibration.tsv");
  if (!detections_.empty()) names.insert(names.end(), {"froc.tsv", "matched_points.tsv"});
  return names;
}

void EvalCommand::read_options(const core::CommandLine& line) {
  options_.validate();
  if (line.given("--split") && !line.given("--splits")) {
    throw UsageError("--split is given without --splits", "give the splits table by --splits");
  }
  check_dependencies(line);
  if (!detections_.empty()) {
    core::require_exists(detections_, "table of detections");
    core::require_exists(truth_, "table of marked points");
    detection_.validate();
  }
  if (!association_.covariates.empty()) association_.validate();
  bins_.validate();
  check_reference(line);
  if (line.given("--participants") && groups_.group_by.empty() && strata_.empty() &&
      association_.covariates.empty() && means_by_.empty() && heterogeneity_.empty()) {
    throw UsageError("--participants is given, but nothing uses it",
                     "name columns of it by --group-by, --strata or --associate");
  }
  if (!resamples_path_.empty() && options_.resampling.bootstrap > 0) {
    throw UsageError("--bootstrap and --resamples exclude each other",
                     "the number of resamples is that of the rows of the table");
  }
  if (!strata_.empty() && options_.resampling.bootstrap == 0 &&
      options_.resampling.permutations == 0) {
    throw UsageError("--strata is given, but nothing is drawn",
                     "give --bootstrap or --permutations too");
  }
}

void EvalCommand::check_dependencies(const core::CommandLine& line) const {
  if (rescan_) {
    refuse_groups(groups_, {"session_id", "fold", "repeat"}, "--rescan", "a pair of scans has two");
  }
  if (implants_) {
    refuse_groups(groups_, {"session_id", "fold", "repeat"}, "--implants",
                  "a scan and its implants stay together");
    for (const char* option : {"--reference-at-most", "--reference-at-least"}) {
      if (!line.given(option)) continue;
      throw UsageError(std::string("--implants and ") + option + " exclude each other",
                       "the reference is what was added, and 0 is part of every scan's series");
    }
  }
  if (line.given("--detections")) {
    refuse_groups(groups_, {"fold", "repeat"}, "--detections", "tables of points name none");
  }
  require_with(line, {"--model", "--zero-part", "--per", "--rounding", "--negative"},
               "--associate");
  require_with(line, {"--bin-width"}, "--means-by");
  require_with(line, {"--rescan-sessions"}, "--rescan");
  require_with(line, {"--calibrate", "--calibration-target", "--keep-sign"}, "--calibrate-on");
  require_with(line, {"--calibrate-on"}, "--splits");
  require_with(line,
               {"--truth", "--radius-mm", "--detection-weight", "--fp-rates", "--detection-scorer"},
               "--detections");
  if (line.given("--detections")) {
    for (const char* needed : {"--truth", "--radius-mm"}) {
      if (!line.given(needed)) {
        throw UsageError(std::string("--detections is given without ") + needed,
                         std::string("give ") + needed + " too");
      }
    }
  }
  for (const char* column : {"--associate", "--means-by"}) {
    if (line.given(column) && !line.given("--participants")) {
      throw UsageError(std::string(column) + " is given without --participants",
                       "give the table that has the columns by --participants");
    }
  }
}

void EvalCommand::check_reference(const core::CommandLine& line) {
  join_.needs_pair =
      association_.covariates.empty() && means_by_.empty() && !rescan_ && detections_.empty();
  if (!join_.reference.empty()) return;
  if (join_.needs_pair) {
    throw UsageError("--reference is missing: the scorer that the others are compared with",
                     "only --associate, --means-by, --rescan and --detections work without it");
  }
  for (const std::string& option : kNeedReference) {
    if (!line.given(option)) continue;
    throw UsageError(option + " is given without --reference",
                     "name the scorer that the others are compared with by --reference");
  }
}

}  // namespace epvs::eval
