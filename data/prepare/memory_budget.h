// Several scans at a time within a memory budget: what a scan needs, what there is, who may start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "data/prepare/inputs/inputs.h"
#include "data/prepare/prepare_options.h"

namespace epvs::data {

/// Bytes that this process may still take: MemAvailable of the kernel, or less where the memory
/// controller of the control group (a batch job, a container) allows less. `root` is the root of
/// the file system, for tests. 4 GiB where neither is known.
std::uintmax_t available_memory(const std::filesystem::path& root = "/");

/// Bytes that `prepare_scan` takes at its peak for one scan, from the headers of its files only:
/// 56 MiB, 10 bytes per voxel of the scan, 14 per voxel of a T1w scan that is registered, 8 per
/// voxel of its label map, 40 per voxel of the largest crop with its surroundings, and 10 per voxel
/// of every crop: 1.3 to 1.6 times what was measured (docs/results/prepare-speed.md). N4: 24 more
/// per voxel of the scan; a deformation: 96 MiB and 48 MiB per atlas (by arithmetic). A file whose
/// header cannot be read counts as 1 GiB; prepare_scan says what is wrong with it.
std::uintmax_t memory_need(const ScanInput& input, const PrepareOptions& options,
                           const std::vector<PreprocessingOptions>& regions);

/// How many of the jobs can be in work at once: the most, up to `workers`, of the smallest needs
/// that fit into `budget` together, at least 1.
int jobs_at_a_time(const std::vector<std::uintmax_t>& needs, int workers, std::uintmax_t budget);

/// Runs `work(i)` for 0..needs.size()-1, started in this order, on up to `workers` threads. A job
/// starts when its need fits beside the needs of those in work; one that is larger than the budget
/// waits until it is alone. No job starts after `stopped()` has become true or one has thrown (that
/// exception is thrown again after the others have ended).
void run_within_memory(const std::vector<std::uintmax_t>& needs, int workers, std::uintmax_t budget,
                       const std::function<bool()>& stopped,
                       const std::function<void(std::size_t)>& work);

}  // namespace epvs::data
