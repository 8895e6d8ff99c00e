#include "models/cohort_tensors.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "models/torch_setup.h"

namespace epvs::models {

using at::Tensor;

namespace {

/// From pinned memory, so that the copy runs beside kernels of other streams.
Tensor copied(const Tensor& volume, c10::Device device) {
  if (volume.device().type() == device.type()) return volume;
  return (device.is_cuda() ? volume.pin_memory() : volume).to(device, /*non_blocking=*/true);
}

c10::Stream current_stream(c10::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

}  // namespace

Tensor VolumeSource::batch(const std::vector<std::size_t>& rows, c10::Device device) const {
  EPVS_ASSERT(!rows.empty());
  if (rows.size() == 1) return copied(volume(rows.front()), device);
  std::vector<Tensor> volumes;
  for (const std::size_t row : rows) volumes.push_back(copied(volume(row), device));
  return at::cat(volumes, 0);
}

CohortSource::CohortSource(const data::CohortReader& reader, std::string region,
                           std::size_t cache_bytes, c10::Device device)
    : reader_(reader), region_(std::move(region)), rows_(reader.rows(region_)), device_(device) {
  const auto& [x, y, z] = reader.options(region_).crop_voxels;
  zyx_ = {z, y, x};
  const auto volume_bytes = static_cast<std::size_t>(x * y * z) * sizeof(float);
  most_kept_ = std::min(size(), cache_bytes / volume_bytes);
  kept_.resize(size());
  if (most_kept_ * volume_bytes > free_memory(device) / 2) device_ = c10::kCPU;
}

std::string CohortSource::name(std::size_t row) const {
  const data::CohortRow& r = rows_.at(row);
  return r.session_id.empty() ? r.participant_id : r.participant_id + " " + r.session_id;
}

Tensor CohortSource::volume(std::size_t row) const {
  EPVS_ASSERT(row < size());
  bool has_room = false;
  {
    const std::lock_guard lock(mutex_);
    if (kept_[row].defined()) return kept_[row];
    has_room = kept_count_ < most_kept_;
  }
  if (!has_room) return read(row);
  const Tensor volume = copied(read(row), device_);
  // Other threads read it in other streams.
  if (device_.is_cuda()) current_stream(device_).synchronize();
  const std::lock_guard lock(mutex_);
  if (!kept_[row].defined() && kept_count_ < most_kept_) {
    kept_[row] = volume;
    ++kept_count_;
  }
  return volume;
}

Tensor CohortSource::read(std::size_t row) const {
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
  return at::from_blob(voxels.data(), {1, 1, z, y, x}, at::kFloat).clone();
}

BatchLoader::BatchLoader(const VolumeSource& source, std::vector<std::vector<std::size_t>> batches,
                         c10::Device device)
    : BatchLoader(source, std::move(batches), device,
                  device.is_cuda() ? std::max<std::size_t>(2, at::get_num_threads()) : 2) {}

BatchLoader::BatchLoader(const VolumeSource& source, std::vector<std::vector<std::size_t>> batches,
                         c10::Device device, std::size_t ahead)
    : source_(source), batches_(std::move(batches)), device_(device) {
  for (std::size_t i = 0; i < std::max<std::size_t>(ahead, 1); ++i) start_one();
}

void BatchLoader::start_one() {
  if (started_ == batches_.size()) return;
  running_.push_back(std::async(std::launch::async, [this, &rows = batches_[started_]] {
    if (device_.is_cpu()) return Batch{rows, source_.batch(rows)};
    const c10::impl::VirtualGuardImpl gpu(device_.type());
    const c10::StreamGuard own(gpu.getStreamFromGlobalPool(device_));
    const Batch batch{rows, source_.batch(rows, device_)};
    own.current_stream().synchronize();
    return batch;
  }));
  ++started_;
}

std::optional<Batch> BatchLoader::next() {
  if (running_.empty()) return std::nullopt;
  std::future<Batch> first = std::move(running_.front());
  running_.pop_front();
  start_one();
  Batch batch = first.get();
  // Its memory, taken in the stream of the copy, is in use until the kernels of this one are done.
  if (!device_.is_cpu()) batch.volumes.record_stream(current_stream(device_));
  return batch;
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
