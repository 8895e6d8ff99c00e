// training.tsv and the console line of an epoch.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "train/checkpoint.h"

namespace epvs::train {

/// Atomic; one row per epoch.
void write_training_table(const std::filesystem::path& path, const std::vector<EpochRow>& history);

/// The line of the last epoch of `history` (not empty), with the time left of `epochs`.
std::string epoch_line(const std::vector<EpochRow>& history, std::int64_t epochs,
                       bool has_validation);

}  // namespace epvs::train
