// The folder of a training: is there one to go on with, was it started alike, and what it is.
#pragma once

#include <filesystem>

#include "core/json.h"
#include "core/log.h"

namespace epvs::train {

class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  /// --resume: true when there is a checkpoint to go on from, false in a folder without a training.
  /// Throws core::UsageError when there is a training without a complete checkpoint.
  bool find_training_to_resume(core::Log& log) const;
  /// Without --resume: throws core::UsageError when the folder holds a training; with `force`
  /// removes it, unless `dry_run`.
  void make_room(bool force, bool dry_run) const;
  /// Throws core::UsageError naming every setting in which the training of the last checkpoint
  /// differs from `now`, with both values; with `force` warns. What changes last bits only
  /// (threads, device, LibTorch, number of processes) is warned of.
  void require_same_training(const core::Json& now, bool force, core::Log& log) const;

 private:
  std::filesystem::path path_;
};

}  // namespace epvs::train
