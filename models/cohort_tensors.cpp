#include "models/cohort_tensors.h"

#include <ATen/ATen.h>

#include <fmt/format.h>

#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <variant>

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

struct CohortSource::State {
  const data::CohortReader* reader;
  std::string region;
  const std::vector<data::CohortRow>* rows;
  std::array<std::int64_t, 3> zyx;
  bool keep = false;
  std::mutex mutex;
  std::vector<Tensor> kept;
};

CohortSource::CohortSource(const data::CohortReader& reader, std::string region,
                           std::size_t cache_bytes)
    : state_(std::make_unique<State>()) {
  const data::PreprocessingOptions& options = reader.options(region);
  state_->reader = &reader;
  state_->rows = &reader.rows(region);
  state_->region = std::move(region);
  state_->zyx = {options.crop_voxels[2], options.crop_voxels[1], options.crop_voxels[0]};
  const auto voxels = static_cast<std::size_t>(state_->zyx[0] * state_->zyx[1] * state_->zyx[2]);
  state_->keep = voxels * sizeof(float) * state_->rows->size() <= cache_bytes;
  if (state_->keep) state_->kept.resize(state_->rows->size());
}

CohortSource::~CohortSource() = default;

std::size_t CohortSource::size() const {
  return state_->rows->size();
}

std::array<std::int64_t, 3> CohortSource::zyx() const {
  return state_->zyx;
}

std::string CohortSource::name(std::size_t row) const {
  const data::CohortRow& r = state_->rows->at(row);
  return r.session_id.empty() ? r.participant_id : r.participant_id + " " + r.session_id;
}

Tensor CohortSource::volume(std::size_t row) const {
  EPVS_ASSERT(row < size());
  if (state_->keep) {
    const std::lock_guard lock(state_->mutex);
    if (state_->kept[row].defined()) return state_->kept[row];
  }
  std::vector<float> voxels;
  try {
    voxels = state_->reader->read_roi(state_->region, row);
  } catch (const core::Error& error) {
    throw core::InputError(name(row) + ": " + error.what(), error.hint());
  }
  const auto [z, y, x] = state_->zyx;
  if (static_cast<std::int64_t>(voxels.size()) != z * y * x) {
    throw core::InputError(fmt::format("{}: the volume has {} voxels, the region {} has {}x{}x{}",
                                       name(row), voxels.size(), state_->region, x, y, z));
  }
  for (const float v : voxels) {
    if (!std::isfinite(v)) {
      throw core::InputError(
          fmt::format("{}: the volume of the region {} holds a value that is not finite", name(row),
                      state_->region),
          "prepare this participant again");
    }
  }
  Tensor tensor = at::from_blob(voxels.data(), {1, 1, z, y, x}, at::kFloat).clone();
  if (state_->keep) {
    const std::lock_guard lock(state_->mutex);
    state_->kept[row] = tensor;
  }
  return tensor;
}

struct BatchLoader::State {
  const VolumeSource* source;
  std::vector<std::vector<std::size_t>> batches;
  std::size_t ahead;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::variant<Batch, std::exception_ptr>> ready;
  std::size_t taken = 0;
  bool stop = false;
  std::thread thread;

  void read_all() {
    for (const std::vector<std::size_t>& rows : batches) {
      std::variant<Batch, std::exception_ptr> result;
      try {
        result = Batch{rows, source->batch(rows)};
      } catch (...) {
        result = std::current_exception();
      }
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return stop || ready.size() < ahead; });
      if (stop) return;
      ready.push_back(std::move(result));
      changed.notify_all();
    }
  }
};

BatchLoader::BatchLoader(const VolumeSource& source, std::vector<std::vector<std::size_t>> batches,
                         std::size_t ahead)
    : state_(std::make_unique<State>()) {
  state_->source = &source;
  state_->batches = std::move(batches);
  state_->ahead = std::max<std::size_t>(ahead, 1);
  state_->thread = std::thread([state = state_.get()] { state->read_all(); });
}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

std::optional<Batch> BatchLoader::next() {
  std::unique_lock lock(state_->mutex);
  if (state_->taken == state_->batches.size()) return std::nullopt;
  state_->changed.wait(lock, [this] { return !state_->ready.empty(); });
  std::variant<Batch, std::exception_ptr> result = std::move(state_->ready.front());
  state_->ready.pop_front();
  ++state_->taken;
  lock.unlock();
  state_->changed.notify_all();
  if (auto* error = std::get_if<std::exception_ptr>(&result)) std::rethrow_exception(*error);
  return std::get<Batch>(std::move(result));
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
