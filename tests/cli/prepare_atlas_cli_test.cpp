// `epvs prepare` with registration: by an atlas, by labels of the T1w, moved to the template.
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "core/files.h"
#include "core/program.h"
#include "core/table.h"
#include "data/cohort/cohort.h"
#include "data/cohort/source_space.h"
#include "data/formats/nifti.h"
#include "data/prepare/registration/transform_file.h"
#include "tests/cli/prepare_fixture.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using data::Geometry;
using data::Shape;
using data::Volume;
using tests::centred_grid;
using tests::CommandResult;
using tests::Prepare;
using tests::run_epvs;

/// A head phantom as template, an atlas on another grid with a trailing singleton dimension by its
/// nature (the left cyst is "caudate" 11), and a scan of the head in another pose.
class PrepareByAtlas : public Prepare {
 protected:
  const Eigen::Matrix4d pose_ = tests::rigid_motion({0.1, -0.04, 0.06}, {4, -6, 5});
  const Eigen::Vector3d cyst_{-38, 22, 10};

  void SetUp() override {
    EPVS_REQUIRE_ELASTIX();
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
  tests::expect_result(by_atlas({"--threads", "1"}), 0, {});
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
  tests::expect_result(by_atlas({"--transforms", "saved"}), 0, {});
  const data::CohortReader second(folder_ / "out.h5");
  EXPECT_EQ(reader.read_hard("bg", 0), second.read_hard("bg", 0));
  const core::Table again = core::Table::read(folder_ / "out_qc/qc.tsv");
  EXPECT_NEAR(again.number(0, "mi_after"), qc.number(0, "mi_after"), 0.01);
}

TEST_F(PrepareByAtlas, TheDeformationIsSavedAndUsedAgain) {
  tests::expect_result(by_atlas({"--atlas-registration", "deformable"}), 0, {});
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_LT((region_centre(reader) - true_centre()).norm(), 1.5);
  EXPECT_EQ(reader.rows("bg")[0].label_source, "atlas_deformable");
  const core::Table qc = core::Table::read(folder_ / "out_qc/qc.tsv");
  EXPECT_GT(qc.number(0, "jacobian_min"), 0.2);
  fs::rename(folder_ / "out.h5", folder_ / "first.h5");
  fs::rename(folder_ / "out_qc/transforms", folder_ / "saved");
  const std::vector<std::string> again = {"--atlas-registration", "deformable", "--transforms",
                                          "saved"};
  tests::expect_result(by_atlas(again), 0, {});
  const data::CohortReader second(folder_ / "out.h5");
  EXPECT_EQ(reader.read_hard("bg", 0), second.read_hard("bg", 0));
  EXPECT_EQ(reader.read_roi("bg", 0), second.read_roi("bg", 0));
  EXPECT_EQ(reader.rows("bg")[0].ac_slice, second.rows("bg")[0].ac_slice);
  // An affine transform that was corrected by hand does not fit the deformation any more.
  data::write_transform(folder_ / "saved/sub-01_from-T2w_to-template_affine_xfm.txt", pose_);
  fs::remove(folder_ / "out.h5");
  tests::expect_result(by_atlas(again), 3,
                       {"another affine transform", "keep the affine and the deformable"});
}

TEST_F(PrepareByAtlas, IsTheSameForAnyNumberOfThreads) {
  Volume<std::int16_t> labels = cyst_mask(centred_grid({90, 110, 90}, {2, 2, 2}));
  labels.geometry.affine = pose_.inverse() * labels.geometry.affine;
  write(label_path("sub-01"), labels);
  write(label_path("sub-02"), labels);
  fs::create_directories(folder_ / "bids/sub-02/anat");
  fs::copy_file(scan_path("sub-01"), scan_path("sub-02"));
  std::vector<std::vector<float>> rois;
  std::vector<std::string> transforms;
  for (const char* threads : {"1", "2", "4"}) {
    tests::expect_result(prepare({"--template", "template.nii.gz", "--registration", "rigid",
                                  "--threads", threads, "--force"}),
                         0, {});
    const data::CohortReader reader(folder_ / "out.h5");
    rois.push_back(reader.read_roi("bg", 0));
    EXPECT_EQ(reader.read_roi("bg", 1), rois.front());  // the same scan
    transforms.push_back(
        core::read_text(folder_ / "out_qc/transforms/sub-01_from-T2w_to-template_rigid_xfm.txt"));
  }
  EXPECT_EQ(rois[0], rois[1]);
  EXPECT_EQ(rois[0], rois[2]);
  EXPECT_EQ(transforms[0], transforms[1]);
  EXPECT_EQ(transforms[0], transforms[2]);
}

TEST_F(PrepareByAtlas, WithoutElastixNothingBegins) {
  const fs::path nothing = folder_ / "nothing";
  fs::create_directory(nothing);
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", nothing.c_str(), 1);
  const CommandResult result = by_atlas();
  ::setenv("PATH", path.c_str(), 1);
  tests::expect_result(result, 2,
                       {"needs the program elastix", "apt-get install elastix", "--transforms"});
}

/// A stand-in for elastix that waits: when prepare is killed, it has to go too.
TEST_F(PrepareByAtlas, ElastixEndsWithPrepare) {
  const fs::path bin = folder_ / "bin";
  fs::create_directory(bin);
  core::write_text(bin / "elastix",
                   "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n"
                   "echo $$ > \"" +
                       (folder_ / "pid").string() + "\"\nexec sleep 100\n");
  fs::permissions(bin / "elastix", fs::perms::owner_all);
  const std::string path = std::getenv("PATH");
  core::ProgramCall call;
  call.program = EPVS_PREPARE;
  call.arguments = {"bids", "out.h5", "--template", "template.nii.gz", "--atlas", "atlas.nii.gz"};
  call.errors = folder_ / "err";
  call.working_folder = folder_.path();
  call.environment["PATH"] = bin.string() + ":" + path;
  core::RunningProgram prepare(call);
  const auto wait_for = [](const auto& done) {
    for (int i = 0; i < 1000 && !done(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return done();
  };
  ASSERT_TRUE(wait_for(
      [&] { return fs::exists(folder_ / "pid") && !core::read_text(folder_ / "pid").empty(); }));
  const pid_t elastix = std::stoi(core::read_text(folder_ / "pid"));
  EXPECT_EQ(::kill(elastix, 0), 0);
  prepare.send(SIGKILL);
  EXPECT_EQ(prepare.wait(), 128 + SIGKILL);
  EXPECT_TRUE(wait_for([&] { return ::kill(elastix, 0) != 0; }));
}

TEST_F(PrepareByAtlas, P1MovesTheScanToTheTemplate) {
  tests::expect_result(by_atlas({"--preset", "p1"}), 0, {});
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_EQ(reader.options("bg").registration, data::GridRegistration::kRigid);
  EXPECT_EQ(reader.options("bg").normalisation, data::Normalisation::kMax);
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
  tests::expect_result(run_epvs(all, folder_.path()), 0, {});
  EXPECT_LT((region_centre(data::CohortReader(folder_ / "out.h5")) - true_centre()).norm(), 1.0);
  fs::remove(folder_ / "out.h5");
  fs::remove(folder_ / "bids/sub-01/anat/sub-01_T1w.nii.gz");
  tests::expect_result(run_epvs(all, folder_.path()), 3, {"sub-01 has no T1w scan"});
}

TEST_F(PrepareByAtlas, AnAtlasOutsideItsTemplateIsRefused) {
  Volume<std::int16_t> atlas = cyst_mask(centred_grid({90, 110, 90}, {2, 2, 2}));
  atlas.geometry.affine(2, 3) += 120;
  write(folder_ / "atlas.nii.gz", atlas);
  tests::expect_result(by_atlas(), 3, {"100% of the atlas atlas.nii.gz lies outside the template"});
  write(folder_ / "atlas.nii.gz", Volume<std::int16_t>(centred_grid({90, 110, 90}, {2, 2, 2})));
  tests::expect_result(by_atlas(), 3, {"has no labels"});
}

}  // namespace
}  // namespace epvs
