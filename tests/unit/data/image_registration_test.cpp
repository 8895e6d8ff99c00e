// Registration against known motions, on heads that are exact functions of space.
#include <Eigen/Geometry>
#include <Eigen/LU>
#include <cmath>

#include "core/error.h"
#include "data/prepare/registration/registration.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::centred_grid;
using tests::expect_error;
using tests::rigid_motion;
using tests::scan_head;

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

}  // namespace
}  // namespace epvs::data
