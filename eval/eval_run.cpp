// What `epvs eval` does once its options are read.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "eval/eval_command.h"
#include "eval/implants.h"
#include "eval/report_tables.h"
#include "eval/tables.h"

namespace epvs::eval {

namespace fs = std::filesystem;
using core::UsageError;

namespace {

void append(std::vector<MetricRow>& to, std::vector<MetricRow> rows) {
  to.insert(to.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
}

}  // namespace

const core::Table* EvalCommand::participants() const {
  return participants_ ? &*participants_ : nullptr;
}

Dataset EvalCommand::read_dataset(core::Context& context) {
  std::vector<std::string> wanted = join_.scorers;
  if (!wanted.empty()) {
    if (!join_.reference.empty()) wanted.push_back(join_.reference);
    wanted.insert(wanted.end(), options_.together.begin(), options_.together.end());
  }
  std::vector<core::ScoresTable> tables;
  std::set<fs::path> seen;
  for (const std::string& path : scores_) {
    core::require_exists(path, "scores table");
    if (!seen.insert(fs::weakly_canonical(path)).second) {
      throw UsageError(fmt::format("--scores {} is given twice", path));
    }
    tables.push_back(read_scores(path, wanted));
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
  Dataset data = join(tables, join_);
  if (!calibrate_on_.empty()) calibrate(context, tables, data);
  return data;
}

/// Learns on the units of the split --calibrate-on and rewrites `data`.
void EvalCommand::calibrate(core::Context& context, const std::vector<core::ScoresTable>& tables,
                            Dataset& data) {
  JoinOptions learning = join_;
  learning.split = core::from_text<core::Split>(calibrate_on_, "--calibrate-on");
  const core::Table table =
      calibrate_dataset(join(tables, learning), data, calibrated_scorers_, calibration_);
  context.log.info("calibrated on the split '{}':\n{}", calibrate_on_, table.to_aligned());
  tables_.emplace_back("calibration", table);
}

/// Repeat scans, implants, heterogeneity, detections, associations and means: rows_ and tables_ in the order of
/// the files.
void EvalCommand::evaluate_further(core::Context& context, const Dataset& data) {
  const double confidence = options_.confidence;
  if (rescan_) {
    RescanOptions sessions;
    if (!rescan_sessions_.empty()) sessions = {rescan_sessions_[0], rescan_sessions_[1]};
    append(rows_, rescan_rows(data, sessions, confidence, participants(), groups_.group_by));
  }
  if (implants_) append(rows_, implant_rows(data, participants(), groups_, options_));
  if (!heterogeneity_.empty()) {
    append(rows_, heterogeneity_rows(data, participants(), heterogeneity_, confidence));
  }
  // Before calibration.tsv, which reading the scores has made.
  std::vector<std::pair<std::string, core::Table>> tables;
  if (!association_.covariates.empty()) {
    association_.confidence = confidence;
    association_.minimum_n = options_.minimum_n;
    association_.allow_missing = join_.allow_missing;
    tables.emplace_back("associations",
                        association_table(data, *participants_, groups_, association_));
  }
  if (!means_by_.empty()) {
    bins_.confidence = confidence;
    tables.emplace_back("means", age_bin_table(data, *participants_, means_by_, groups_, bins_));
  }
  tables_.insert(tables_.begin(), tables.begin(), tables.end());
  if (!detections_.empty()) evaluate_detections_of(context, data);
}

void EvalCommand::evaluate_detections_of(core::Context& context, const Dataset& data) {
  const core::Table found = read_detections(detections_);
  const core::Table marked = core::Table::read(truth_);
  context.provenance.add_input(detections_);
  context.provenance.add_input(truth_);
  detection_.confidence = options_.confidence;
  detection_.seed = context.seed;
  if (options_.resampling.bootstrap > 0) {
    detection_.bootstrap = static_cast<int>(options_.resampling.bootstrap);
  }
  const auto regions = detection_regions(found, marked, data.units);
  core::Table froc = froc_table();
  for (const DetectionRegion& region : regions) {
    for (const Group& group : make_groups(data, region.region, participants(), groups_)) {
      const DetectionSummary summary =
          evaluate_detections(scans_of_group(region, data, group.units), detection_);
      append(rows_,
             detection_rows(region.region, group.name, detection_scorer_, summary, detection_));
      add_froc(froc, region.region, group.name, detection_scorer_, summary);
    }
  }
  tables_.emplace_back("froc", std::move(froc));
  tables_.emplace_back("matched_points", matched_points_table(regions, detection_.radius_mm));
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
  all.metrics.insert(all.metrics.end(), rows_.begin(), rows_.end());
  const core::Table metrics = metrics_table(all);
  core::Json document;
  document["provenance"] = context.provenance.to_json();
  document["metrics"] = table_to_json(metrics);
  metrics.write(out_ / "metrics.tsv");
  if (!join_.reference.empty()) write_comparisons(context, data, evaluation, document);
  for (const auto& [name, table] : tables_) {
    table.write(out_ / (name + ".tsv"));
    context.provenance.write_beside(out_ / (name + ".tsv"));
    document[name] = table_to_json(table);
    context.log.info("wrote {}.tsv ({} rows)", name, table.rows());
  }
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
      columns.emplace_back(name, unit_column(data, participants(), name));
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
    options_.resampling.strata = unit_column(data, participants(), strata_);
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
  Evaluation evaluation;
  if (!join_.reference.empty()) evaluation = evaluate(data, participants(), groups_, options_);
  progress.reset();
  evaluate_further(context, data);
  write_outputs(context, data, evaluation);
  if (data.scorers.size() > 1 && !join_.reference.empty()) {
    fmt::print("{}", main_table(evaluation, join_.reference, options_));
  }
  for (const auto& [name, table] : tables_) {
    if (name == "associations") fmt::print("{}", associations_text(table, options_.minimum_n));
  }
  if (!rows_.empty()) fmt::print("{}", further_metrics_text(rows_));
}

}  // namespace epvs::eval
