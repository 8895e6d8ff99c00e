// `epvs import-keras`: weights of Keras as a weights file of ours.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "data/cohort/preprocessing.h"
#include "models/keras_import.h"

namespace epvs::models {

class ImportKerasCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  NetworkOptions network_options() const;

  std::filesystem::path file_;
  std::filesystem::path out_;
  std::string network_;
  std::vector<std::string> settings_;
  KerasConventions conventions_;
  data::PreprocessingOptions preprocessing_;
  std::vector<double> spacing_mm_;
  std::vector<std::int64_t> crop_voxels_;
  std::string target_;
};

}  // namespace epvs::models
