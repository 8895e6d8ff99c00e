// epvs split: writes which participants train, validate and test.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "core/table.h"
#include "data/split/split_plan.h"

namespace epvs::data {

/// Participants of a table (one entry each, in the table's order; only rows of `region` unless it
/// is empty). Throws InputError when the column participant_id or region is missing or no row is
/// left.
std::vector<std::string> participants_of_table(const core::Table& table, const std::string& region);

/// The stratum of each participant from `column` of `table`. A column of numbers with more than
/// `bins` distinct values is cut into quantiles (sessions and regions of a participant are
/// averaged); otherwise each value is a stratum. Throws InputError for participants that are not in
/// the table and for one with two different texts.
std::vector<std::string> strata_of_table(const core::Table& table, const std::string& column,
                                         const std::string& region, int bins,
                                         const std::vector<std::string>& participants);

class SplitCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  std::filesystem::path input_;
  std::filesystem::path out_;
  std::string region_;
  std::string stratify_;
  std::filesystem::path participants_;
  int bins_ = 4;
  SplitOptions options_;
  core::ParameterTable table_;
};

}  // namespace epvs::data
