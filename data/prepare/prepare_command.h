// The command `epvs prepare`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "data/prepare/inputs/inputs.h"
#include "data/prepare/prepare_cohort.h"
#include "data/prepare/prepare_options.h"

namespace epvs::data {

class PrepareCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  void declare_scans(core::CommandLine& line);
  /// Reads the recipe, the preset and --like; what the command line says wins.
  CohortJob make_job(core::Context& context);
  /// Everything the result depends on, into the provenance.
  void add_provenance(core::Context& context, const CohortJob& job) const;

  std::filesystem::path source_;
  std::filesystem::path out_;
  std::filesystem::path recipe_;
  std::filesystem::path like_;  ///< weights or a run folder whose preprocessing is wanted
  std::filesystem::path exclude_;
  InputFilter filter_;
  PrepareOptions options_;
  core::ParameterTable table_;
};

}  // namespace epvs::data
