#include "data/prepare/memory_budget.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/error.h"
#include "core/text.h"
#include "data/formats/nifti.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t kMiB = std::uintmax_t{1} << 20U;
constexpr std::uintmax_t kUnknownScan = 1024 * kMiB;

std::optional<std::uintmax_t> meminfo(const fs::path& root) {
  std::ifstream file(root / "proc/meminfo");
  std::string name;
  std::uintmax_t kilobytes = 0;
  std::string unit;
  while (file >> name >> kilobytes && std::getline(file, unit)) {
    if (name == "MemAvailable:") return kilobytes * 1024;
  }
  return std::nullopt;
}

std::optional<std::uintmax_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::string text;
  if (!(file >> text)) return std::nullopt;
  const auto value = core::parse_integer(text);  // "max" is no number: no limit
  if (!value || *value < 0) return std::nullopt;
  return static_cast<std::uintmax_t>(*value);
}

/// What the control group (version 2) of this process and those above it leave.
std::optional<std::uintmax_t> control_group(const fs::path& root) {
  std::ifstream file(root / "proc/self/cgroup");
  std::string line;
  std::optional<std::uintmax_t> least;
  while (std::getline(file, line)) {
    if (!line.starts_with("0::/")) continue;
    const fs::path top = root / "sys/fs/cgroup";
    fs::path group = top / line.substr(4);
    while (true) {
      const auto limit = number_in(group / "memory.max");
      const auto used = number_in(group / "memory.current");
      if (limit && used) {
        const std::uintmax_t left = *limit > *used ? *limit - *used : 0;
        least = std::min(least.value_or(left), left);
      }
      if (group == top || !group.has_relative_path() || group == group.parent_path()) break;
      group = group.parent_path();
    }
  }
  return least;
}

/// Voxels by the header; nothing when it cannot be read.
std::optional<std::uintmax_t> voxels_of(const fs::path& path) {
  try {
    return static_cast<std::uintmax_t>(read_header(path).geometry.voxels());
  } catch (const core::InputError&) {
    return std::nullopt;
  }
}

std::uintmax_t product(const Shape& shape, std::int64_t margin = 0) {
  std::uintmax_t result = 1;
  for (const std::int64_t length : shape)
    result *= static_cast<std::uintmax_t>(length + 2 * margin);
  return result;
}

}  // namespace

std::uintmax_t available_memory(const fs::path& root) {
  const auto free = meminfo(root);
  const auto allowed = control_group(root);
  if (free && allowed) return std::min(*free, *allowed);
  if (free) return *free;
  return allowed.value_or(4096 * kMiB);
}

namespace {

/// N4: the field on the scan's grid, with its logarithm and the mask, per voxel.
constexpr std::uintmax_t kBiasBytes = 24;
/// Sample points and working grids of the deformable stage.
constexpr std::uintmax_t kDeformableBytes = 96 * kMiB;
/// Labels of a head on a grid of 1 mm.
constexpr std::uintmax_t kDeformedAtlasBytes = 48 * kMiB;

}  // namespace

std::uintmax_t memory_need(const ScanInput& input, const PrepareOptions& options,
                           const std::vector<PreprocessingOptions>& regions) {
  std::uintmax_t need = 56 * kMiB;
  const auto add = [&need](const fs::path& path, std::uintmax_t bytes_per_voxel) {
    const auto voxels = voxels_of(path);
    need += voxels ? *voxels * bytes_per_voxel : kUnknownScan;
  };
  add(input.scan, 10);
  const bool biased = std::any_of(regions.begin(), regions.end(), [](const auto& region) {
    return region.bias_correction == "n4";
  });
  if (biased) add(input.scan, kBiasBytes);
  if (options.atlas_registration == "deformable") {
    need += kDeformableBytes + kDeformedAtlasBytes * options.atlases.size();
  }
  if (!options.uses_atlas()) {
    if (options.labels_space == "t1w" && !input.t1w.empty()) add(input.t1w, 14);
    try {
      if (!options.white_matter.empty()) add(labels_of(input, options.white_matter), 8);
      add(input.labels.empty() ? labels_of(input, options.labels) : input.labels, 8);
    } catch (const core::Error&) {  // prepare_scan says what is wrong
    }
  }
  std::uintmax_t largest = 0;
  for (const PreprocessingOptions& region : regions) {
    const auto reach =
        region.dilation_voxels + static_cast<std::int64_t>(4.0 * region.sigma_voxels + 0.5) + 1;
    largest = std::max(largest, product(region.crop_voxels, reach));
    need += 10 * product(region.crop_voxels);
  }
  return need + 40 * largest;
}

int jobs_at_a_time(const std::vector<std::uintmax_t>& needs, int workers, std::uintmax_t budget) {
  std::vector<std::uintmax_t> sorted = needs;
  std::sort(sorted.begin(), sorted.end());
  int count = 0;
  std::uintmax_t sum = 0;
  for (const std::uintmax_t need : sorted) {
    sum += need;
    if (count == workers || sum > budget) break;
    ++count;
  }
  return std::max(1, count);
}

void run_within_memory(const std::vector<std::uintmax_t>& needs, int workers, std::uintmax_t budget,
                       const std::function<bool()>& stopped,
                       const std::function<void(std::size_t)>& work) {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t next = 0;
  std::size_t running = 0;
  std::uintmax_t taken = 0;
  std::exception_ptr error;
  const auto loop = [&] {
    std::unique_lock<std::mutex> lock(mutex);
    while (true) {
      changed.wait(lock, [&] {
        return next >= needs.size() || error || running == 0 ||
               (taken <= budget && needs[next] <= budget - taken);
      });
      if (next >= needs.size() || error || stopped()) break;
      const std::size_t job = next++;
      ++running;
      taken += needs[job];
      lock.unlock();
      std::exception_ptr thrown;
      try {
        work(job);
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      --running;
      taken -= needs[job];
      if (thrown && !error) error = thrown;
      changed.notify_all();
    }
    changed.notify_all();
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < workers; ++i) threads.emplace_back(loop);
  loop();
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace epvs::data
