// `epvs inspect`: chooses who describes a scan, a cohort file, a weights file, a run folder or a
// network. Needs neither Torch nor ITK.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "models/network_options.h"

namespace epvs::models {

class InspectCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  NetworkOptions network_options() const;
  /// Throws UsageError for options that contradict each other.
  void require_sense() const;

  std::filesystem::path file_;
  bool json_ = false;
  bool rows_ = false;
  bool characteristics_ = false;
  std::filesystem::path participants_;
  std::string network_;
  std::vector<std::int64_t> input_;
  std::vector<std::string> settings_;
};

}  // namespace epvs::models
