// What `epvs export` is told: its manual and options, without Torch, so that --help comes at once.
#pragma once

#include <filesystem>

#include "core/command.h"

namespace epvs::models {

class ExportUsage : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;

 protected:
  std::filesystem::path weights_;
  std::filesystem::path out_;
};

}  // namespace epvs::models
