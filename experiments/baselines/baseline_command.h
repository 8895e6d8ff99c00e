// `epvs baseline`: the methods that P1's network is compared with, as columns of a scores table.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "core/enum_names.h"
#include "experiments/baselines/sift_forest.h"

namespace epvs::experiments {

enum class Baseline { kIntensity, kVolume, kComponents, kSift, kVesselness };
constexpr auto names_of(Baseline) {
  return std::to_array<core::EnumName<Baseline>>({{Baseline::kIntensity, "intensity"},
                                                  {Baseline::kVolume, "volume"},
                                                  {Baseline::kComponents, "components"},
                                                  {Baseline::kSift, "sift"},
                                                  {Baseline::kVesselness, "vesselness"}});
}

class BaselineCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  struct Job;

  std::filesystem::path cohort_;
  std::filesystem::path scores_;
  std::string target_ = "rater1";
  std::filesystem::path splits_;
  std::string region_;
  int fold_ = 0;
  int repeat_ = 0;
  std::filesystem::path out_;
  std::vector<Baseline> methods_;
  SiftForestOptions sift_;
};

}  // namespace epvs::experiments
