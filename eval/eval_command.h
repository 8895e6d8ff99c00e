// The command `epvs eval`: scores tables in, tables of statistics out.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/command.h"
#include "core/json.h"
#include "core/splits.h"
#include "core/table.h"
#include "eval/association_tables.h"
#include "eval/detection_tables.h"
#include "eval/evaluation.h"
#include "eval/reliability_tables.h"

namespace epvs::eval {

class EvalCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  void declare_tables(core::CommandLine& line);
  void declare_participants(core::CommandLine& line);
  void declare_statistics(core::CommandLine& line);
  void declare_associations(core::CommandLine& line);
  void declare_reliability(core::CommandLine& line);
  void declare_detections(core::CommandLine& line);
  void read_options(const core::CommandLine& line);
  /// Throws UsageError for options that mean nothing without others, naming both.
  void check_dependencies(const core::CommandLine& line) const;
  /// Throws UsageError where a reference is lacking that something needs.
  void check_reference(const core::CommandLine& line);
  std::vector<std::string> output_files() const;

  Dataset read_dataset(core::Context& context);
  void calibrate(core::Context& context, const std::vector<core::ScoresTable>& tables,
                 Dataset& data);
  void read_resamples(core::Context& context);
  void evaluate_further(core::Context& context, const Dataset& data);
  /// Takes 2000 resamples where the options have none.
  void evaluate_detections_of(core::Context& context, const Dataset& data);
  void write_outputs(core::Context& context, const Dataset& data,
                     const Evaluation& evaluation) const;
  /// What a reference gives: comparisons.tsv, the tables for a paper, methods.md.
  void write_comparisons(core::Context& context, const Dataset& data, const Evaluation& evaluation,
                         core::Json& document) const;
  std::vector<std::pair<std::string, std::vector<std::string>>> group_columns(
      const Dataset& data) const;
  /// The table of --participants, or null.
  const core::Table* participants() const;

  std::vector<std::string> scores_;
  std::filesystem::path out_;
  std::filesystem::path splits_path_;
  std::filesystem::path participants_path_;
  std::string strata_;
  std::filesystem::path resamples_path_;
  JoinOptions join_;
  GroupOptions groups_;
  EvaluationOptions options_;

  AssociationOptions association_;
  std::string means_by_;
  AgeBinOptions bins_;
  bool implants_ = false;
  bool rescan_ = false;
  std::vector<std::string> rescan_sessions_;
  std::string heterogeneity_;
  std::string calibrate_on_;
  std::vector<std::string> calibrated_scorers_;
  CalibrationOptions calibration_;
  std::filesystem::path detections_;
  std::filesystem::path truth_;
  std::string detection_scorer_ = "detections";
  DetectionOptions detection_;

  std::optional<core::Splits> splits_;
  std::optional<core::Table> participants_;
  /// Repeat scans, heterogeneity and detections, for metrics.tsv.
  std::vector<MetricRow> rows_;
  /// Tables beside metrics.tsv, by name.
  std::vector<std::pair<std::string, core::Table>> tables_;
};

}  // namespace epvs::eval
