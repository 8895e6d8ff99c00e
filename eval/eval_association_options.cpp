#include "eval/eval_association_options.h"

#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "eval/console.h"
#include "eval/tables.h"

namespace epvs::eval {
namespace {

using core::UsageError;

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

void append(std::vector<MetricRow>& to, std::vector<MetricRow> rows) {
  to.insert(to.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
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

}  // namespace

void EvalAssociationOptions::declare(core::CommandLine& line) {
  declare_associations(line);
  declare_reliability(line);
  declare_detections(line);
}

void EvalAssociationOptions::declare_associations(core::CommandLine& line) {
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

void EvalAssociationOptions::declare_reliability(core::CommandLine& line) {
  line.heading("Repeat scans, scanners, calibration");
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
  line.option("--calibration-target", &calibration_target_,
              "form of the ICC in calibration.tsv; both have the same best line");
  line.option("--keep-sign", &keep_sign_,
              "a scorer that falls with the reference is not turned round but left n/a");
}

void EvalAssociationOptions::declare_detections(core::CommandLine& line) {
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

void EvalAssociationOptions::read(const core::CommandLine& line, const GroupOptions& groups) {
  check_dependencies(line, groups);
  if (!detections_.empty()) {
    core::require_exists(detections_, "table of detections");
    core::require_exists(truth_, "table of marked points");
    detection_.validate();
  }
  if (!association_.covariates.empty()) association_.validate();
  bins_.validate();
}

void EvalAssociationOptions::check_dependencies(const core::CommandLine& line,
                                                const GroupOptions& groups) const {
  if (rescan_) {
    refuse_groups(groups, {"session_id", "fold", "repeat"}, "--rescan", "a pair of scans has two");
  }
  if (line.given("--detections")) {
    refuse_groups(groups, {"fold", "repeat"}, "--detections", "tables of points name none");
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

bool EvalAssociationOptions::needs_no_reference() const {
  return !association_.covariates.empty() || !means_by_.empty() || rescan_ || !detections_.empty();
}

bool EvalAssociationOptions::uses_participants() const {
  return !association_.covariates.empty() || !means_by_.empty() || !heterogeneity_.empty();
}

std::vector<std::string> EvalAssociationOptions::files() const {
  std::vector<std::string> names;
  if (!association_.covariates.empty()) names.push_back("associations.tsv");
  if (!means_by_.empty()) names.push_back("means.tsv");
  if (!calibrate_on_.empty()) names.push_back("calibration.tsv");
  if (!detections_.empty()) names.insert(names.end(), {"froc.tsv", "matched_points.tsv"});
  return names;
}

void EvalAssociationOptions::calibrate(core::Context& context,
                                       const std::vector<core::ScoresTable>& tables,
                                       const JoinOptions& options, Dataset& data) {
  if (calibrate_on_.empty()) return;
  JoinOptions learning = options;
  learning.split = calibrate_on_;
  CalibrationOptions how;
  how.target = calibration_target_;
  how.allow_sign_flip = !keep_sign_;
  calibration_table_ = calibrate_dataset(join(tables, learning), data, calibrated_scorers_, how);
  context.log.info("calibrated on the split '{}':\n{}", calibrate_on_,
                   calibration_table_->to_aligned());
}

void EvalAssociationOptions::evaluate(core::Context& context, const Dataset& data,
                                      const core::Table* participants, const GroupOptions& groups,
                                      const EvaluationOptions& options, bool allow_missing) {
  rows_.clear();
  minimum_n_ = options.minimum_n;
  if (rescan_) {
    RescanOptions sessions;
    if (!rescan_sessions_.empty()) {
      sessions.first_session = rescan_sessions_[0];
      sessions.second_session = rescan_sessions_[1];
    }
    append(rows_, rescan_rows(data, sessions, options.confidence, participants, groups.group_by));
  }
  if (!heterogeneity_.empty()) {
    append(rows_, heterogeneity_rows(data, participants, heterogeneity_, options.confidence));
  }
  if (!association_.covariates.empty()) {
    AssociationOptions association = association_;
    association.confidence = options.confidence;
    association.minimum_n = options.minimum_n;
    association.allow_missing = allow_missing;
    associations_table_ = association_table(data, *participants, groups, association);
  }
  if (!means_by_.empty()) {
    AgeBinOptions bins = bins_;
    bins.confidence = options.confidence;
    bins_table_ = age_bin_table(data, *participants, means_by_, groups, bins);
  }
  if (!detections_.empty()) evaluate_detections_of(context, data, participants, groups, options);
}

void EvalAssociationOptions::evaluate_detections_of(core::Context& context, const Dataset& data,
                                                    const core::Table* participants,
                                                    const GroupOptions& groups,
                                                    const EvaluationOptions& options) {
  const core::Table found = read_detections(detections_);
  const core::Table marked = core::Table::read(truth_);
  context.provenance.add_input(detections_);
  context.provenance.add_input(truth_);
  DetectionOptions detection = detection_;
  detection.confidence = options.confidence;
  detection.seed = context.seed;
  if (options.resampling.bootstrap > 0) {
    detection.bootstrap = static_cast<int>(options.resampling.bootstrap);
  }
  const auto regions = detection_regions_of_scans(found, marked, data.units);
  froc_table_ = froc_table();
  for (const DetectionRegion& region : regions) {
    for (const Group& group : make_groups(data, region.region, participants, groups)) {
      const DetectionSummary summary =
          evaluate_detections(scans_of_group(region, data, group.units), detection);
      append(rows_,
             detection_rows(region.region, group.name, detection_scorer_, summary, detection));
      add_froc(*froc_table_, region.region, group.name, detection_scorer_, summary);
    }
  }
  points_table_ = matched_points_table(regions, detection.radius_mm);
}

void EvalAssociationOptions::write(core::Context& context, const std::filesystem::path& folder,
                                   core::Json& document) const {
  const auto write_one = [&](const std::optional<core::Table>& table, const std::string& name) {
    if (!table) return;
    table->write(folder / (name + ".tsv"));
    context.provenance.write_beside(folder / (name + ".tsv"));
    document[name] = table_to_json(*table);
    context.log.info("wrote {}.tsv ({} rows)", name, table->rows());
  };
  write_one(associations_table_, "associations");
  write_one(bins_table_, "means");
  write_one(calibration_table_, "calibration");
  write_one(froc_table_, "froc");
  write_one(points_table_, "matched_points");
}

std::string EvalAssociationOptions::text() const {
  std::string result;
  if (associations_table_) result += associations_text(*associations_table_, minimum_n_);
  if (!rows_.empty()) result += further_metrics_text(rows_);
  return result;
}

}  // namespace epvs::eval
