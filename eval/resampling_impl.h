// Implementation of parallel_for of eval/resampling.h.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace epvs::eval {

template <class Work>
void parallel_for(std::size_t count, int threads, Work&& work) {
  constexpr std::size_t kChunk = 32;
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto run = [&](std::size_t thread) {
    try {
      for (std::size_t begin = next.fetch_add(kChunk); begin < count;
           begin = next.fetch_add(kChunk)) {
        for (std::size_t i = begin; i < std::min(count, begin + kChunk); ++i) work(i, thread);
      }
    } catch (...) {
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  const std::size_t workers =
      std::min(static_cast<std::size_t>(std::max(threads, 1)), (count + kChunk - 1) / kChunk);
  std::vector<std::thread> pool;
  for (std::size_t t = 1; t < workers; ++t) pool.emplace_back(run, t);
  run(0);
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace epvs::eval
