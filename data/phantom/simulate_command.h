// epvs simulate: phantom cohorts with known EPVS.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "data/phantom/dataset.h"

namespace epvs::data {

class SimulateCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  SimulationJob make_job(const core::Context& context);
  /// What prepare's options make of the phantom's label maps.
  CohortRequest cohort_request(const std::vector<std::string>& regions);
  /// Counts and their correlations per region, on stdout.
  static void print_summary(const SimulationJob& job, const SimulationSummary& summary);

  std::filesystem::path folder_;
  PhantomPreset preset_ = PhantomPreset::kDefault;
  bool no_scans_ = false;
  std::filesystem::path cohort_;
  std::vector<std::string> prepare_;
  SimulationOptions options_;
  core::ParameterTable table_;
};

}  // namespace epvs::data
