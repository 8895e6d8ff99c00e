#include "eval/eval_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "eval/console.h"
#include "eval/report_tables.h"
#include "eval/tables.h"

namespace epvs::eval {

namespace fs = std::filesystem;
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

/// Options that compare scorers with a reference.
const std::vector<std::string> kNeedReference = {
    "--together",           "--pairs",      "--reference-at-most",
    "--reference-at-least", "--thresholds", "--categories",
    "--permutations",       "--resamples",  "--adjust",
    "--family-by",          "--family",     "--heterogeneity",
    "--calibrate-on"};

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
  associations_.declare(line);
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
  line.option("--split", &join_.split, "split of --splits")
      .choices({"train", "validation", "test"});
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

std::vector<std::string> EvalCommand::output_files() const {
  std::vector<std::string> names = {"metrics.tsv", "metrics.json", "points.tsv"};
  if (!join_.reference.empty()) {
    names.insert(names.end(), {"comparisons.tsv", "tables.md", "tables.tex", "methods.md"});
  }
  for (const std::string& name : associations_.files()) names.push_back(name);
  return names;
}

void EvalCommand::read_options(const core::CommandLine& line) {
  options_.validate();
  if (line.given("--split") && !line.given("--splits")) {
    throw UsageError("--split is given without --splits", "give the splits table by --splits");
  }
  associations_.read(line, groups_);
  check_reference(line);
  if (line.given("--participants") && groups_.group_by.empty() && strata_.empty() &&
      !associations_.uses_participants()) {
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

void EvalCommand::check_reference(const core::CommandLine& line) {
  join_.needs_pair = !associations_.needs_no_reference();
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

Dataset EvalCommand::read_dataset(core::Context& context) {
  std::vector<std::string> wanted = join_.scorers;
  if (!wanted.empty()) {
    if (!join_.reference.empty()) wanted.push_back(join_.reference);
    wanted.insert(wanted.end(), options_.together.begin(), options_.together.end());
  }
  std::set<fs::path> seen;
  for (const std::string& path : scores_) {
    core::require_exists(path, "scores table");
    if (!seen.insert(fs::weakly_canonical(path)).second) {
      throw UsageError(fmt::format("--scores {} is given twice", path));
    }
    tables_.push_back(read_scores(path, wanted));
    context.provenance.add_input(path);
  }
  if (!splits_path_.empty()) {
    splits_ = core::Splits::read(splits_path_);
    context.provenance.add_input(splits_path_);
    join_.splits = &*splits_;
  }
  if (!participants_path_.empty()) {
    participants_ = core::Table::read(participants_path_);
    context.provenance.add_input(participants_path_);
  }
  Dataset data = join(tables_, join_);
  associations_.calibrate(context, tables_, join_, data);
  return data;
}

void EvalCommand::read_resamples(core::Context& context) {
  if (resamples_path_.empty()) return;
  const core::Table table = core::Table::read(resamples_path_);
  context.provenance.add_input(resamples_path_);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    std::vector<std::string>& draw = options_.resampling.given.emplace_back();
    for (std::size_t column = 0; column < table.columns().size(); ++column) {
      draw.push_back(table.cell(row, column));
    }
  }
  options_.resampling.bootstrap = table.rows();
}

void EvalCommand::write_outputs(core::Context& context, const Dataset& data,
                                const Evaluation& evaluation) const {
  Evaluation all = evaluation;
  all.metrics.insert(all.metrics.end(), associations_.rows().begin(), associations_.rows().end());
  const core::Table metrics = metrics_table(all);
  core::Json document;
  document["provenance"] = context.provenance.to_json();
  document["metrics"] = table_to_json(metrics);
  metrics.write(out_ / "metrics.tsv");
  if (!join_.reference.empty()) write_comparisons(context, data, evaluation, document);
  associations_.write(context, out_, document);
  points_table(data, group_columns(data)).write(out_ / "points.tsv");
  context.provenance.write_beside(out_ / "points.tsv");
  core::write_json(out_ / "metrics.json", document);
  context.log.info("wrote {} rows of metrics and {} of comparisons: {} in {}", metrics.rows(),
                   evaluation.comparisons.size(), core::join(output_files(), ", "), out_.string());
}

void EvalCommand::write_comparisons(core::Context& context, const Dataset& data,
                                    const Evaluation& evaluation, core::Json& document) const {
  const core::Table comparisons = comparisons_table(evaluation);
  document["comparisons"] = table_to_json(comparisons);
  comparisons.write(out_ / "comparisons.tsv");
  context.provenance.write_beside(out_ / "comparisons.tsv");
  std::string markdown;
  std::string latex = "% needs the package booktabs\n";
  for (const ReportTable& table : report_tables(evaluation, join_.reference, options_)) {
    markdown += table.to_markdown() + "\n";
    latex += table.to_latex() + "\n";
  }
  core::write_text(out_ / "tables.md", markdown);
  core::write_text(out_ / "tables.tex", latex);
  core::write_text(out_ / "methods.md", methods_paragraph(evaluation, data, groups_, options_));
}

std::vector<std::pair<std::string, std::vector<std::string>>> EvalCommand::group_columns(
    const Dataset& data) const {
  std::vector<std::pair<std::string, std::vector<std::string>>> columns;
  const auto is_there = [&](const std::string& name) {
    return std::any_of(columns.begin(), columns.end(),
                       [&](const auto& column) { return column.first == name; }) ||
           std::find(core::kKeyColumns.begin(), core::kKeyColumns.end(), name) !=
               core::kKeyColumns.end();
  };
  for (const std::string& entry : groups_.group_by) {
    for (const std::string& name : core::split(entry, ':')) {
      if (is_there(name)) continue;
      if (std::find(data.scorers.begin(), data.scorers.end(), name) != data.scorers.end()) {
        throw UsageError(fmt::format("'{}' is a scorer and a column of participants.tsv", name),
                         "rename one of the two");
      }
      columns.emplace_back(name,
                           unit_column(data, participants_ ? &*participants_ : nullptr, name));
    }
  }
  return columns;
}

void EvalCommand::run(core::Context& context) {
  read_options(context.line);
  for (const std::string& name : output_files()) {
    if (!context.dry_run) core::refuse_existing(out_ / name, context.force);
  }
  const Dataset data = read_dataset(context);
  context.begin(fmt::format("{} units (participant, session, region), {} scorers: {}",
                            data.units.size(), data.scorers.size(),
                            core::join(data.scorers, ", ")));
  if (!data.unscored_participants.empty()) {
    context.log.warning("{} participants of the split have no scores at all",
                        data.unscored_participants.size());
  }
  if (context.dry_run) {
    context.end_dry_run(fmt::format("{} in {}", core::join(output_files(), ", "), out_.string()));
    return;
  }
  read_resamples(context);
  options_.resampling.seed = context.seed;
  options_.resampling.threads = context.threads;
  if (!strata_.empty()) {
    options_.resampling.strata =
        unit_column(data, participants_ ? &*participants_ : nullptr, strata_);
  }
  std::unique_ptr<core::Progress> progress;
  options_.progress = [&](std::size_t, std::size_t all) {
    if (all < 2 || (options_.resampling.bootstrap == 0 && options_.resampling.permutations == 0))
      return;
    if (!progress) {
      progress = std::make_unique<core::Progress>(context.log, "resampling", all, "group");
    }
    progress->advance();
  };
  const core::Table* participants = participants_ ? &*participants_ : nullptr;
  Evaluation evaluation;
  if (!join_.reference.empty()) evaluation = evaluate(data, participants, groups_, options_);
  progress.reset();
  associations_.evaluate(context, data, participants, groups_, options_, join_.allow_missing);
  write_outputs(context, data, evaluation);
  if (data.scorers.size() > 1 && !join_.reference.empty()) {
    fmt::print("{}", main_table(evaluation, join_.reference, options_));
  }
  fmt::print("{}", associations_.text());
}

}  // namespace epvs::eval
