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
  void read_options(const core::CommandLine& line);
  Dataset read_dataset(core::Context& context);
  void read_resamples(core::Context& context);
  void write_outputs(core::Context& context, const Dataset& data,
                     const Evaluation& evaluation) const;
  std::vector<std::pair<std::string, std::vector<std::string>>> group_columns(
      const Dataset& data) const;
  std::vector<std::string> output_files() const;

  std::vector<std::string> scores_;
  std::filesystem::path out_;
  std::filesystem::path splits_path_;
  std::filesystem::path participants_path_;
  int fold_ = 0;
  int repeat_ = 0;
  double reference_at_most_ = kNaN;
  double reference_at_least_ = kNaN;
  int minimum_n_ = 3;
  int bootstrap_ = 0;
  int permutations_ = 0;
  std::string strata_;
  std::filesystem::path resamples_path_;
  std::string pairs_ = "all";
  std::string adjustment_ = "holm";

  EvalAssociationOptions associations_;
  std::vector<core::ScoresTable> tables_;
  JoinOptions join_;
  GroupOptions groups_;
  EvaluationOptions options_;
  std::optional<core::Splits> splits_;
  std::optional<core::Table> participants_;
};

}  // namespace epvs::eval
