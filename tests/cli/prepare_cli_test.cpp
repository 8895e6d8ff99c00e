// `epvs prepare` as users meet it: results, bad input, weights and recipes, exclusions.
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>

#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "data/cohort/cohort.h"
#include "data/cohort/source_space.h"
#include "data/formats/nifti.h"
#include "tests/cli/prepare_fixture.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using data::Geometry;
using data::Shape;
using data::Volume;
using tests::block_labels;
using tests::CommandResult;
using tests::Prepare;
using tests::run_epvs;

TEST_F(Prepare, WritesCohortPicturesAndTables) {
  add("sub-01");
  add("sub-02");
  const CommandResult result = prepare({"--threads", "2"});
  tests::expect_result(result, 0, {"2 scans"});
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
  tests::expect_result(result, 4, {"7 of 9 scans failed", "sub-truncated", "failed.tsv"});
  EXPECT_NE(failure("sub-truncated").find("sub-truncated_T2w.nii.gz"), std::string::npos);
  EXPECT_NE(failure("sub-nan").find("1 voxels that are not finite"), std::string::npos);
  EXPECT_NE(failure("sub-nan").find("20,20,20"), std::string::npos);
  EXPECT_NE(failure("sub-constant").find("constant: every voxel is 5"), std::string::npos);
  EXPECT_NE(failure("sub-foreign").find("cannot match"), std::string::npos);
  EXPECT_NE(failure("sub-empty").find("region 'bg' is empty"), std::string::npos);
  EXPECT_NE(failure("sub-half").find("75% of region 'bg'"), std::string::npos);
  EXPECT_NE(failure("sub-nolabels").find("the label map of sub-nolabels"), std::string::npos);

  // Prepared, but flagged: two of twelve columns of the region are outside.
  tests::expect_result(result, 4, {"sub-cut bg: 16.7% of the region is outside the scan"});
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
  tests::expect_result(prepare(), 3,
                       {"none of 1 scans could be prepared", "sub-01_T2w.nii", "failed.tsv"});
  EXPECT_NE(failure("sub-01").find("dimension"), std::string::npos) << failure("sub-01");
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));

  // A good run takes the old failed.tsv away.
  fs::remove(plain);
  add("sub-01");
  tests::expect_result(prepare(), 0, {});
  EXPECT_FALSE(fs::exists(folder_ / "out_qc/failed.tsv"));
}

TEST_F(Prepare, UsageErrors) {
  add("sub-01");
  core::write_text(folder_ / "out.h5", "mine");
  tests::expect_result(prepare(), 2, {"out.h5 exists already", "--force"});
  EXPECT_EQ(core::read_text(folder_ / "out.h5"), "mine");
  tests::expect_result(prepare({"--force"}), 0, {});
  EXPECT_NO_THROW(data::CohortReader(folder_ / "out.h5"));
  fs::remove(folder_ / "out.h5");
  tests::expect_result(prepare({"--regions", "hipocampi"}), 2,
                       {"hipocampi", "did you mean 'hippocampi'"});
  tests::expect_result(prepare({"--sigma-voxel", "1"}), 2,
                       {"unknown option --sigma-voxel", "--sigma-voxels"});
  tests::expect_result(prepare({"--atlas", "a.nii", "--template", "t.nii"}), 2,
                       {"--labels and --atlas"});
  tests::expect_result(prepare({"--participant-label", "02"}), 2, {"participant '02' is not in"});
  tests::expect_result(run_epvs({"prepare", "bids", "out.h5"}, folder_.path()), 2,
                       {"nothing says where the regions come from", "--labels"});
  tests::expect_result(run_epvs({"prepare", "bids", "out.nii", "--labels", "x"}, folder_.path()), 2,
                       {"does not end in .h5"});
  tests::expect_result(run_epvs({"prepare", "nowhere", "out.h5", "--labels", "x"}, folder_.path()),
                       3, {"nowhere does not exist"});
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));
}

TEST_F(Prepare, DryRunWritesNothing) {
  add("sub-01");
  const CommandResult result = prepare({"--dry-run"});
  tests::expect_result(result, 0, {});
  EXPECT_NE(result.out.find("labels/sub-01.nii.gz"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));
  EXPECT_FALSE(fs::exists(folder_ / "out_qc"));
}

TEST_F(Prepare, LikeWeightsAndRecipe) {
  add("sub-01");
  data::PreprocessingOptions wanted;
  wanted.spacing_mm = {2, 2, 2};
  wanted.crop_voxels = {16, 12, 8};
  wanted.dilation_voxels = 1;
  wanted.sigma_voxels = 0.5;
  wanted.normalisation = data::Normalisation::kMax;
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
  tests::expect_result(run_epvs(like, folder_.path()), 0, {});
  EXPECT_TRUE(data::CohortReader(folder_ / "out.h5").options("bg").differences(wanted).empty());
  fs::remove(folder_ / "out.h5");
  tests::expect_result(
      prepare({"--like", "w.safetensors"}), 2,
      {"--like contradicts", "prepare.spacing_mm is 1,1,1 by the command line, but 2,2,2"});

  core::write_text(
      folder_ / "r.toml",
      "[prepare]\nspacing_mm = [2, 2, 2]\ncrop_voxels = [16, 12, 8]\nsigma_voxels = 0.5\n");
  std::vector<std::string> recipe = plain;
  recipe.insert(recipe.end(), {"--recipe", "r.toml", "--sigma-voxels", "0.25"});
  tests::expect_result(run_epvs(recipe, folder_.path()), 0, {});
  const data::PreprocessingOptions found = data::CohortReader(folder_ / "out.h5").options("bg");
  EXPECT_EQ(found.crop_voxels, (Shape{16, 12, 8}));
  EXPECT_EQ(found.sigma_voxels, 0.25);
}

TEST_F(Prepare, ExclusionsAreHonouredAndRecorded) {
  add("sub-01");
  add("sub-02");
  core::write_text(folder_ / "qc.tsv", "participant_id\tregion\texclude\nsub-01\tbg\tyes\n");
  tests::expect_result(prepare({"--exclude", "qc.tsv"}), 0,
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
    tests::expect_result(prepare({"--exclude", "out_qc/qc.tsv", "--force"}), 0,
                         {"excluded: sub-02 bg (motion)", i == 0 ? "names sub-99 bg" : ""});
    const core::Table qc = core::Table::read(folder_ / "out_qc/qc.tsv");
    ASSERT_EQ(qc.rows(), 2U);
    EXPECT_EQ(qc.cell(1, "flag"), "excluded");
    EXPECT_EQ(qc.cell(1, "exclude_reason"), "motion");
    EXPECT_EQ(qc.number(1, "volume_mm3"), 7);
  }
  fs::remove(folder_ / "out.h5");
  core::write_text(folder_ / "qc.tsv", "participant_id\texclude\nsub-01\tyes\nsub-02\tyes\n");
  tests::expect_result(prepare({"--exclude", "qc.tsv"}), 2, {"--exclude leaves no scan"});
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
  tests::expect_result(run_epvs(all, folder_.path()), 0, {"crop of bg from 1 scans: 28x20x16"});
  // 20 x 12 x 8 voxels, dilation 2 and 2 more on both sides, up to a multiple of 4.
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_EQ(reader.options("bg").crop_voxels, (Shape{28, 20, 16}));
  EXPECT_EQ(reader.rows("bg")[0].region_outside_crop_fraction, 0);
}

}  // namespace
}  // namespace epvs
