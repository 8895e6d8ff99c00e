// The command `epvs prepare`.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "core/command.h"
#include "data/prepare/inputs/inputs.h"
#include "data/prepare/prepare_options.h"

namespace epvs::data {

class PrepareCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  /// Names of the parameters that the user gave, on the command line or in the recipe.
  std::set<std::string> read_recipe(const core::CommandLine& line);

  std::filesystem::path source_;
  std::filesystem::path out_;
  std::filesystem::path recipe_;
  std::filesystem::path exclude_;
  std::filesystem::path bids_filter_;
  bool list_series_ = false;
  double memory_gb_ = 0;
  InputFilter filter_;
  PrepareOptions options_;
  core::ParameterTable table_;
};

}  // namespace epvs::data
