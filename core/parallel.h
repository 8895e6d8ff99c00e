// Loops over slices on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace epvs::core {

/// Cuts 0..count-1 into contiguous ranges and runs `work(begin, end)` for each on up to `threads`
/// threads (below 1: one). The first exception is thrown again after all threads have ended.
/// Results are independent of `threads` when `work` treats its indices independently.
void parallel_ranges(std::int64_t count, int threads,
                     const std::function<void(std::int64_t, std::int64_t)>& work);

}  // namespace epvs::core
