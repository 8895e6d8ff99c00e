// A cohort file that was damaged after it was written: the writer itself refuses such values.
#pragma once

#include <filesystem>
#include <string>

namespace epvs::tests {

/// Overwrites the first voxel of row `row` in the smooth ROIs of `region` with NaN.
void put_nan(const std::filesystem::path& cohort, const std::string& region, std::size_t row);

}  // namespace epvs::tests
