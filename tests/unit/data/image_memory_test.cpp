// What memory there is and what a scan needs, by its headers.
#include "core/files.h"
#include "data/formats/nifti.h"
#include "data/prepare/memory_budget.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

using tests::TemporaryFolder;

TEST(Memory, AvailableIsWhatKernelAndControlGroupLeave) {
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

TEST(Memory, NeedGrowsWithTheGridsOfTheFiles) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const Shape& shape) {
    Geometry geometry;
    geometry.shape = shape;
    write_nifti(folder / name, Volume<std::uint8_t>(geometry));
    return folder / name;
  };
  PrepareOptions options;
  options.labels_space = LabelsSpace::kT1w;
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
  EXPECT_EQ(base, 56 * mib + (10U + 24U) * 50000U + 8U * 16000U + 40U * box + 10U * 1000U);
  input.t1w = write("t1.nii.gz", {64, 64, 20});
  EXPECT_EQ(memory_need(input, options, {region}), base + (14U + 24U) * 64U * 64U * 20U);
  // One more region costs its crop; the work is done on one at a time.
  EXPECT_EQ(memory_need(input, options, {region, region}),
            memory_need(input, options, {region}) + 10000U);
  // By an atlas neither T1w nor labels are read.
  options.atlases = {"atlas.nii.gz"};
  EXPECT_EQ(memory_need(input, options, {region}), base - 8U * 16000U);
  input.scan = folder / "gone.nii.gz";
  EXPECT_EQ(memory_need(input, options, {region}), base - 8U * 16000U - 34U * 50000U + 1024U * mib);
}

}  // namespace
}  // namespace epvs::data
