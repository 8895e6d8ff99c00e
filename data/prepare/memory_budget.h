// How many scans can be prepared at a time: what one needs, and what memory there is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/log.h"
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
/// of every crop. elastix: 24 more per voxel of the scan and of the T1w scan or template. All
/// together 1.5 to 2.2 times what was measured (docs/results/prepare-speed.md). N4: 24 more per
/// voxel of the scan; a deformation: 48 MiB per atlas (by arithmetic). A file whose header cannot be read counts as 1
/// GiB; prepare_scan says what is wrong with it.
std::uintmax_t memory_need(const ScanInput& input, const PrepareOptions& options,
                           const std::vector<PreprocessingOptions>& regions);

/// How scans share the threads, within 80% of the free memory.
struct Share {
  int scans_at_a_time = 1;
  int threads_per_scan = 1;
};

/// At least one scan at a time; warns when even that one may need more than there is.
Share share_of(const std::vector<ScanInput>& inputs, const PrepareOptions& options,
               const std::vector<PreprocessingOptions>& regions, int threads, core::Log& log);

}  // namespace epvs::data
