// epvs experiment: list, show, run and status of the recipes.
#pragma once

#include "core/command.h"

namespace epvs::experiments {

class ExperimentCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  std::string action_;
  std::string id_;
  std::filesystem::path recipes_;
  std::filesystem::path out_;
  std::vector<std::string> inputs_;
  std::string size_;
};

}  // namespace epvs::experiments
