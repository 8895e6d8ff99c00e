// The memory budget of `epvs prepare`: estimates from headers, and who may start when.
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "core/files.h"
#include "data/formats/nifti.h"
#include "data/prepare/memory_budget.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

using tests::TemporaryFolder;

/// What ran together with what.
struct Trace {
  std::mutex mutex;
  std::vector<std::size_t> order;
  std::uintmax_t in_work = 0;
  std::uintmax_t most = 0;
  std::size_t running = 0;
  std::size_t most_running = 0;
  std::vector<std::size_t> beside;  ///< per job: how many others were in work at its start

  void run(const std::vector<std::uintmax_t>& needs, int workers, std::uintmax_t budget,
           std::size_t stop_after = 1000) {
    beside.assign(needs.size(), 0);
    run_within_memory(
        needs, workers, budget,
        [&] {
          const std::lock_guard<std::mutex> lock(mutex);
          return order.size() >= stop_after;
        },
        [&](std::size_t i) {
          {
            const std::lock_guard<std::mutex> lock(mutex);
            order.push_back(i);
            beside[i] = running;
            in_work += needs[i];
            most = std::max(most, in_work);
            most_running = std::max(most_running, ++running);
          }
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
          const std::lock_guard<std::mutex> lock(mutex);
          in_work -= needs[i];
          --running;
        });
  }
};

TEST(MemoryBudget, IsNeverExceededAndEveryJobRunsOnce) {
  const std::vector<std::uintmax_t> needs = {4, 3, 5, 1, 1, 1, 1, 6, 2, 2, 3, 4};
  Trace trace;
  trace.run(needs, 6, 7);
  EXPECT_LE(trace.most, 7U);
  EXPECT_GT(trace.most_running, 1U);
  std::sort(trace.order.begin(), trace.order.end());
  std::vector<std::size_t> all(needs.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  EXPECT_EQ(trace.order, all);
}

TEST(MemoryBudget, WorkersLimitWhatMemoryAllows) {
  Trace trace;
  trace.run(std::vector<std::uintmax_t>(20, 1), 3, 1000);
  EXPECT_LE(trace.most_running, 3U);
  EXPECT_GT(trace.most_running, 1U);
}

TEST(MemoryBudget, AJobBeyondTheBudgetRunsAlone) {
  Trace trace;
  trace.run({2, 2, 50, 2, 2}, 4, 10);
  EXPECT_EQ(trace.most, 50U) << "nothing started beside it either";
  EXPECT_EQ(trace.beside[2], 0U);
  EXPECT_EQ(trace.order.size(), 5U);
}

TEST(MemoryBudget, NothingStartsAfterAStop) {
  Trace trace;
  trace.run(std::vector<std::uintmax_t>(50, 1), 2, 2, 4);
  EXPECT_GE(trace.order.size(), 4U);
  EXPECT_LE(trace.order.size(), 5U) << "one more may have been on its way";
}

TEST(MemoryBudget, AnExceptionStopsTheRestAndIsThrownAgain) {
  std::atomic<int> started{0};
  const auto run = [&] {
    run_within_memory(
        std::vector<std::uintmax_t>(40, 1), 2, 2, [] { return false; },
        [&](std::size_t i) {
          ++started;
          if (i == 3) throw std::runtime_error("job 3");
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        });
  };
  EXPECT_THROW(run(), std::runtime_error);
  EXPECT_LT(started, 40) << "not one of the later jobs was spared";
}

TEST(MemoryBudget, AsManyJobsAsFitTogether) {
  EXPECT_EQ(jobs_at_a_time({5, 1, 2, 4}, 8, 7), 3);  // 1 + 2 + 4
  EXPECT_EQ(jobs_at_a_time({5, 1, 2, 4}, 2, 7), 2);
  EXPECT_EQ(jobs_at_a_time({50, 60}, 8, 7), 1);
  EXPECT_EQ(jobs_at_a_time({}, 8, 7), 1);
}

TEST(MemoryBudget, AvailableIsWhatKernelAndControlGroupLeave) {
  const TemporaryFolder root;
  EXPECT_EQ(available_memory(root.path()), std::uintmax_t{4} << 30U);
  core::write_text(root / "proc/meminfo",
                   "MemTotal:  9000 kB\nMemFree: 1000 kB\nMemAvailable:  5000 kB\n");
  EXPECT_EQ(available_memory(root.path()), 5000U * 1024U);
  core::write_text(root / "proc/self/cgroup", "0::/slurm/job_1\n");
  core::write_text(root / "sys/fs/cgroup/slurm/job_1/memory.max", "max\n");
  core::write_text(root / "sys/fs/cgroup/slurm/job_1/memory.current", "7\n");
  EXPECT_EQ(available_memory(root.path()), 5000U * 1024U);
  // The limit may stand in a group above.
  core::write_text(root / "sys/fs/cgroup/slurm/memory.max", "1000000\n");
  core::write_text(root / "sys/fs/cgroup/slurm/memory.current", "400000\n");
  EXPECT_EQ(available_memory(root.path()), 600000U);
  core::write_text(root / "sys/fs/cgroup/slurm/job_1/memory.max", "5\n");
  EXPECT_EQ(available_memory(root.path()), 0U);
}

TEST(MemoryBudget, NeedGrowsWithTheGridsOfTheFiles) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const Shape& shape) {
    Geometry geometry;
    geometry.shape = shape;
    write_nifti(folder / name, Volume<std::uint8_t>(geometry));
    return folder / name;
  };
  PrepareOptions options;
  options.labels_space = "t1w";
  PreprocessingOptions region;
  region.crop_voxels = {10, 10, 10};
  region.dilation_voxels = 4;
  region.sigma_voxels = 2;
  ScanInput input;
  input.scan = write("t2.nii.gz", {100, 50, 10});
  input.labels = write("labels.nii.gz", {40, 40, 10});
  const std::uintmax_t base = memory_need(input, options, {region});
  const std::uintmax_t mib = std::uintmax_t{1} << 20U;
  const std::uintmax_t box = 36U * 36U * 36U;  // reach 4 + 8 + 1 on both sides
  EXPECT_EQ(base, 56 * mib + 10U * 50000U + 8U * 16000U + 40U * box + 10U * 1000U);
  input.t1w = write("t1.nii.gz", {64, 64, 20});
  EXPECT_EQ(memory_need(input, options, {region}), base + 14U * 64U * 64U * 20U);
  // One more region costs its crop; the work is done on one at a time.
  EXPECT_EQ(memory_need(input, options, {region, region}),
            memory_need(input, options, {region}) + 10000U);
  // By an atlas neither T1w nor labels are read.
  options.atlases = {"atlas.nii.gz"};
  EXPECT_EQ(memory_need(input, options, {region}), base - 8U * 16000U);
  input.scan = folder / "gone.nii.gz";
  EXPECT_EQ(memory_need(input, options, {region}), base - 8U * 16000U - 500000U + 1024U * mib);
}

}  // namespace
}  // namespace epvs::data
