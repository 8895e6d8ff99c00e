// Same person, somebody else, or a mirrored header: what the sides of a head tell.
#include "data/prepare/registration/registration.h"

#include <gtest/gtest.h>

#include <Eigen/LU>

#include "data/formats/nifti.h"
#include "data/prepare/registration/transform_file.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::centred_grid;

TEST(SamePerson, WordsFollowTheQuotient) {
  EXPECT_FALSE(doubt_of({1.06, 1.0}).has_value());
  const auto other = doubt_of({1.0, 0.99});
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(other->find("no better than its mirror image"), std::string::npos);
  EXPECT_NE(other->find("different people"), std::string::npos);
  EXPECT_NE(other->find("1.000 nats, with its mirror image 0.990"), std::string::npos);
  const auto mirrored = doubt_of({0.6, 0.7});
  ASSERT_TRUE(mirrored.has_value());
  EXPECT_NE(mirrored->find("fits better when it is mirrored"), std::string::npos);
}

/// A head whose left side is quite unlike its right one.
Volume<float> lopsided(const Geometry& grid, const Eigen::Matrix4d& pose, bool t2_like) {
  Volume<float> scan = tests::scan_head(grid, pose, t2_like);
  for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
    const auto n = static_cast<std::int64_t>(i);
    const Eigen::Vector3d world =
        grid.to_world({static_cast<double>(n % grid.shape[0]),
                       static_cast<double>(n / grid.shape[0] % grid.shape[1]),
                       static_cast<double>(n / (grid.shape[0] * grid.shape[1]))});
    const Eigen::Vector3d at = (pose * world.homogeneous()).head<3>();
    const double mass = tests::ellipsoid(at, {-35, -30, 15}, {22, 30, 30}) +
                        tests::ellipsoid(at, {40, 35, 5}, {16, 22, 26});
    scan.voxels[i] += static_cast<float>((t2_like ? 90 : -70) * mass);
  }
  return scan;
}

TEST(SamePerson, APhantomWithUnlikeSides) {
  EPVS_REQUIRE_ELASTIX();
  const Geometry grid = centred_grid({36, 42, 36}, {5, 5, 5});
  const Volume<float> t2w = lopsided(grid, Eigen::Matrix4d::Identity(), true);
  const Eigen::Matrix4d pose = tests::rigid_motion({0.04, -0.05, 0.06}, {3, -4, 2});
  Volume<float> t1w = lopsided(grid, pose, false);
  const RegistrationResult mirrored = register_mirrored(t2w, t1w);
  const SidesFit same = fit_of_sides(t2w, t1w, pose.inverse(), mirrored);
  EXPECT_GT(same.ratio(), kSamePersonRatio);
  EXPECT_FALSE(doubt_of(same).has_value());

  // The same pair with a T1w header that lies: its mirror image is the true one.
  t1w.geometry.affine.row(0) *= -1;
  const SidesFit wrong =
      fit_of_sides(t2w, t1w, mirrored.fixed_to_moving, register_mirrored(t2w, t1w));
  EXPECT_LT(wrong.ratio(), 1 / kSamePersonRatio);
  EXPECT_EQ(wrong.information, same.mirrored);
}

/// One right pair, by the transforms that are shipped with it, and one swapped pair of real people.
TEST(SamePersonReal, AClinicalPairAndASwappedOne) {
  EPVS_REQUIRE_ELASTIX();
  EPVS_REQUIRE_TEST_DATA(folder, "clinical_bids");
  const auto read = [&](const std::string& id, const std::string& kind) {
    return read_scan(folder / id / "anat" / (id + "_" + kind + ".nii.gz")).image;
  };
  const auto from_flair = [&](const std::string& kind) {
    return read_itk_transform(folder / "derivatives" / "reference-transforms" /
                              ("sub-ms04_from-FLAIR_to-" + kind + "_xfm.txt"));
  };
  const Volume<float> t2w = read("sub-ms04", "T2w");
  const Volume<float> own = read("sub-ms04", "T1w");
  const Eigen::Matrix4d t2w_to_t1w = from_flair("T1w") * from_flair("T2w").inverse();
  EXPECT_GT(fit_of_sides(t2w, own, t2w_to_t1w, register_mirrored(t2w, own)).ratio(), 1.1);
  const Volume<float> other = read("sub-ms12", "T1w");
  const SidesFit swapped =
      fit_of_sides(t2w, other, register_volumes(t2w, other, Motion::kRigid).fixed_to_moving,
                   register_mirrored(t2w, other));
  EXPECT_NEAR(swapped.ratio(), 1.0, 0.03);
  EXPECT_TRUE(doubt_of(swapped).has_value());
}

}  // namespace
}  // namespace epvs::data
