// `epvs prepare` interrupted: stops, kills, full disks, failures, and what goes on from there.
#include <sys/mount.h>

#include <cerrno>
#include <cstring>

#include "core/files.h"
#include "core/table.h"
#include "data/cohort/cohort.h"
#include "data/formats/nifti.h"
#include "tests/cli/prepare_fixture.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using data::Volume;
using tests::CommandResult;
using tests::Prepare;
using tests::run_epvs;

TEST_F(Prepare, AKilledRunKeepsItsFinishedScans) {
  for (int i = 1; i <= 6; ++i) add("sub-0" + std::to_string(i));
  const pid_t child = start({"--threads", "1"});
  wait_for_a_part();
  ::kill(child, SIGKILL);
  ASSERT_EQ(wait_for(child), 128 + SIGKILL);
  ASSERT_FALSE(fs::exists(folder_ / "out.h5"));
  const std::size_t kept = finished_parts();
  ASSERT_GE(kept, 1U);
  ASSERT_LT(kept, 6U);
  // The control: parts that were made otherwise do not count.
  fs::copy(folder_ / "out.h5.parts", folder_ / "other.h5.parts");
  std::vector<std::string> other = arguments({"--sigma-voxels", "1.5"});
  other[2] = "other.h5";
  const CommandResult changed = run_epvs(other, folder_.path());
  tests::expect_result(changed, 2, {});  // an option given twice
  other = arguments();
  other[2] = "other.h5";
  other.back() = "1.5";
  const CommandResult fresh = run_epvs(other, folder_.path());
  tests::expect_result(fresh, 0, {});
  EXPECT_EQ(fresh.err.find("are kept"), std::string::npos) << fresh.err;

  const CommandResult again = prepare();
  tests::expect_result(again, 0,
                       {std::to_string(kept) + " of 6 scans were finished by an earlier run"});
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").rows("bg").size(), 6U);
  EXPECT_EQ(core::Table::read(folder_ / "out_qc/qc.tsv").rows(), 6U);
}

TEST_F(Prepare, TermStopsAfterTheScanInWork) {
  for (int i = 1; i <= 6; ++i) add("sub-0" + std::to_string(i));
  const pid_t child = start({"--threads", "1"});
  wait_for_a_part();
  ::kill(child, SIGTERM);
  EXPECT_EQ(wait_for(child), 143);
  EXPECT_NE(core::read_text(folder_ / "err").find("run the same command again"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));
  tests::expect_result(prepare(), 0, {"were finished by an earlier run"});
}

TEST_F(Prepare, AfterAFailureOnlyTheMendedScanIsPrepared) {
  for (int i = 1; i <= 3; ++i) add("sub-0" + std::to_string(i));
  const Volume<float> good = noise(grid_);
  write(scan_path("sub-02"), Volume<float>(grid_, 5.0F));
  tests::expect_result(prepare(), 4,
                       {"1 of 3 scans failed: sub-02", "failed.tsv", "--force", "out.h5.parts"});
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").rows("bg").size(), 2U);
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").provenance().at("failed").size(), 1U);
  EXPECT_EQ(finished_parts(), 2U);
  // Another option: nothing that is there fits.
  std::vector<std::string> other = arguments({"--force"});
  std::replace(other.begin(), other.end(), std::string("1"), std::string("1.5"));  // --sigma-voxels
  const CommandResult changed = run_epvs(other, folder_.path());
  tests::expect_result(changed, 4, {});
  EXPECT_EQ(changed.err.find("are kept ("), std::string::npos) << changed.err;
  tests::expect_result(prepare({"--force"}), 4, {"1 of 3 scans failed"});

  write(scan_path("sub-02"), good);
  tests::expect_result(prepare({"--force"}), 0,
                       {"2 of 3 scans were finished by an earlier run and are kept"});
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").rows("bg").size(), 3U);
  EXPECT_FALSE(fs::exists(folder_ / "out.h5.parts"));
  EXPECT_FALSE(fs::exists(folder_ / "out_qc/failed.tsv"));
  // The same as one that was prepared at once.
  fs::rename(folder_ / "out.h5", folder_ / "mended.h5");
  tests::expect_result(prepare(), 0, {});
  const data::CohortReader mended(folder_ / "mended.h5");
  const data::CohortReader at_once(folder_ / "out.h5");
  EXPECT_EQ(mended.fingerprint(), at_once.fingerprint());
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_EQ(mended.read_roi("bg", row), at_once.read_roi("bg", row));
  }
}

TEST_F(Prepare, TwoOutputsInOneFolderHaveTheirOwnFailures) {
  add("sub-01");
  add("sub-02");
  write(scan_path("sub-02"), Volume<float>(grid_, 5.0F));
  tests::expect_result(prepare(), 4, {});
  std::vector<std::string> other = arguments({"--participant-label", "01"});
  other[2] = "other.h5";
  tests::expect_result(run_epvs(other, folder_.path()), 0, {});
  EXPECT_TRUE(fs::exists(folder_ / "out_qc/failed.tsv"));
  EXPECT_FALSE(fs::exists(folder_ / "other_qc/failed.tsv"));
}

TEST_F(Prepare, ARegionThatCannotBeMadeLeavesTheOthers) {
  add("sub-01");
  add("sub-02");
  const std::vector<std::string> both = {"--regions", "bg,hippocampi"};  // there is no label 17, 53
  tests::expect_result(prepare(both), 4,
                       {"sub-01 hippocampi", "labels/sub-01.nii.gz", "17,53",
                        "2 regions of other scans failed: sub-01 hippocampi, sub-02"});
  const core::Table failed = core::Table::read(folder_ / "out_qc/failed.tsv");
  ASSERT_EQ(failed.rows(), 2U);
  EXPECT_EQ(failed.cell(1, "participant_id"), "sub-02");
  EXPECT_EQ(failed.cell(1, "region"), "hippocampi");
  EXPECT_NE(failed.cell(1, "hint").find("add an atlas"), std::string::npos);
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_EQ(reader.rows("bg").size(), 2U);
  EXPECT_EQ(reader.regions(), std::vector<std::string>{"bg"});
  // Mended, it is made again; the other scan is too, for it still lacks the region.
  Volume<std::int32_t> mended = tests::block_labels(grid_);
  for (std::int32_t& label : mended.voxels) label = label == 11 ? 17 : label;
  add("sub-01", noise(grid_), mended);
  tests::expect_result(prepare({"--regions", "bg,hippocampi", "--force"}), 4,
                       {"1 regions of other scans failed: sub-02 hippocampi"});
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").rows("hippocampi").size(), 1U);
}

TEST_F(Prepare, ARealFullDiskIsARunError) {
  add("sub-01");
  const fs::path disk = folder_ / "disk";
  fs::create_directory(disk);
  // Room for the tables, not for the picture and the volumes.
  if (::mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
    EPVS_SKIP_WITHOUT("mount", std::string("no small file system could be mounted (that needs "
                                           "root): ") +
                                   std::strerror(errno));
  }
  std::vector<std::string> small = arguments();
  small[2] = "disk/out.h5";
  const CommandResult result = run_epvs(small, folder_.path());
  const bool there = fs::exists(disk / "out.h5");
  ::umount(disk.c_str());
  tests::expect_result(result, 1, {"No space left on device"});
  EXPECT_FALSE(there);
}

TEST_F(Prepare, AFullDiskIsARunError) {
  add("sub-01");
  const pid_t child = start({"--threads", "1"}, 4096);  // no file may grow beyond 4 KiB
  EXPECT_EQ(wait_for(child), 1) << core::read_text(folder_ / "err");
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));
  EXPECT_EQ(finished_parts(), 0U);
  tests::expect_result(prepare(), 0, {});
}

TEST_F(Prepare, ThreadsDoNotChangeTheResult) {
  for (int i = 1; i <= 3; ++i) add("sub-0" + std::to_string(i));
  tests::expect_result(prepare({"--threads", "1"}), 0, {});
  fs::rename(folder_ / "out.h5", folder_ / "one.h5");
  tests::expect_result(prepare({"--threads", "2"}), 0, {});
  const data::CohortReader one(folder_ / "one.h5");
  const data::CohortReader two(folder_ / "out.h5");
  EXPECT_EQ(one.fingerprint(), two.fingerprint());
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_EQ(one.rows("bg")[row].participant_id, two.rows("bg")[row].participant_id);
    EXPECT_EQ(one.read_roi("bg", row), two.read_roi("bg", row));
  }
}

}  // namespace
}  // namespace epvs
