// A copy of a scan in which some voxels have other values and nothing else has changed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

namespace epvs::data {

/// A voxel by its offset in stored order, and what is added to its value (after scl_slope and
/// scl_inter).
struct VoxelChange {
  std::size_t offset;
  double added;
};

/// Copies `source` to `target`: header, extensions and all other voxels stay byte for byte. The new
/// values are stored in the file's own type through its slope and intercept, rounded and cut at its
/// range where the type is a whole number. Without changes the file itself is copied. Both names
/// need the same compression (`.nii.gz` to `.nii.gz`); atomic.
///
/// Throws InputError: unreadable, a .hdr/.img pair; RunError: disk full.
void copy_with_changes(const std::filesystem::path& source, const std::filesystem::path& target,
                       const std::vector<VoxelChange>& changes);

}  // namespace epvs::data
