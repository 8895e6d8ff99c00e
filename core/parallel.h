// Loops on several threads: the only thread pool of epvs.
#pragma once

#include <cstdint>
#include <functional>

namespace epvs::core {

/// Cuts 0..count-1 into contiguous ranges and runs `work(begin, end)` for each on up to `threads`
/// threads (below 1: one). The first exception is thrown again after all threads have ended.
/// Results are independent of `threads` when `work` treats its indices independently.
void parallel_ranges(std::int64_t count, int threads,
                     const std::function<void(std::int64_t, std::int64_t)>& work);

/// Runs `work(i)` for 0..count-1 on up to `threads` threads (below 1: one), each index as soon as a
/// thread is free: for jobs of unequal length. No further job begins once `stopped()` is true or a
/// job has thrown; the first exception is thrown again after all threads have ended.
void parallel_jobs(
    std::int64_t count, int threads, const std::function<void(std::int64_t)>& work,
    const std::function<bool()>& stopped = [] { return false; });

}  // namespace epvs::core
