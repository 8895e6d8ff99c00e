// A folder whose whole content follows from a plan, so that an interrupted run can go on: its plan
// file comes first, dataset_description.json (BIDS) last and marks it as complete.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/provenance.h"

namespace epvs::core {

class PlannedFolder {
 public:
  /// `plan_name`: "simulation.json"; `what` for messages: "simulated dataset".
  PlannedFolder(std::filesystem::path folder, const std::string& plan_name, std::string what);

  /// "dataset_description.json" in the folder.
  std::filesystem::path marker() const { return folder_ / "dataset_description.json"; }
  bool is_marked() const { return std::filesystem::exists(marker()); }

  /// Throws UsageError for anything that is not such a folder (always), and, without `force`, for a
  /// `finished` one and for an unfinished one with another plan.
  void check(const Json& plan, bool force, bool finished) const;
  /// Creates the folder, requires `bytes` of free space, removes with `force` the marker and then
  /// what an earlier run wrote (participants' folders, and `own`, by their paths in the folder), and
  /// writes the plan.
  void start(const Json& plan, const Provenance& provenance, bool force, std::uintmax_t bytes,
             const std::vector<std::string>& own) const;

 private:
  std::filesystem::path folder_;
  std::filesystem::path plan_;
  std::string what_;
};

}  // namespace epvs::core
