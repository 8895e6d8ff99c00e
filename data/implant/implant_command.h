// The command `epvs implant`.
#pragma once

#include <filesystem>
#include <string>

#include "core/command.h"
#include "data/implant/dataset.h"
#include "data/prepare/prepare_options.h"

namespace epvs::data {

class ImplantCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  ImplantJob make_job(core::Context& context);

  std::filesystem::path source_;
  std::filesystem::path out_;
  InputFilter filter_;
  PrepareOptions prepare_;
  ImplantOptions options_;
  core::ParameterTable regions_table_;
  core::ParameterTable implant_table_;
};

}  // namespace epvs::data
