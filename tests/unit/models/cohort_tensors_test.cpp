#include "models/cohort_tensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "core/error.h"
#include "data/cohort/cohort.h"
#include "models/torch_setup.h"
#include "tests/support/damaged_cohort.h"
#include "tests/support/devices.h"
#include "tests/support/test_support.h"

namespace epvs::models {
namespace {

using at::Tensor;
using tests::expect_error;
using tests::TemporaryFolder;

/// Three scans of 5x4x3 voxels (x, y, z); voxel i of scan n is n + i / 100.
void write_cohort(const std::filesystem::path& path) {
  data::PreprocessingOptions options;
  options.crop_voxels = {5, 4, 3};
  data::CohortWriter writer(path, {options}, core::Json::object());
  for (int n = 0; n < 3; ++n) {
    data::CohortRow row;
    row.participant_id = fmt::format("sub-0{}", n + 1);
    row.session_id = n == 1 ? "ses-2" : "";
    row.roi.shape = {5, 4, 3};
    row.source.shape = {5, 4, 3};
    data::CohortVolumes volumes;
    for (int i = 0; i < 60; ++i) {
      volumes.roi.push_back(static_cast<float>(n) + static_cast<float>(i) / 100.0F);
    }
    volumes.hard.assign(60, 1);
    volumes.soft.assign(60, 1.0F);
    writer.append("bg", row, volumes);
  }
  writer.finish();
}

TEST(CohortSourceTest, RowsBecomeTensorsWithXFastest) {
  const TemporaryFolder folder;
  write_cohort(folder / "c.h5");
  const data::CohortReader reader(folder / "c.h5");
  const std::size_t volume_bytes = 5 * 4 * 3 * sizeof(float);
  for (const std::size_t kept : {0U, 2U, 3U}) {
    const CohortSource source(reader, "bg", kept == 3 ? 1 << 20 : kept * volume_bytes + 1);
    ASSERT_EQ(source.size(), 3U);
    EXPECT_EQ(source.most_kept(), kept);
    EXPECT_EQ(source.zyx(), (std::array<std::int64_t, 3>{3, 4, 5}));
    EXPECT_EQ(source.name(1), "sub-02 ses-2");
    EXPECT_EQ(source.name(2), "sub-03");
    for (int again = 0; again < 2; ++again) {
      const Tensor batch = source.batch({2, 0});
      EXPECT_EQ(batch.sizes(), at::IntArrayRef({2, 1, 3, 4, 5}));
      EXPECT_FLOAT_EQ((batch[0][0][1][2][3].item<float>()), 2.0F + (20 + 10 + 3) / 100.0F);
      EXPECT_FLOAT_EQ((batch[1][0][2][0][1].item<float>()), (40 + 1) / 100.0F);
    }
  }
  expect_error<core::InputError>([&] { CohortSource(reader, "midbrain"); }, {"midbrain", "bg"});
}

TEST(CohortSourceTest, WhatFitsIsReadOnceTheRestEachTime) {
  const TemporaryFolder folder;
  write_cohort(folder / "c.h5");
  const data::CohortReader reader(folder / "c.h5");
  const CohortSource source(reader, "bg", 2 * 5 * 4 * 3 * sizeof(float));
  const auto address = [&](std::size_t row) { return source.volume(row).data_ptr(); };
  for (const std::size_t row : {2U, 0U, 1U}) source.volume(row);
  EXPECT_EQ(address(2), address(2));
  EXPECT_EQ(address(0), address(0));
  const Tensor third = source.volume(1);
  EXPECT_NE(third.data_ptr(), address(1)) << "three are kept in the memory of two";
  EXPECT_TRUE(at::equal(third, source.volume(1)));
}

TEST(CohortSourceTest, AVoxelThatIsNotFiniteIsNamed) {
  const TemporaryFolder folder;
  write_cohort(folder / "c.h5");
  tests::put_nan(folder / "c.h5", "bg", 2);
  const data::CohortReader reader(folder / "c.h5");
  const CohortSource source(reader, "bg");
  EXPECT_NO_THROW(source.volume(1));
  expect_error<core::InputError>([&] { source.volume(2); }, {"sub-03", "not finite"});
}

/// Rows are slow and fast by turns, and row 5 cannot be read.
class UnevenSource : public MemorySource {
 public:
  using MemorySource::MemorySource;
  Tensor volume(std::size_t row) const override {
    std::this_thread::sleep_for(std::chrono::milliseconds(row % 3 == 0 ? 5 : 0));
    ++reads;
    if (row == 5) throw core::InputError("row 5 is broken");
    return MemorySource::volume(row);
  }
  mutable std::atomic<int> reads = 0;
};

class BatchLoaderTest : public tests::OnDevice {};
INSTANTIATE_TEST_SUITE_P(Devices, BatchLoaderTest, tests::kDevices, tests::DeviceName());

TEST_P(BatchLoaderTest, KeepsTheOrderAndGoesOnAfterABadBatch) {
  const UnevenSource source(at::arange(8, at::kFloat).view({8, 1, 1, 1, 1}));
  const auto batches = make_batches({7, 3, 0, 5, 2, 6, 1}, 2);
  ASSERT_EQ(batches.size(), 4U);
  EXPECT_EQ(batches[3], std::vector<std::size_t>{1});
  for (const std::size_t ahead : {1U, 3U, 100U}) {
    BatchLoader loader(source, batches, device(), ahead);
    for (std::size_t b = 0; b < batches.size(); ++b) {
      if (b == 1) {
        expect_error<core::InputError>([&] { loader.next(); }, {"row 5"});
        continue;
      }
      const std::optional<Batch> batch = loader.next();
      ASSERT_TRUE(batch.has_value());
      EXPECT_EQ(batch->rows, batches[b]);
      EXPECT_EQ(batch->volumes.device().type(), GetParam());
      for (std::size_t i = 0; i < batch->rows.size(); ++i) {
        EXPECT_EQ(batch->volumes[static_cast<std::int64_t>(i)].item<float>(),
                  static_cast<float>(batch->rows[i]));
      }
    }
    EXPECT_FALSE(loader.next().has_value());
  }
}

TEST_P(BatchLoaderTest, VolumesKeptOnTheDeviceAreThoseOfTheFile) {
  const TemporaryFolder folder;
  write_cohort(folder / "c.h5");
  const data::CohortReader reader(folder / "c.h5");
  const CohortSource plain(reader, "bg");
  const CohortSource kept(reader, "bg", 1 << 20, device());
  EXPECT_EQ(kept.device().type(), free_memory(device()) > 0 ? GetParam() : c10::kCPU);
  for (int epoch = 0; epoch < 3; ++epoch) {
    BatchLoader loader(kept, make_batches({1, 2, 0}, 2), device());
    while (const std::optional<Batch> batch = loader.next()) {
      EXPECT_TRUE(at::equal(batch->volumes.cpu(), plain.batch(batch->rows)));
    }
  }
}

TEST_P(BatchLoaderTest, ReadsNoFurtherAheadThanAskedAndStopsWhenDropped) {
  const UnevenSource source(at::zeros({8, 1, 1, 1, 1}));
  {
    BatchLoader loader(source, make_batches({0, 1, 2, 3, 4, 6, 7}, 1), device(), 2);
    ASSERT_TRUE(loader.next().has_value());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_LE(source.reads.load(), 4);  // one taken, two ready, one in hand
  }
  EXPECT_LE(source.reads.load(), 5);
}

}  // namespace
}  // namespace epvs::models
