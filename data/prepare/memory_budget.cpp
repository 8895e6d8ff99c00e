#include "data/prepare/memory_budget.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

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
/// The program elastix, per voxel of both scans.
constexpr std::uintmax_t kElastixBytes = 24;
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
  add(input.scan, 10 + (options.registers() ? kElastixBytes : 0));
  const bool biased = std::any_of(regions.begin(), regions.end(), [](const auto& region) {
    return region.bias_correction == BiasCorrection::kN4;
  });
  if (biased) add(input.scan, kBiasBytes);
  if (options.atlas_registration == AtlasRegistration::kDeformable) {
    need += kDeformedAtlasBytes * options.atlases.size();
  }
  if (!options.template_scan.empty()) add(options.template_scan, kElastixBytes);
  if (!options.uses_atlas()) {
    if (options.labels_space == LabelsSpace::kT1w && !input.t1w.empty()) {
      add(input.t1w, 14 + kElastixBytes);
    }
    try {
      if (!options.white_matter.empty()) add(labels_of(input, options.white_matter), 8);
      add(label_file(input, options.labels), 8);
    } catch (const core::Error&) {  // prepare_scan says what is wrong
    }
  }
  std::uintmax_t largest = 0;
  for (const PreprocessingOptions& region : regions) {
    largest = std::max(largest, product(region.crop_voxels, region.reach_voxels() + 1));
    need += 10 * product(region.crop_voxels);
  }
  return need + 40 * largest;
}

Share share_of(const std::vector<ScanInput>& inputs, const PrepareOptions& options,
               const std::vector<PreprocessingOptions>& regions, int threads, core::Log& log) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  const std::uintmax_t budget = available_memory() / 10 * 8;
  std::uintmax_t need = 1;
  for (const ScanInput& input : inputs) need = std::max(need, memory_need(input, options, regions));
  Share share;
  const auto fitting = static_cast<int>(std::min<std::uintmax_t>(budget / need, 1U << 20U));
  share.scans_at_a_time =
      std::clamp(std::min(fitting, threads), 1, std::max(1, static_cast<int>(inputs.size())));
  share.threads_per_scan = std::max(1, threads / share.scans_at_a_time);
  if (need > budget) {
    log.warning("a scan needs about {:.1f} GiB of memory, more than the {:.1f} GiB there are",
                static_cast<double>(need) / kGiB, static_cast<double>(budget) / kGiB);
  }
  return share;
}

}  // namespace epvs::data
