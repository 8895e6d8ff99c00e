// Registration against known motions, on heads that are exact functions of space; transforms in
// files.
#include <Eigen/Geometry>
#include <Eigen/LU>
#include <cmath>
#include <fstream>

#include "core/error.h"
#include "core/files.h"
#include "data/image/registration.h"
#include "data/image/transform_file.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::centred_grid;
using tests::expect_error;
using tests::rigid_motion;
using tests::scan_head;
using tests::TemporaryFolder;

RegistrationOptions rigid_options() {
  RegistrationOptions options;
  options.motion = Motion::kRigid;
  options.level_spacing_mm = {8, 4, 0};
  options.samples = 20000;
  return options;
}

double angle_degrees(const Eigen::Matrix4d& a, const Eigen::Matrix4d& b) {
  const Eigen::Matrix3d difference = a.topLeftCorner<3, 3>() * b.topLeftCorner<3, 3>().transpose();
  return Eigen::AngleAxisd(difference).angle() * 180.0 / M_PI;
}

/// Distance in mm between where two transforms send the origin (the middle of the head).
double shift_mm(const Eigen::Matrix4d& a, const Eigen::Matrix4d& b) {
  return (a - b).topRightCorner<3, 1>().norm();
}

const Eigen::Matrix4d kMotion = rigid_motion({0.14, -0.06, 0.09}, {6.0, -9.0, 5.0});

TEST(Registration, RecoversAKnownRigidMotionBetweenContrasts) {
  const Volume<float> fixed =
      scan_head(centred_grid({96, 112, 96}, {2, 2, 2}), Eigen::Matrix4d::Identity(), true);
  // A moving point m shows the head's point kMotion^-1 m, so fixed_to_moving is kMotion.
  const Volume<float> moving =
      scan_head(centred_grid({110, 120, 110}, {1.9, 1.9, 1.9}), kMotion.inverse(), false);
  const RegistrationResult result = register_volumes(fixed, moving, rigid_options());
  EXPECT_LT(angle_degrees(result.fixed_to_moving, kMotion), 0.3);
  EXPECT_LT(shift_mm(result.fixed_to_moving, kMotion), 0.3);
  EXPECT_GT(result.information_after, result.information_before + 0.1);
  // The truth is not better than what was found, within the noise of the samples.
  EXPECT_LT(mutual_information(fixed, moving, kMotion, rigid_options()),
            1.01 * result.information_after);
}

TEST(Registration, RecoversAKnownRigidMotionWithSlicesOf6Mm) {
  const Volume<float> fixed =
      scan_head(centred_grid({190, 220, 28}, {1, 1, 6}), Eigen::Matrix4d::Identity(), true, 6);
  const Volume<float> moving =
      scan_head(centred_grid({110, 120, 110}, {1.9, 1.9, 1.9}), kMotion.inverse(), false);
  RegistrationOptions options = rigid_options();
  options.samples = 40000;
  const RegistrationResult result = register_volumes(fixed, moving, options);
  EXPECT_LT(angle_degrees(result.fixed_to_moving, kMotion), 0.3);
  EXPECT_LT(shift_mm(result.fixed_to_moving, kMotion), 0.3);
}

TEST(Registration, RecoversAKnownAffineMotion) {
  Eigen::Matrix4d affine = kMotion;
  affine.topLeftCorner<3, 3>() *= Eigen::Vector3d(1.08, 0.93, 1.05).asDiagonal();
  const Volume<float> fixed =
      scan_head(centred_grid({96, 112, 96}, {2, 2, 2}), Eigen::Matrix4d::Identity(), true);
  const Volume<float> moving =
      scan_head(centred_grid({110, 120, 110}, {2, 2, 2}), affine.inverse(), true);
  const Eigen::Matrix4d found = register_volumes(fixed, moving, {}).fixed_to_moving;
  double sum = 0;
  int count = 0;
  for (double x = -50; x <= 50; x += 25) {
    for (double y = -60; y <= 60; y += 30) {
      for (double z = -50; z <= 50; z += 25) {
        const Eigen::Vector4d point(x, y, z, 1);
        sum += ((found - affine) * point).norm();
        ++count;
      }
    }
  }
  EXPECT_LT(sum / count, 0.5);
}

TEST(Registration, LeftStaysLeftWhateverTheStoredOrder) {
  const Geometry plain = centred_grid({96, 112, 96}, {2, 2, 2});
  Geometry mirrored = plain;  // stored right to left, as radiological files are
  mirrored.affine(0, 0) = -plain.affine(0, 0);
  mirrored.affine(0, 3) = -plain.affine(0, 3);
  const Volume<float> fixed = scan_head(plain, Eigen::Matrix4d::Identity(), true);
  const Volume<float> moving = scan_head(mirrored, Eigen::Matrix4d::Identity(), false);
  const Eigen::Matrix4d found = register_volumes(fixed, moving, rigid_options()).fixed_to_moving;
  const Eigen::Vector4d cyst(-38, 22, 10, 1);
  EXPECT_LT((found * cyst - cyst).norm(), 0.5);
}

TEST(Registration, IsTheSameForOneAndTwoThreadsAndForEqualSeeds) {
  const Volume<float> fixed =
      scan_head(centred_grid({64, 75, 64}, {3, 3, 3}), Eigen::Matrix4d::Identity(), true);
  const Volume<float> moving = scan_head(centred_grid({64, 75, 64}, {3, 3, 3}), kMotion, false);
  RegistrationOptions options;
  options.level_spacing_mm = {8, 4};
  options.samples = 5000;
  limit_registration_threads(1);
  const RegistrationResult one = register_volumes(fixed, moving, options);
  limit_registration_threads(2);
  const RegistrationResult two = register_volumes(fixed, moving, options);
  EXPECT_EQ(one.fixed_to_moving, two.fixed_to_moving);
  EXPECT_EQ(one.information_after, two.information_after);
  options.seed = 2;  // the control: other sample points give another last digit
  EXPECT_NE(one.fixed_to_moving, register_volumes(fixed, moving, options).fixed_to_moving);
}

TEST(Registration, SaysWhatIsWrongWithScansAndOptions) {
  const Volume<float> head =
      scan_head(centred_grid({48, 56, 48}, {4, 4, 4}), Eigen::Matrix4d::Identity(), true);
  const Volume<float> constant(head.geometry, 7.0F);
  expect_error<core::InputError>([&] { register_volumes(head, constant, rigid_options()); },
                                 {"same intensity nearly everywhere"});
  RegistrationOptions options;
  options.level_spacing_mm.clear();
  expect_error<core::UsageError>([&] { options.validate(); }, {"level_spacing_mm", "no level"});
  options.level_spacing_mm = {-1};
  expect_error<core::UsageError>([&] { options.validate(); }, {"level_spacing_mm = -1", ">= 0"});
  options = {};
  options.samples = 10;
  expect_error<core::UsageError>([&] { options.validate(); }, {"samples = 10", ">= 1000"});
  options = {};
  options.bins = 2;
  expect_error<core::UsageError>([&] { options.validate(); }, {"bins = 2", ">= 8"});
  options = {};
  options.iterations = 0;
  expect_error<core::UsageError>([&] { options.validate(); }, {"iterations = 0", ">= 1"});
}

TEST(TransformFile, ComesBackAsItWasWritten) {
  const TemporaryFolder folder;
  Eigen::Matrix4d matrix = kMotion;
  matrix(0, 1) += 0.123456789012345;
  write_transform(folder / "a_xfm.txt", matrix);
  EXPECT_LT((read_itk_transform(folder / "a_xfm.txt") - matrix).norm(), 1e-12);
  // In the file the axes are LPS: the shift to the right (x > 0) is one to -x there.
  EXPECT_NE(core::read_text(folder / "a_xfm.txt").find("-6 9 5\n"), std::string::npos);
}

TEST(TransformFile, ReadsACentreOfRotation) {
  const TemporaryFolder folder;
  // x' = 2 (x - 10) + 10 + 1 along LPS x: RAS x' = 2 x + 10 - 1.
  core::write_text(folder / "b.txt",
                   "#Insight Transform File V1.0\n#Transform 0\n"
                   "Transform: MatrixOffsetTransformBase_double_3_3\n"
                   "Parameters: 2 0 0 0 1 0 0 0 1 1 0 0\nFixedParameters: 10 0 0\n");
  const Eigen::Vector4d image = read_itk_transform(folder / "b.txt") * Eigen::Vector4d(3, 4, 5, 1);
  EXPECT_NEAR(image[0], 2 * 3 + 10 - 1, 1e-12);
  EXPECT_NEAR(image[1], 4, 1e-12);
  EXPECT_NEAR(image[2], 5, 1e-12);
}

TEST(TransformFile, ReadsFslsScaledVoxels) {
  const TemporaryFolder folder;
  // FLIRT's identity means equal scaled voxels: the voxel grids' corners coincide.
  core::write_text(folder / "identity.mat", "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n");
  Geometry fixed = centred_grid({10, 12, 14}, {2, 2, 2});
  Geometry moving = centred_grid({20, 24, 28}, {1, 1, 1});
  moving.affine.topRightCorner<3, 1>() += Eigen::Vector3d(5, 6, 7);
  for (const bool radiological : {false, true}) {
    if (radiological) {  // FLIRT mirrors x where the determinant is positive only
      fixed.affine(0, 0) = -2;
      moving.affine(0, 0) = -1;
    }
    const Eigen::Matrix4d found = read_fsl_transform(folder / "identity.mat", fixed, moving);
    const double last_fixed = radiological ? 0 : 9;
    const double last_moving = radiological ? 0 : 19;
    const Eigen::Vector3d from = fixed.to_world({last_fixed, 3, 4});
    const Eigen::Vector3d to = moving.to_world({last_moving, 6, 8});
    EXPECT_LT(((found * from.homogeneous()).head<3>() - to).norm(), 1e-9);
  }
}

TEST(TransformFile, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  expect_error<core::InputError>([&] { read_itk_transform(folder / "none.txt"); },
                                 {"none.txt", "does not exist"});
  core::write_text(folder / "text.txt", "hello\n");
  expect_error<core::InputError>([&] { read_itk_transform(folder / "text.txt"); },
                                 {"text.txt", "not a transform"});
  core::write_text(folder / "flat.txt",
                   "#Insight Transform File V1.0\n#Transform 0\n"
                   "Transform: AffineTransform_double_3_3\n"
                   "Parameters: 1 0 0 0 1 0 0 0 0 0 0 0\nFixedParameters: 0 0 0\n");
  expect_error<core::InputError>([&] { read_itk_transform(folder / "flat.txt"); }, {"singular"});
  core::write_text(folder / "short.mat", "1 0 0\n");
  expect_error<core::InputError>(
      [&] { read_fsl_transform(folder / "short.mat", Geometry{}, Geometry{}); }, {"4x4"});
}

}  // namespace
}  // namespace epvs::data
