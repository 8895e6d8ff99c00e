// What `epvs infer` is told: its manual and options, without Torch, so that --help comes at once.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "core/splits.h"
#include "infer/ensemble.h"
#include "infer/map_writer.h"

namespace epvs::infer {

/// What convolutions compute in; auto: bf16 where the device is faster in it.
enum class InferencePrecision { kFloat32, kTf32, kBf16, kAuto };
constexpr auto names_of(InferencePrecision) {
  return std::to_array<core::EnumName<InferencePrecision>>(
      {{InferencePrecision::kFloat32, "float32"},
       {InferencePrecision::kTf32, "tf32"},
       {InferencePrecision::kBf16, "bf16"},
       {InferencePrecision::kAuto, "auto"}});
}

class InferUsage : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;

 protected:
  std::vector<std::string> runs_;
  std::vector<std::string> weights_;
  std::filesystem::path cohort_;
  std::string region_;
  std::filesystem::path splits_;
  std::vector<core::Split> split_ = {core::Split::kTest};
  int fold_ = 0;
  int repeat_ = 0;
  std::filesystem::path out_;
  std::string scorer_;
  std::vector<MapKind> maps_;
  std::filesystem::path maps_dir_;
  MapGrid maps_grid_ = MapGrid::kSource;
  std::filesystem::path detections_dir_;
  double detection_radius_mm_ = 3.0;
  std::vector<FlipAxis> flip_axes_;
  int batch_ = 1;
  bool profile_ = false;
  InferencePrecision precision_ = InferencePrecision::kFloat32;
};

}  // namespace epvs::infer
