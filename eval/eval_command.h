// The command `epvs eval`: scores tables in, tables of statistics out.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/command.h"
#include "core/splits.h"
#include "core/table.h"
#include "eval/eval_association_options.h"
#include "eval/evaluation.h"
#include "eval/join.h"

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
  void read_options(const core::CommandLine& line);
  /// Throws UsageError where a reference is lacking that something needs.
  void check_reference(const core::CommandLine& line);
  Dataset read_dataset(core::Context& context);
  void read_resamples(core::Context& context);
  void write_outputs(core::Context& context, const Dataset& data,
                     const Evaluation& evaluation) const;
  /// What a reference gives: comparisons.tsv, the tables for a paper, methods.md.
  void write_comparisons(core::Context& context, const Dataset& data, const Evaluation& evaluation,
                         core::Json& document) const;
  std::vector<std::pair<std::string, std::vector<std::string>>> group_columns(
      const Dataset& data) const;
  std::vector<std::string> output_files() const;

  std::vector<std::string> scores_;
  std::filesystem::path out_;
  std::filesystem::path splits_path_;
  std::filesystem::path participants_path_;
  std::string strata_;
  std::filesystem::path resamples_path_;

  EvalAssociationOptions associations_;
  std::vector<core::ScoresTable> tables_;
  JoinOptions join_;
  GroupOptions groups_;
  EvaluationOptions options_;
  std::optional<core::Splits> splits_;
  std::optional<core::Table> participants_;
};

}  // namespace epvs::eval
