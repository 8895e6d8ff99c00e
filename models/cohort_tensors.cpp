#include "models/cohort_tensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace epvs::models {

using at::Tensor;

Tensor VolumeSource::batch(const std::vector<std::size_t>& rows) const {
  EPVS_ASSERT(!rows.empty());
  if (rows.size() == 1) return volume(rows.front());
  std::vector<Tensor> volumes;
  for (const std::size_t row : rows) volumes.push_back(volume(row));
  return at::cat(volumes, 0);
}

CohortSource::CohortSource(const data::CohortReader& reader, std::string region,
                           std::size_t cache_bytes)
    : reader_(reader), region_(std::move(region)), rows_(reader.rows(region_)) {
  const auto& [x, y, z] = reader.options(region_).crop_voxels;
  zyx_ = {z, y, x};
  const auto bytes = static_cast<std::size_t>(x * y * z) * sizeof(float) * size();
  if (bytes <= cache_bytes) kept_.resize(size());
}

std::string CohortSource::name(std::size_t row) const {
  const data::CohortRow& r = rows_.at(row);
  return r.session_id.empty() ? r.participant_id : r.participant_id + " " + r.session_id;
}

Tensor CohortSource::volume(std::size_t row) const {
  EPVS_ASSERT(row < size());
  if (!kept_.empty()) {
    const std::lock_guard lock(mutex_);
    if (kept_[row].defined()) return kept_[row];
  }
  std::vector<float> voxels;
  try {
    voxels = reader_.read_roi(region_, row);
  } catch (const core::Error& error) {
    throw core::InputError(name(row) + ": " + error.what(), error.hint());
  }
  const auto [z, y, x] = zyx_;
  if (std::ssize(voxels) != z * y * x) {
    throw core::InputError(fmt::format("{}: the volume has {} voxels, the region {} has {}x{}x{}",
                                       name(row), voxels.size(), region_, x, y, z));
  }
  if (!std::ranges::all_of(voxels, [](float v) { return std::isfinite(v); })) {
    throw core::InputError(
        fmt::format("{}: the volume of the region {} holds a value that is not finite", name(row),
                    region_),
        "prepare this participant again");
  }
  Tensor tensor = at::from_blob(voxels.data(), {1, 1, z, y, x}, at::kFloat).clone();
  if (!kept_.empty()) {
    const std::lock_guard lock(mutex_);
    kept_[row] = tensor;
  }
  return tensor;
}

BatchLoader::BatchLoader(const VolumeSource& source, std::vector<std::vector<std::size_t>> batches,
                         std::size_t ahead)
    : source_(source), batches_(std::move(batches)) {
  for (std::size_t i = 0; i < std::max<std::size_t>(ahead, 1); ++i) start_one();
}

void BatchLoader::start_one() {
  if (started_ == batches_.size()) return;
  running_.push_back(std::async(std::launch::async, [this, &rows = batches_[started_]] {
    return Batch{rows, source_.batch(rows)};
  }));
  ++started_;
}

std::optional<Batch> BatchLoader::next() {
  if (running_.empty()) return std::nullopt;
  std::future<Batch> first = std::move(running_.front());
  running_.pop_front();
  start_one();
  return first.get();
}

std::vector<std::vector<std::size_t>> make_batches(const std::vector<std::size_t>& rows,
                                                   std::size_t size) {
  EPVS_ASSERT(size > 0);
  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t i = 0; i < rows.size(); i += size) {
    const std::size_t end = std::min(i + size, rows.size());
    batches.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(i),
                         rows.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return batches;
}

}  // namespace epvs::models
