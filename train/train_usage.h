// What `epvs train` is told: its manual and options, without Torch, so that --help comes at once.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "train/options.h"

namespace epvs::train {

class TrainUsage : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;

 protected:
  std::filesystem::path recipe_file_;
  std::filesystem::path cohort_;
  std::filesystem::path scores_;
  std::filesystem::path splits_;
  std::filesystem::path out_;
  std::filesystem::path init_;
  std::string region_;
  std::string target_;
  std::string scorer_;
  int fold_ = 0;
  int repeat_ = 0;
  std::vector<std::string> set_;
  bool resume_ = false;
  bool resume_force_ = false;
  bool print_recipe_ = false;
  std::filesystem::path preview_;
  std::int64_t log_steps_ = 0;
  bool profile_ = false;

  Recipe recipe_;
  core::ParameterTable table_;
};

/// `--resume=force`, as people write it, becomes `--resume --resume-force`.
std::vector<std::string> expand_resume(int argc, const char* const* argv);

}  // namespace epvs::train
