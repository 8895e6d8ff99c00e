// The options of `epvs eval` beyond agreement: associations with covariates, means per bin, repeat
// scans, heterogeneity, calibration, detections. EvalCommand owns one and calls it at four places.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/command.h"
#include "core/json.h"
#include "core/table.h"
#include "eval/association_tables.h"
#include "eval/detection_tables.h"
#include "eval/evaluation.h"
#include "eval/reliability_tables.h"

namespace epvs::eval {

class EvalAssociationOptions {
 public:
  /// Declares the options under three headings.
  void declare(core::CommandLine& line);
  /// Checks what was given and what depends on what. Throws UsageError naming both options.
  void read(const core::CommandLine& line, const GroupOptions& groups);

  /// Something was asked for that one scorer alone can give: associations, means, repeat scans,
  /// detections.
  bool needs_no_reference() const;
  bool uses_participants() const;
  /// Names of the files that write() will write.
  std::vector<std::string> files() const;

  /// --calibrate-on: learns on the units that `options` joins for that split and rewrites `data`.
  void calibrate(core::Context& context, const std::vector<core::ScoresTable>& tables,
                 const JoinOptions& options, Dataset& data);
  /// Makes rows() and the tables of write(). Detections take 2000 resamples where the options have
  /// none.
  void evaluate(core::Context& context, const Dataset& data, const core::Table* participants,
                const GroupOptions& groups, const EvaluationOptions& options, bool allow_missing);
  /// Repeat scans, heterogeneity and detections, for metrics.tsv.
  const std::vector<MetricRow>& rows() const { return rows_; }
  /// Writes the tables beside metrics.tsv, each with its provenance, and adds them to metrics.json.
  void write(core::Context& context, const std::filesystem::path& folder,
             core::Json& document) const;
  /// The ratios of the associations and the detection rows, to read on a terminal; may be empty.
  std::string text() const;

 private:
  /// Throws UsageError for options that mean nothing without others, naming both.
  void check_dependencies(const core::CommandLine& line, const GroupOptions& groups) const;
  void declare_associations(core::CommandLine& line);
  void declare_reliability(core::CommandLine& line);
  void declare_detections(core::CommandLine& line);
  void evaluate_detections_of(core::Context& context, const Dataset& data,
                              const core::Table* participants, const GroupOptions& groups,
                              const EvaluationOptions& options);

  AssociationOptions association_;
  std::string means_by_;
  AgeBinOptions bins_;

  bool rescan_ = false;
  std::vector<std::string> rescan_sessions_;
  std::string heterogeneity_;
  std::string calibrate_on_;
  std::vector<std::string> calibrated_scorers_;
  CalibrationTarget calibration_target_ = CalibrationTarget::kIcc2;
  bool keep_sign_ = false;

  std::filesystem::path detections_;
  std::filesystem::path truth_;
  std::string detection_scorer_ = "detections";
  DetectionOptions detection_;

  std::optional<core::Table> associations_table_;
  std::optional<core::Table> bins_table_;
  std::optional<core::Table> calibration_table_;
  std::optional<core::Table> froc_table_;
  std::optional<core::Table> points_table_;
  std::vector<MetricRow> rows_;
  std::size_t minimum_n_ = 0;
};

}  // namespace epvs::eval
