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
  /// The preset with the options that were given on the command line.
  SimulationOptions resolve(const core::CommandLine& line);
  /// Counts and their correlations per region, on stdout.
  static void print_summary(const SimulationJob& job, const SimulationSummary& summary);

  std::filesystem::path folder_;
  std::string preset_ = "default";
  bool no_scans_ = false;
  std::filesystem::path cohort_;
  std::string cohort_preset_ = "p2";
  std::vector<double> cohort_spacing_mm_;
  std::vector<std::int64_t> cohort_crop_voxels_;
  int cohort_dilation_voxels_ = 4;
  double cohort_sigma_voxels_ = 2.0;
  bool cohort_float16_ = false;
  SimulationOptions options_;
  core::ParameterTable table_;
};

}  // namespace epvs::data
