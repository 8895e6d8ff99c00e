#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace epvs::core {

void parallel_ranges(std::int64_t count, int threads,
                     const std::function<void(std::int64_t, std::int64_t)>& work) {
  if (count <= 0) return;
  const std::int64_t parts = std::clamp<std::int64_t>(threads, 1, count);
  parallel_jobs(parts, threads,
                [&](std::int64_t part) { work(count * part / parts, count * (part + 1) / parts); });
}

void parallel_jobs(std::int64_t count, int threads, const std::function<void(std::int64_t)>& work,
                   const std::function<bool()>& stopped) {
  std::atomic<std::int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto loop = [&] {
    while (true) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        if (error) return;
      }
      if (stopped()) return;
      const std::int64_t job = next++;
      if (job >= count) return;
      try {
        work(job);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!error) error = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> pool;
    for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, count); ++i) {
      pool.emplace_back(loop);
    }
    loop();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace epvs::core
