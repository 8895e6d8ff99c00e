// `epvs prepare` as users meet it: both label routes, every bad input, stops, kills and
// continuations.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <thread>

#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "data/nifti/nifti.h"
#include "data/store/cohort.h"
#include "data/volume/way_back.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using data::Geometry;
using data::Shape;
using data::Volume;
using tests::block_labels;
using tests::centred_grid;
using tests::CommandResult;
using tests::run_epvs;

class Prepare : public testing::Test {
 protected:
  const Geometry grid_ = centred_grid({40, 40, 50}, {1, 1, 1});

  /// Different in every voxel, so that nothing is constant.
  static Volume<float> noise(const Geometry& geometry) {
    Volume<float> scan(geometry);
    for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
      scan.voxels[i] = static_cast<float>(100 + (i * 7919) % 1009);
    }
    return scan;
  }
  fs::path scan_path(const std::string& id) const {
    return folder_ / ("bids/" + id + "/anat/" + id + "_T2w.nii.gz");
  }
  fs::path label_path(const std::string& id) const {
    return folder_ / ("labels/" + id + ".nii.gz");
  }
  void add(const std::string& id, const Volume<float>& scan, const Volume<std::int32_t>& labels) {
    write(scan_path(id), scan);
    Volume<std::int16_t> small(labels.geometry);
    std::transform(labels.voxels.begin(), labels.voxels.end(), small.voxels.begin(),
                   [](std::int32_t label) { return static_cast<std::int16_t>(label); });
    write(label_path(id), small);
  }
  void add(const std::string& id) { add(id, noise(grid_), block_labels(grid_)); }
  template <class T>
  static void write(const fs::path& path, const Volume<T>& volume) {
    fs::create_directories(path.parent_path());
    data::write_nifti(path, volume);
  }

  /// The command line of the small cohort with `extra` options.
  std::vector<std::string> arguments(const std::vector<std::string>& extra = {}) const {
    std::vector<std::string> all = {"prepare",
                                    "bids",
                                    "out.h5",
                                    "--labels",
                                    "labels/{participant_id}.nii.gz",
                                    "--spacing-mm",
                                    "1,1,1",
                                    "--crop-voxels",
                                    "28,20,16",
                                    "--dilation-voxels",
                                    "2",
                                    "--sigma-voxels",
                                    "1"};
    all.insert(all.end(), extra.begin(), extra.end());
    return all;
  }
  CommandResult prepare(const std::vector<std::string>& extra = {}) const {
    return run_epvs(arguments(extra), folder_.path());
  }
  static void expect(const CommandResult& result, int exit_code,
                     const std::vector<std::string>& texts) {
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    for (const std::string& text : texts) {
      EXPECT_NE(result.err.find(text), std::string::npos) << "no '" << text << "' in\n"
                                                          << result.err;
    }
  }
  /// What failed.tsv says about a participant.
  std::string failure(const std::string& id) const {
    const core::Table table = core::Table::read(folder_ / "out_qc/failed.tsv");
    for (std::size_t row = 0; row < table.rows(); ++row) {
      if (table.cell(row, "participant_id") == id) {
        return table.cell(row, "error") + " " + table.cell(row, "hint");
      }
    }
    return "(not in failed.tsv)";
  }

  /// Starts epvs-prepare without waiting. `file_bytes` > 0 limits the size of its files.
  pid_t start(const std::vector<std::string>& extra, rlim_t file_bytes = 0) const {
    std::vector<std::string> texts = arguments(extra);
    texts[0] = EPVS_PREPARE;
    std::vector<char*> argv;
    for (std::string& text : texts) argv.push_back(text.data());
    argv.push_back(nullptr);
    const fs::path err = folder_ / "err";
    const pid_t child = ::fork();
    if (child != 0) return child;
    const int descriptor = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(descriptor, STDERR_FILENO);
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    if (file_bytes > 0) {
      const rlimit limit = {file_bytes, file_bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      std::signal(SIGXFSZ, SIG_IGN);  // writing then fails with an error instead
    }
    if (::chdir(folder_.path().c_str()) != 0) ::_exit(126);
    ::execv(EPVS_PREPARE, argv.data());
    ::_exit(127);
  }
  int wait_for(pid_t child) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::size_t finished_parts() const {
    std::size_t count = 0;
    const fs::path parts = folder_ / "out.h5.parts";
    if (!fs::exists(parts)) return 0;
    for (const auto& entry : fs::directory_iterator(parts)) {
      const std::string name = entry.path().filename().string();
      count += name.ends_with(".json") && name[0] != '.' ? 1U : 0U;
    }
    return count;
  }
  void wait_for_a_part() const {
    for (int i = 0; i < 3000 && finished_parts() == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_GT(finished_parts(), 0U);
  }

  tests::TemporaryFolder folder_;
};

TEST_F(Prepare, WritesCohortPicturesAndTables) {
  add("sub-01");
  add("sub-02");
  const CommandResult result = prepare({"--threads", "2"});
  expect(result, 0, {"2 scans"});
  EXPECT_NE(result.out.find("sub-02"), std::string::npos);
  const data::CohortReader reader(folder_ / "out.h5");
  ASSERT_EQ(reader.rows("bg").size(), 2U);
  const data::CohortRow& row = reader.rows("bg")[1];
  EXPECT_EQ(row.participant_id, "sub-02");
  EXPECT_EQ(row.region_volume_mm3, 2 * 6 * 12 * 8);
  EXPECT_TRUE(row.source.same_as(grid_));
  // The way back: the first voxel of the left caudate is voxel 10,12,10 of the scan.
  const std::vector<std::uint8_t> hard = reader.read_hard("bg", 1);
  EXPECT_EQ(std::accumulate(hard.begin(), hard.end(), 0), 2 * 6 * 12 * 8);
  const auto first = std::find(hard.begin(), hard.end(), 1) - hard.begin();
  const Eigen::Vector3d voxel(static_cast<double>(first % 28), static_cast<double>(first / 28 % 20),
                              static_cast<double>(first / (28 * 20)));
  const Eigen::Vector3d back = data::crop_voxel_to_source_voxel(row, voxel);
  EXPECT_LT((back - Eigen::Vector3d(10, 12, 10)).norm(), 1e-9);
  EXPECT_TRUE(reader.provenance().contains("command_line"));

  const core::Table qc = core::Table::read(folder_ / "out_qc/qc.tsv");
  EXPECT_EQ(qc.rows(), 2U);
  EXPECT_EQ(qc.cell(0, "flag"), "ok");
  EXPECT_EQ(qc.number(0, "label_volume_mm3"), 2 * 6 * 12 * 8);
  EXPECT_TRUE(fs::exists(folder_ / "out_qc/qc.json"));
  EXPECT_TRUE(fs::exists(folder_ / "out_qc/sub-01_qc.png"));
  EXPECT_TRUE(fs::exists(folder_ / "out_qc/index.html"));
  EXPECT_FALSE(fs::exists(folder_ / "out.h5.parts"));
  EXPECT_FALSE(fs::exists(folder_ / "out_qc/failed.tsv"));
}

TEST_F(Prepare, BadScansNeverStopTheOthers) {
  add("sub-good");
  const Volume<std::int32_t> labels = block_labels(grid_);
  add("sub-truncated");
  fs::resize_file(scan_path("sub-truncated"), fs::file_size(scan_path("sub-truncated")) / 2);
  Volume<float> scan = noise(grid_);
  scan.at(20, 20, 20) = std::numeric_limits<float>::quiet_NaN();
  add("sub-nan", scan, labels);
  add("sub-constant", Volume<float>(grid_, 5.0F), labels);
  Geometry elsewhere = grid_;
  elsewhere.affine(0, 3) += 300;
  add("sub-foreign", noise(elsewhere), labels);
  add("sub-empty", noise(grid_), Volume<std::int32_t>(grid_, 4));
  Geometry half = grid_;
  half.shape[0] = 13;
  half.affine(0, 3) += 27;
  add("sub-half", noise(half), labels);
  add("sub-nolabels");
  fs::remove(label_path("sub-nolabels"));
  Geometry cut = grid_;
  cut.shape[0] = 28;
  add("sub-cut", noise(cut), labels);

  const CommandResult result = prepare({"--threads", "1"});
  expect(result, 4, {"7 of 9 scans failed", "sub-truncated", "failed.tsv"});
  EXPECT_NE(failure("sub-truncated").find("sub-truncated_T2w.nii.gz"), std::string::npos);
  EXPECT_NE(failure("sub-nan").find("1 voxels that are not finite"), std::string::npos);
  EXPECT_NE(failure("sub-nan").find("20,20,20"), std::string::npos);
  EXPECT_NE(failure("sub-constant").find("constant: every voxel is 5"), std::string::npos);
  EXPECT_NE(failure("sub-foreign").find("cannot match"), std::string::npos);
  EXPECT_NE(failure("sub-empty").find("region 'bg' is empty"), std::string::npos);
  EXPECT_NE(failure("sub-half").find("75% of region 'bg'"), std::string::npos);
  EXPECT_NE(failure("sub-nolabels").find("the label map of sub-nolabels"), std::string::npos);

  // Prepared, but flagged: two of twelve columns of the region are outside.
  expect(result, 4, {"sub-cut bg: 16.7% of the region is outside the scan"});
  const data::CohortReader reader(folder_ / "out.h5");
  ASSERT_EQ(reader.rows("bg").size(), 2U);
  EXPECT_EQ(reader.rows("bg")[0].participant_id, "sub-cut");
  EXPECT_NEAR(reader.rows("bg")[0].region_cut_fraction, 2.0 / 12.0, 1e-9);
  const core::Table qc = core::Table::read(folder_ / "out_qc/qc.tsv");
  EXPECT_EQ(qc.cell(0, "flag"), "check");
  EXPECT_EQ(qc.cell(1, "flag"), "ok");
}

TEST_F(Prepare, AFourDimensionalScanIsRefusedAndAllFailedIsExit3) {
  add("sub-01");
  // Four volumes in one file, by the NIfTI header: dim[0] = 4, dim[4] = 2, half the slices each.
  const fs::path plain = folder_ / "bids/sub-01/anat/sub-01_T2w.nii";
  write(plain, noise(grid_));
  fs::remove(scan_path("sub-01"));
  std::fstream file(plain, std::ios::in | std::ios::out | std::ios::binary);
  const std::int16_t dims[5] = {4, 40, 40, 25, 2};
  file.seekp(40);
  file.write(reinterpret_cast<const char*>(dims), sizeof dims);
  file.close();
  expect(prepare(), 3, {"none of 1 scans could be prepared", "sub-01_T2w.nii", "failed.tsv"});
  EXPECT_NE(failure("sub-01").find("dimension"), std::string::npos) << failure("sub-01");
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));

  // A good run takes the old failed.tsv away.
  fs::remove(plain);
  add("sub-01");
  expect(prepare(), 0, {});
  EXPECT_FALSE(fs::exists(folder_ / "out_qc/failed.tsv"));
}

TEST_F(Prepare, UsageErrors) {
  add("sub-01");
  core::write_text(folder_ / "out.h5", "mine");
  expect(prepare(), 2, {"out.h5 exists already", "--force"});
  EXPECT_EQ(core::read_text(folder_ / "out.h5"), "mine");
  expect(prepare({"--force"}), 0, {});
  EXPECT_NO_THROW(data::CohortReader(folder_ / "out.h5"));
  fs::remove(folder_ / "out.h5");
  expect(prepare({"--regions", "hipocampi"}), 2, {"hipocampi", "did you mean 'hippocampi'"});
  expect(prepare({"--sigma-voxel", "1"}), 2, {"unknown option --sigma-voxel", "--sigma-voxels"});
  expect(prepare({"--atlas", "a.nii", "--template", "t.nii"}), 2, {"--labels and --atlas"});
  expect(prepare({"--participant-label", "02"}), 2, {"participant '02' is not in"});
  expect(run_epvs({"prepare", "bids", "out.h5"}, folder_.path()), 2,
         {"nothing says where the regions come from", "--labels"});
  expect(run_epvs({"prepare", "bids", "out.nii", "--labels", "x"}, folder_.path()), 2,
         {"does not end in .h5"});
  expect(run_epvs({"prepare", "nowhere", "out.h5", "--labels", "x"}, folder_.path()), 3,
         {"nowhere does not exist"});
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));
}

TEST_F(Prepare, DryRunWritesNothing) {
  add("sub-01");
  const CommandResult result = prepare({"--dry-run"});
  expect(result, 0, {});
  EXPECT_NE(result.out.find("labels/sub-01.nii.gz"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));
  EXPECT_FALSE(fs::exists(folder_ / "out_qc"));
}

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
  expect(changed, 2, {});  // an option given twice
  other = arguments();
  other[2] = "other.h5";
  other.back() = "1.5";
  const CommandResult fresh = run_epvs(other, folder_.path());
  expect(fresh, 0, {});
  EXPECT_EQ(fresh.err.find("are kept"), std::string::npos) << fresh.err;

  const CommandResult again = prepare();
  expect(again, 0, {std::to_string(kept) + " of 6 scans were finished by an earlier run"});
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
  expect(prepare(), 0, {"were finished by an earlier run"});
}

TEST_F(Prepare, AfterAFailureOnlyTheMendedScanIsPrepared) {
  for (int i = 1; i <= 3; ++i) add("sub-0" + std::to_string(i));
  const Volume<float> good = noise(grid_);
  write(scan_path("sub-02"), Volume<float>(grid_, 5.0F));
  expect(prepare(), 4, {"1 of 3 scans failed: sub-02", "failed.tsv", "--force", "out.h5.parts"});
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").rows("bg").size(), 2U);
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").provenance().at("failed").size(), 1U);
  EXPECT_EQ(finished_parts(), 2U);
  // Another option: nothing that is there fits.
  std::vector<std::string> other = arguments({"--force"});
  std::replace(other.begin(), other.end(), std::string("1"), std::string("1.5"));  // --sigma-voxels
  const CommandResult changed = run_epvs(other, folder_.path());
  expect(changed, 4, {});
  EXPECT_EQ(changed.err.find("are kept ("), std::string::npos) << changed.err;
  expect(prepare({"--force"}), 4, {"1 of 3 scans failed"});

  write(scan_path("sub-02"), good);
  expect(prepare({"--force"}), 0, {"2 of 3 scans were finished by an earlier run and are kept"});
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").rows("bg").size(), 3U);
  EXPECT_FALSE(fs::exists(folder_ / "out.h5.parts"));
  EXPECT_FALSE(fs::exists(folder_ / "out_qc/failed.tsv"));
  // The same as one that was prepared at once.
  fs::rename(folder_ / "out.h5", folder_ / "mended.h5");
  expect(prepare(), 0, {});
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
  expect(prepare(), 4, {});
  std::vector<std::string> other = arguments({"--participant-label", "01"});
  other[2] = "other.h5";
  expect(run_epvs(other, folder_.path()), 0, {});
  EXPECT_TRUE(fs::exists(folder_ / "out_qc/failed.tsv"));
  EXPECT_FALSE(fs::exists(folder_ / "other_qc/failed.tsv"));
}

TEST_F(Prepare, AMemoryBudgetLimitsTheScansAtATime) {
  for (int i = 1; i <= 4; ++i) add("sub-0" + std::to_string(i));
  expect(prepare({"--threads", "2", "--memory-gb", "4"}), 0, {"up to 2 scans at a time"});
  fs::rename(folder_ / "out.h5", folder_ / "two.h5");
  expect(prepare({"--threads", "2", "--memory-gb", "0.01"}), 0,
         {"sub-03 needs about 0.1 GiB of memory, more than the budget of 0.0 GiB: it is prepared "
          "alone",
          "up to 1 scans at a time, 2 threads each"});
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").fingerprint(),
            data::CohortReader(folder_ / "two.h5").fingerprint());
  expect(prepare({"--force", "--memory-gb", "-1"}), 2, {"--memory-gb"});
}

TEST_F(Prepare, ARealFullDiskIsARunError) {
  add("sub-01");
  const fs::path disk = folder_ / "disk";
  fs::create_directory(disk);
  // Room for the tables, not for the picture and the volumes.
  if (::mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "no small file system could be mounted (that needs root): "
                 << std::strerror(errno);
  }
  std::vector<std::string> small = arguments();
  small[2] = "disk/out.h5";
  const CommandResult result = run_epvs(small, folder_.path());
  const bool there = fs::exists(disk / "out.h5");
  ::umount(disk.c_str());
  expect(result, 1, {"No space left on device"});
  EXPECT_FALSE(there);
}

TEST_F(Prepare, AFullDiskIsARunError) {
  add("sub-01");
  const pid_t child = start({"--threads", "1"}, 4096);  // no file may grow beyond 4 KiB
  EXPECT_EQ(wait_for(child), 1) << core::read_text(folder_ / "err");
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));
  EXPECT_EQ(finished_parts(), 0U);
  expect(prepare(), 0, {});
}

TEST_F(Prepare, ThreadsDoNotChangeTheResult) {
  for (int i = 1; i <= 3; ++i) add("sub-0" + std::to_string(i));
  expect(prepare({"--threads", "1"}), 0, {});
  fs::rename(folder_ / "out.h5", folder_ / "one.h5");
  expect(prepare({"--threads", "2"}), 0, {});
  const data::CohortReader one(folder_ / "one.h5");
  const data::CohortReader two(folder_ / "out.h5");
  EXPECT_EQ(one.fingerprint(), two.fingerprint());
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_EQ(one.rows("bg")[row].participant_id, two.rows("bg")[row].participant_id);
    EXPECT_EQ(one.read_roi("bg", row), two.read_roi("bg", row));
  }
}

TEST_F(Prepare, LikeWeightsAndRecipe) {
  add("sub-01");
  data::PreprocessingOptions wanted;
  wanted.spacing_mm = {2, 2, 2};
  wanted.crop_voxels = {16, 12, 8};
  wanted.dilation_voxels = 1;
  wanted.sigma_voxels = 0.5;
  wanted.normalisation = "max";
  const core::Json ours = {{"preprocessing", wanted.to_json()}};
  const std::string header = core::Json{{"__metadata__", {{"epvs", ours.dump()}}}}.dump();
  std::ofstream file(folder_ / "w.safetensors", std::ios::binary);
  for (int i = 0; i < 8; ++i) file.put(static_cast<char>(header.size() >> (8 * i)));
  file << header;
  file.close();
  const std::vector<std::string> plain = {"prepare", "bids", "out.h5", "--labels",
                                          "labels/{participant_id}.nii.gz"};
  std::vector<std::string> like = plain;
  like.insert(like.end(), {"--like", "w.safetensors"});
  expect(run_epvs(like, folder_.path()), 0, {});
  EXPECT_TRUE(data::CohortReader(folder_ / "out.h5").options("bg").differences(wanted).empty());
  fs::remove(folder_ / "out.h5");
  expect(prepare({"--like", "w.safetensors"}), 2,
         {"--like contradicts", "spacing_mm: 1,1,1 and 2,2,2"});

  core::write_text(
      folder_ / "r.toml",
      "[prepare]\nspacing_mm = [2, 2, 2]\ncrop_voxels = [16, 12, 8]\nsigma_voxels = 0.5\n");
  std::vector<std::string> recipe = plain;
  recipe.insert(recipe.end(), {"--recipe", "r.toml", "--sigma-voxels", "0.25"});
  expect(run_epvs(recipe, folder_.path()), 0, {});
  const data::PreprocessingOptions found = data::CohortReader(folder_ / "out.h5").options("bg");
  EXPECT_EQ(found.crop_voxels, (Shape{16, 12, 8}));
  EXPECT_EQ(found.sigma_voxels, 0.25);
}

TEST_F(Prepare, ExclusionsAreHonouredAndRecorded) {
  add("sub-01");
  add("sub-02");
  core::write_text(folder_ / "qc.tsv", "participant_id\tregion\texclude\nsub-01\tbg\tyes\n");
  expect(prepare({"--exclude", "qc.tsv"}), 0,
         {"1 of 2 scans", "excluded: sub-01 bg (no reason given)"});
  const data::CohortReader reader(folder_ / "out.h5");
  ASSERT_EQ(reader.rows("bg").size(), 1U);
  EXPECT_EQ(reader.rows("bg")[0].participant_id, "sub-02");
  const core::Json left_out = reader.provenance().at("excluded");
  ASSERT_EQ(left_out.size(), 1U);
  EXPECT_EQ(left_out[0]["participant_id"], "sub-01");
  EXPECT_EQ(left_out[0]["region"], "bg");
  EXPECT_EQ(left_out[0]["reason"], "no reason given");
  EXPECT_EQ(reader.provenance().at("scans_found"), 2);
  fs::remove(folder_ / "out.h5");
  // The table that was written can be edited and given again, over itself.
  core::write_text(folder_ / "out_qc/qc.tsv",
                   "participant_id\tregion\tvolume_mm3\texclude\texclude_reason\n"
                   "sub-02\tbg\t7\tyes\tmotion\nsub-99\tbg\t7\tyes\tgone\n");
  for (int i = 0; i < 2; ++i) {
    expect(prepare({"--exclude", "out_qc/qc.tsv", "--force"}), 0,
           {"excluded: sub-02 bg (motion)", i == 0 ? "names sub-99 bg" : ""});
    const core::Table qc = core::Table::read(folder_ / "out_qc/qc.tsv");
    ASSERT_EQ(qc.rows(), 2U);
    EXPECT_EQ(qc.cell(1, "flag"), "excluded");
    EXPECT_EQ(qc.cell(1, "exclude_reason"), "motion");
    EXPECT_EQ(qc.number(1, "volume_mm3"), 7);
  }
  fs::remove(folder_ / "out.h5");
  core::write_text(folder_ / "qc.tsv", "participant_id\texclude\nsub-01\tyes\nsub-02\tyes\n");
  expect(prepare({"--exclude", "qc.tsv"}), 2, {"--exclude leaves no scan"});
}

TEST_F(Prepare, CropFromTheMasks) {
  add("sub-01");
  std::vector<std::string> all = {"prepare",
                                  "bids",
                                  "out.h5",
                                  "--labels",
                                  "labels/{participant_id}.nii.gz",
                                  "--spacing-mm",
                                  "1,1,1",
                                  "--dilation-voxels",
                                  "2",
                                  "--crop-from-masks"};
  expect(run_epvs(all, folder_.path()), 0, {"crop of bg from 1 scans: 28x20x16"});
  // 20 x 12 x 8 voxels, dilation 2 and 2 more on both sides, up to a multiple of 4.
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_EQ(reader.options("bg").crop_voxels, (Shape{28, 20, 16}));
  EXPECT_EQ(reader.rows("bg")[0].region_outside_crop_fraction, 0);
}

/// A head phantom as template, an atlas on another grid with a trailing singleton dimension by its
/// nature (the left cyst is "caudate" 11), and a scan of the head in another pose.
class PrepareByAtlas : public Prepare {
 protected:
  const Eigen::Matrix4d pose_ = tests::rigid_motion({0.1, -0.04, 0.06}, {4, -6, 5});
  const Eigen::Vector3d cyst_{-38, 22, 10};

  void SetUp() override {
    write(folder_ / "template.nii.gz", tests::scan_head(centred_grid({64, 74, 64}, {3, 3, 3}),
                                                        Eigen::Matrix4d::Identity(), true));
    write(folder_ / "atlas.nii.gz", cyst_mask(centred_grid({90, 110, 90}, {2, 2, 2})));
    // Stored right to left, as radiological files are.
    Geometry grid = centred_grid({110, 120, 34}, {1.8, 1.8, 5});
    grid.affine(0, 0) = -grid.affine(0, 0);
    grid.affine(0, 3) = -grid.affine(0, 3);
    write(scan_path("sub-01"), tests::scan_head(grid, pose_, true, 3));
  }
  Volume<std::int16_t> cyst_mask(const Geometry& geometry) const {
    Volume<std::int16_t> mask(geometry);
    for (std::int64_t z = 0; z < geometry.shape[2]; ++z) {
      for (std::int64_t y = 0; y < geometry.shape[1]; ++y) {
        for (std::int64_t x = 0; x < geometry.shape[0]; ++x) {
          const Eigen::Vector3d at = geometry.to_world(
              {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
          if ((at - cyst_).cwiseQuotient(Eigen::Vector3d(9, 12, 10)).norm() < 1) {
            mask.at(x, y, z) = 11;
          }
        }
      }
    }
    return mask;
  }
  CommandResult by_atlas(const std::vector<std::string>& extra = {}) const {
    std::vector<std::string> all = {
        "prepare",      "bids",         "out.h5", "--template",    "template.nii.gz", "--atlas",
        "atlas.nii.gz", "--spacing-mm", "2,2,2",  "--crop-voxels", "28,28,28"};
    all.insert(all.end(), extra.begin(), extra.end());
    return run_epvs(all, folder_.path());
  }
  /// Mean position of the region in the world of the original scan.
  static Eigen::Vector3d region_centre(const data::CohortReader& reader) {
    const data::CohortRow& row = reader.rows("bg").at(0);
    const std::vector<std::uint8_t> hard = reader.read_hard("bg", 0);
    Eigen::Vector3d sum = Eigen::Vector3d::Zero();
    double count = 0;
    const Shape& shape = row.roi.shape;
    for (std::size_t i = 0; i < hard.size(); ++i) {
      if (hard[i] == 0) continue;
      const auto at = static_cast<std::int64_t>(i);
      sum += data::crop_voxel_to_source_world(
          row, {static_cast<double>(at % shape[0]), static_cast<double>(at / shape[0] % shape[1]),
                static_cast<double>(at / (shape[0] * shape[1]))});
      count += 1;
    }
    return sum / count;
  }
  Eigen::Vector3d true_centre() const {
    const Eigen::Matrix4d to_scan = pose_.inverse();
    return (to_scan * cyst_.homogeneous()).head<3>();
  }
};

TEST_F(PrepareByAtlas, TheRegionLiesWhereItIsOnTheLeft) {
  expect(by_atlas({"--threads", "1"}), 0, {});
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_LT((region_centre(reader) - true_centre()).norm(), 1.5);
  EXPECT_EQ(reader.rows("bg")[0].label_source, "atlas");
  // The commissure is at 0, 3, -4 of the template, so at pose^-1 of that in the scan.
  const Eigen::Vector4d ac = pose_.inverse() * Eigen::Vector4d(0, 3, -4, 1);
  const double slice = data::source_world_to_crop_voxel(reader.rows("bg")[0], ac.head<3>())[2];
  EXPECT_NEAR(static_cast<double>(reader.rows("bg")[0].ac_slice), slice, 1.0);
  const core::Table qc = core::Table::read(folder_ / "out_qc/qc.tsv");
  EXPECT_GT(qc.number(0, "mi_after"), qc.number(0, "mi_before") + 0.1);
  EXPECT_EQ(qc.cell(0, "flag"), "ok") << qc.cell(0, "reason");

  // The saved transform is used as it is: the same region, to the last bit, without registering.
  fs::rename(folder_ / "out.h5", folder_ / "first.h5");
  fs::rename(folder_ / "out_qc/transforms", folder_ / "saved");
  expect(by_atlas({"--transforms", "saved"}), 0, {});
  const data::CohortReader second(folder_ / "out.h5");
  EXPECT_EQ(reader.read_hard("bg", 0), second.read_hard("bg", 0));
  const core::Table again = core::Table::read(folder_ / "out_qc/qc.tsv");
  EXPECT_NEAR(again.number(0, "mi_after"), qc.number(0, "mi_after"), 0.01);
}

TEST_F(PrepareByAtlas, P1MovesTheScanToTheTemplate) {
  expect(by_atlas({"--preset", "p1"}), 0, {});
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_EQ(reader.options("bg").registration, "rigid");
  EXPECT_EQ(reader.options("bg").normalisation, "max");
  // The region is found in the scan, and the network's world is the template's.
  EXPECT_LT((region_centre(reader) - true_centre()).norm(), 1.5);
  const data::CohortRow& row = reader.rows("bg")[0];
  const Eigen::Matrix4d error = row.network_to_source - pose_.inverse();
  EXPECT_LT((error * cyst_.homogeneous()).head<3>().norm(), 0.6);
}

TEST_F(PrepareByAtlas, LabelsOfTheT1wTravelToTheT2w) {
  // The T1w has a pose of its own; its label map shows the cyst there.
  const Eigen::Matrix4d t1_pose = tests::rigid_motion({-0.05, 0.03, -0.08}, {-5, 3, 2});
  const Geometry grid = centred_grid({64, 74, 64}, {3, 3, 3});
  write(folder_ / "bids/sub-01/anat/sub-01_T1w.nii.gz", tests::scan_head(grid, t1_pose, false));
  Geometry moved = centred_grid({90, 110, 90}, {2, 2, 2});
  Volume<std::int16_t> labels = cyst_mask(moved);
  labels.geometry.affine = t1_pose.inverse() * moved.affine;
  write(folder_ / "labels/sub-01.nii.gz", labels);
  const std::vector<std::string> all = {
      "prepare",        "bids", "out.h5",       "--labels", "labels/{participant_id}.nii.gz",
      "--labels-space", "t1w",  "--spacing-mm", "2,2,2",    "--crop-voxels",
      "28,28,28"};
  expect(run_epvs(all, folder_.path()), 0, {});
  EXPECT_LT((region_centre(data::CohortReader(folder_ / "out.h5")) - true_centre()).norm(), 1.0);
  fs::remove(folder_ / "out.h5");
  fs::remove(folder_ / "bids/sub-01/anat/sub-01_T1w.nii.gz");
  expect(run_epvs(all, folder_.path()), 3, {"sub-01 has no T1w scan"});
}

TEST_F(PrepareByAtlas, AnAtlasOutsideItsTemplateIsRefused) {
  Volume<std::int16_t> atlas = cyst_mask(centred_grid({90, 110, 90}, {2, 2, 2}));
  atlas.geometry.affine(2, 3) += 120;
  write(folder_ / "atlas.nii.gz", atlas);
  expect(by_atlas(), 3, {"100% of the atlas atlas.nii.gz lies outside the template"});
  write(folder_ / "atlas.nii.gz", Volume<std::int16_t>(centred_grid({90, 110, 90}, {2, 2, 2})));
  expect(by_atlas(), 3, {"has no labels"});
}

}  // namespace
}  // namespace epvs
