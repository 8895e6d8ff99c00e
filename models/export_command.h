// `epvs export`: weights in formats of other frameworks.
#pragma once

#include <filesystem>

#include "core/command.h"

namespace epvs::models {

class ExportCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  std::filesystem::path weights_;
  std::filesystem::path out_;
};

}  // namespace epvs::models
