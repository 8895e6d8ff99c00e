// Rows of a cohort as tensors, read ahead in threads and copied to a GPU while it computes. The
// order of what comes out is the order asked for; it never depends on timing.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "data/cohort/cohort.h"

namespace epvs::models {

/// Volumes by number. volume() may be called from several threads.
class VolumeSource {
 public:
  virtual ~VolumeSource() = default;
  virtual std::size_t size() const = 0;
  /// Voxels along z, y, x.
  virtual std::array<std::int64_t, 3> zyx() const = 0;
  /// (1, 1, Z, Y, X), float32, on the CPU or where the source keeps it. The caller must not change
  /// it in place.
  virtual at::Tensor volume(std::size_t row) const = 0;
  /// "sub-01 ses-2", for messages.
  virtual std::string name(std::size_t row) const = 0;

  /// (N, 1, Z, Y, X) of these rows, in this order, on `device`. Throws InputError naming the row.
  at::Tensor batch(const std::vector<std::size_t>& rows, c10::Device device = c10::kCPU) const;
};

/// One region of a cohort file. `reader` must outlive it.
class CohortSource : public VolumeSource {
 public:
  /// Volumes are kept after their first reading as far as `cache_bytes` reach, the others are read
  /// each time. They are kept on `device` where that takes at most half of its free memory (else on
  /// the CPU). Throws UsageError naming the regions that exist.
  CohortSource(const data::CohortReader& reader, std::string region, std::size_t cache_bytes = 0,
               c10::Device device = c10::kCPU);

  std::size_t size() const override { return rows_.size(); }
  std::array<std::int64_t, 3> zyx() const override { return zyx_; }
  /// Throws InputError naming participant and session when the row cannot be read or holds a value
  /// that is not finite.
  at::Tensor volume(std::size_t row) const override;
  std::string name(std::size_t row) const override;
  /// How many volumes are kept at most, and where.
  std::size_t most_kept() const { return most_kept_; }
  c10::Device device() const { return device_; }

 private:
  at::Tensor read(std::size_t row) const;

  const data::CohortReader& reader_;
  std::string region_;
  const std::vector<data::CohortRow>& rows_;
  std::array<std::int64_t, 3> zyx_;
  c10::Device device_;
  std::size_t most_kept_ = 0;
  mutable std::mutex mutex_;
  mutable std::size_t kept_count_ = 0;
  mutable std::vector<at::Tensor> kept_;  ///< by row; undefined: not kept
};

/// Volumes in memory: volumes is (N, 1, Z, Y, X).
class MemorySource : public VolumeSource {
 public:
  explicit MemorySource(at::Tensor volumes) : volumes_(std::move(volumes)) {}
  std::size_t size() const override { return static_cast<std::size_t>(volumes_.size(0)); }
  std::array<std::int64_t, 3> zyx() const override {
    return {volumes_.size(2), volumes_.size(3), volumes_.size(4)};
  }
  at::Tensor volume(std::size_t row) const override {
    return volumes_.narrow(0, static_cast<std::int64_t>(row), 1);
  }
  std::string name(std::size_t row) const override { return "volume " + std::to_string(row); }

 private:
  at::Tensor volumes_;
};

struct Batch {
  std::vector<std::size_t> rows;
  at::Tensor volumes;  ///< (N, 1, Z, Y, X), float32, on the loader's device
};

/// Reads batches in the given order, at most `ahead` of them before they are asked for, and copies
/// them to a GPU from pinned memory and beside its computing.
class BatchLoader {
 public:
  /// `source` must outlive the loader. A GPU is so fast that every thread reads ahead for it.
  BatchLoader(const VolumeSource& source, std::vector<std::vector<std::size_t>> batches,
              c10::Device device = c10::kCPU);
  BatchLoader(const VolumeSource& source, std::vector<std::vector<std::size_t>> batches,
              c10::Device device, std::size_t ahead);

  /// The next batch, or nothing after the last. Throws what reading it threw; the call after that
  /// goes on with the batch behind it.
  std::optional<Batch> next();

 private:
  void start_one();

  const VolumeSource& source_;
  std::vector<std::vector<std::size_t>> batches_;
  c10::Device device_;
  std::size_t started_ = 0;
  std::deque<std::future<Batch>> running_;  ///< their destructors wait for the threads
};

/// `rows` cut into batches of `size`, the last one shorter where they do not divide.
std::vector<std::vector<std::size_t>> make_batches(const std::vector<std::size_t>& rows,
                                                   std::size_t size);

}  // namespace epvs::models
