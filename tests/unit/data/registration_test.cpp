// Registration by elastix against known motions, on heads that are exact functions of space; the
// similarity in closed form; elastix's files against transformix; a program that is not there.
#include <Eigen/Geometry>
#include <Eigen/LU>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <sstream>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/prepare/registration/elastix.h"
#include "data/prepare/registration/registration.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::centred_grid;
using tests::expect_error;
using tests::rigid_motion;
using tests::scan_head;
using tests::TemporaryFolder;

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
  EPVS_REQUIRE_ELASTIX();
  const Volume<float> fixed =
      scan_head(centred_grid({96, 112, 96}, {2, 2, 2}), Eigen::Matrix4d::Identity(), true);
  // A moving point m shows the head's point kMotion^-1 m, so fixed_to_moving is kMotion.
  const Volume<float> moving =
      scan_head(centred_grid({110, 120, 110}, {1.9, 1.9, 1.9}), kMotion.inverse(), false);
  const RegistrationResult result = register_volumes(fixed, moving, Motion::kRigid);
  EXPECT_LT(angle_degrees(result.fixed_to_moving, kMotion), 0.3);
  EXPECT_LT(shift_mm(result.fixed_to_moving, kMotion), 0.3);
  EXPECT_GT(result.information_after, result.information_before + 0.1);
  // The truth is not better than what was found, within the noise of the samples.
  EXPECT_LT(mutual_information(fixed, moving, kMotion), 1.01 * result.information_after);
}

TEST(Registration, RecoversAKnownRigidMotionWithSlicesOf6Mm) {
  EPVS_REQUIRE_ELASTIX();
  const Volume<float> fixed =
      scan_head(centred_grid({190, 220, 28}, {1, 1, 6}), Eigen::Matrix4d::Identity(), true, 6);
  const Volume<float> moving =
      scan_head(centred_grid({110, 120, 110}, {1.9, 1.9, 1.9}), kMotion.inverse(), false);
  const RegistrationResult result = register_volumes(fixed, moving, Motion::kRigid);
  EXPECT_LT(angle_degrees(result.fixed_to_moving, kMotion), 0.3);
  EXPECT_LT(shift_mm(result.fixed_to_moving, kMotion), 0.3);
}

TEST(Registration, RecoversAKnownAffineMotion) {
  EPVS_REQUIRE_ELASTIX();
  Eigen::Matrix4d affine = kMotion;
  affine.topLeftCorner<3, 3>() *= Eigen::Vector3d(1.08, 0.93, 1.05).asDiagonal();
  const Volume<float> fixed =
      scan_head(centred_grid({96, 112, 96}, {2, 2, 2}), Eigen::Matrix4d::Identity(), true);
  const Volume<float> moving =
      scan_head(centred_grid({110, 120, 110}, {2, 2, 2}), affine.inverse(), true);
  const Eigen::Matrix4d found = register_volumes(fixed, moving, Motion::kAffine).fixed_to_moving;
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
  EPVS_REQUIRE_ELASTIX();
  const Geometry plain = centred_grid({96, 112, 96}, {2, 2, 2});
  Geometry mirrored = plain;  // stored right to left, as radiological files are
  mirrored.affine(0, 0) = -plain.affine(0, 0);
  mirrored.affine(0, 3) = -plain.affine(0, 3);
  const Volume<float> fixed = scan_head(plain, Eigen::Matrix4d::Identity(), true);
  const Volume<float> moving = scan_head(mirrored, Eigen::Matrix4d::Identity(), false);
  const Eigen::Matrix4d found = register_volumes(fixed, moving, Motion::kRigid).fixed_to_moving;
  const Eigen::Vector4d cyst(-38, 22, 10, 1);
  EXPECT_LT((found * cyst - cyst).norm(), 0.5);
}

TEST(Registration, AHeadThatIsFarAwayAndTiltedIsFound) {
  EPVS_REQUIRE_ELASTIX();
  const Eigen::Matrix4d far = rigid_motion({-0.45, 0.1, 0.2}, {70.0, -40.0, 90.0});
  const Volume<float> fixed =
      scan_head(centred_grid({64, 75, 64}, {3, 3, 3}), Eigen::Matrix4d::Identity(), true);
  Volume<float> moving =
      scan_head(centred_grid({64, 75, 64}, {3, 3, 3}), Eigen::Matrix4d::Identity(), false);
  moving.geometry.affine = far * moving.geometry.affine;
  const Eigen::Matrix4d found = register_volumes(fixed, moving, Motion::kRigid).fixed_to_moving;
  EXPECT_LT(angle_degrees(found, far), 0.5);
  EXPECT_LT(shift_mm(found, far), 0.5);
}

TEST(Registration, TheLowerThirdOfAHeadIsFound) {
  EPVS_REQUIRE_ELASTIX();
  // Its centre of gravity lies far from that of the whole head; the headers are nearly right.
  const Eigen::Matrix4d motion = rigid_motion({0.05, -0.03, 0.04}, {3.0, -4.0, 2.0});
  Geometry slab = centred_grid({64, 75, 10}, {3, 3, 5});
  slab.affine(2, 3) -= 45;
  const Volume<float> fixed = scan_head(slab, Eigen::Matrix4d::Identity(), true);
  const Volume<float> moving =
      scan_head(centred_grid({64, 75, 64}, {3, 3, 3}), motion.inverse(), false);
  const Eigen::Matrix4d found = register_volumes(fixed, moving, Motion::kRigid).fixed_to_moving;
  const Eigen::Vector4d low(0, 0, -45, 1);
  EXPECT_LT(((found - motion) * low).norm(), 5);  // a slice
}

TEST(Registration, EqualScansGiveEqualResults) {
  EPVS_REQUIRE_ELASTIX();
  const Volume<float> fixed =
      scan_head(centred_grid({48, 56, 48}, {4, 4, 4}), Eigen::Matrix4d::Identity(), true);
  const Volume<float> moving = scan_head(centred_grid({48, 56, 48}, {4, 4, 4}), kMotion, false);
  const RegistrationResult one = register_volumes(fixed, moving, Motion::kRigid);
  // Whatever the threads that ITK, on which elastix is built, would take by itself.
  ::setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "4", 1);
  const RegistrationResult two = register_volumes(fixed, moving, Motion::kRigid);
  ::unsetenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS");
  EXPECT_EQ(one.fixed_to_moving, two.fixed_to_moving);
  EXPECT_EQ(one.information_after, two.information_after);
  const Volume<float> other = scan_head(centred_grid({48, 56, 47}, {4, 4, 4}), kMotion, false);
  EXPECT_NE(one.fixed_to_moving, register_volumes(fixed, other, Motion::kRigid).fixed_to_moving);
}

TEST(Similarity, IsTheEntropyOfAScanWithItselfAndZeroOfUnrelatedOnes) {
  // 16 intensities, each as often: the information is log 16.
  Volume<float> scan(centred_grid({32, 32, 32}, {2, 2, 2}));
  Volume<float> unrelated(scan.geometry);
  for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
    scan.voxels[i] = static_cast<float>(i % 16);
    unrelated.voxels[i] = static_cast<float>(i / 16 % 16);
  }
  const Eigen::Matrix4d stay = Eigen::Matrix4d::Identity();
  EXPECT_NEAR(mutual_information(scan, scan, stay), std::log(16.0), 1e-9);
  EXPECT_NEAR(mutual_information(scan, unrelated, stay), 0.0, 1e-9);
  // Another contrast of the same scan says as much.
  Volume<float> contrast = scan;
  for (float& voxel : contrast.voxels) voxel = 200 - 10 * voxel;
  EXPECT_NEAR(mutual_information(scan, contrast, stay), std::log(16.0), 1e-9);
}

TEST(Similarity, CountsTheOverlap) {
  Volume<float> scan(centred_grid({40, 40, 40}, {1, 1, 1}));  // every second voxel is a point
  for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
    scan.voxels[i] = static_cast<float>((i * 7919) % 1009);
  }
  Eigen::Matrix4d half = Eigen::Matrix4d::Identity();
  half(0, 3) = 20;
  Eigen::Matrix4d most = Eigen::Matrix4d::Identity();
  most(0, 3) = 32;
  const auto all = similarity(scan, scan, {Eigen::Matrix4d::Identity(), half, most});
  EXPECT_EQ(all[0].overlap, 1.0);
  EXPECT_EQ(all[1].overlap, 0.5);
  EXPECT_GT(all[1].information, 0);
  EXPECT_EQ(all[2].overlap, 0.2);
  EXPECT_EQ(all[2].information, 0);  // too few points
}

TEST(Registration, AConstantScanIsRefused) {
  const Volume<float> head =
      scan_head(centred_grid({48, 56, 48}, {4, 4, 4}), Eigen::Matrix4d::Identity(), true);
  const Volume<float> constant(head.geometry, 7.0F);
  expect_error<core::InputError>([&] { register_volumes(head, constant, Motion::kRigid); },
                                 {"same intensity nearly everywhere"});
}

/// Another PATH for the time of a test.
class ElastixOnPath : public testing::Test {
 protected:
  void SetUp() override { old_ = std::getenv("PATH"); }
  void TearDown() override { ::setenv("PATH", old_.c_str(), 1); }
  /// A program that says a word, leaves a trace of its arguments and fails.
  void stand_in(const std::string& name, const std::string& script) {
    const fs::path path = folder_ / name;
    core::write_text(path, "#!/bin/sh\n" + script);
    fs::permissions(path, fs::perms::owner_all);
    ::setenv("PATH", (folder_.path().string() + ":" + old_).c_str(), 1);
  }
  const TemporaryFolder folder_;
  const Volume<float> head_ =
      scan_head(centred_grid({20, 24, 20}, {8, 8, 8}), Eigen::Matrix4d::Identity(), true);

 private:
  std::string old_;
};

TEST_F(ElastixOnPath, IsNamedWithItsPackageWhenItIsMissing) {
  EPVS_REQUIRE_ELASTIX();
  EXPECT_NE(require_elastix().find("elastix version"), std::string::npos);
  ::setenv("PATH", folder_.path().c_str(), 1);
  for (const auto& call : std::vector<std::function<void()>>{
           [] { require_elastix(); }, [this] { register_volumes(head_, head_, Motion::kRigid); }}) {
    expect_error<core::UsageError>(
        call, {"needs the program elastix", "not on PATH", "apt-get install elastix"});
  }
}

TEST_F(ElastixOnPath, ItsExitStatusAndTheEndOfItsLogAreSaid) {
  stand_in("elastix", "echo first; echo the matrix is singular >&2; exit 7\n");
  expect_error<core::InputError>([this] { register_volumes(head_, head_, Motion::kRigid); },
                                 {"elastix", "7", "first | the matrix is singular"});
  expect_error<core::UsageError>([] { require_elastix(); },
                                 {"'elastix --version'", "7", "the matrix is singular"});
  stand_in("elastix", "exit 0\n");
  expect_error<core::InputError>([this] { register_volumes(head_, head_, Motion::kRigid); },
                                 {"the transform of elastix", "TransformParameters.0.txt"});
}

TEST_F(ElastixOnPath, HasOneThreadAndLeavesNoFolderBehind) {
  stand_in("elastix", "echo \"$@\" > \"" + (folder_ / "arguments").string() + "\"; pwd > \"" +
                          (folder_ / "place").string() + "\"; exit 1\n");
  EXPECT_THROW(register_volumes(head_, head_, Motion::kRigid), core::InputError);
  EXPECT_NE(core::read_text(folder_ / "arguments").find("-threads 1"), std::string::npos);
  const std::string place(core::trim(core::read_text(folder_ / "place")));
  EXPECT_NE(place.find("epvs-elastix-"), std::string::npos);
  EXPECT_FALSE(fs::exists(place));
}

/// What transformix needs beside the transform itself.
std::string with_image(const std::string& transform) {
  return transform +
         "(Size 20 20 20)\n(Index 0 0 0)\n(Spacing 1 1 1)\n(Origin 0 0 0)\n"
         "(Direction 1 0 0 0 1 0 0 0 1)\n(UseDirectionCosines \"true\")\n"
         "(ResampleInterpolator \"FinalBSplineInterpolator\")\n(Resampler \"DefaultResampler\")\n"
         "(FinalBSplineInterpolationOrder 1)\n(DefaultPixelValue 0)\n";
}

TEST(ElastixTransform, SendsPointsWhereTransformixSendsThem) {
  EPVS_REQUIRE_ELASTIX();
  const std::string end =
      "(InitialTransformParametersFileName \"NoInitialTransform\")\n"
      "(HowToCombineTransforms \"Compose\")\n(FixedImageDimension 3)\n(MovingImageDimension 3)\n"
      "(FixedInternalImagePixelType \"float\")\n(MovingInternalImagePixelType \"float\")\n";
  const std::string euler =
      "(Transform \"EulerTransform\")\n(NumberOfParameters 6)\n"
      "(TransformParameters 0.2 -0.3 0.4 5 -6 7)\n(CenterOfRotationPoint 10 -20 30)\n" +
      end;
  const std::string affine =
      "(Transform \"AffineTransform\")\n(NumberOfParameters 12)\n"
      "(TransformParameters 1.1 0.1 -0.05 0.02 0.9 0.03 -0.1 0.2 1.2 3 2 1)\n"
      "(CenterOfRotationPoint -4 8 15)\n" +
      end;
  const Eigen::Matrix4d own = rigid_motion({0.3, -0.2, 0.1}, {9, 8, -7});
  for (const std::string& text : {euler, affine, linear_transform_text(own)}) {
    const ElastixFolder folder;
    folder.write("transform.txt", with_image(text));
    const Eigen::Matrix4d ras = read_linear_transform(folder / "transform.txt");
    std::string points = "point\n3\n";
    std::vector<Eigen::Vector3d> expected;
    for (const double z : {-50.0, 5.0, 60.0}) {
      points += number_words({40 - z, 0.5 * z, z}) + "\n";
      const Eigen::Vector4d image = ras * Eigen::Vector4d(z - 40, -0.5 * z, z, 1);
      expected.emplace_back(-image[0], -image[1], image[2]);
    }
    folder.write("points.txt", points);
    folder.run_transformix({"-def", "points.txt", "-tp", "transform.txt"});
    const std::string answer = core::read_text(folder / "outputpoints.txt");
    const std::string key = "OutputPoint = [ ";
    std::size_t at = 0;
    for (const Eigen::Vector3d& point : expected) {
      at = answer.find(key, at) + key.size();
      std::istringstream words(answer.substr(at));
      Eigen::Vector3d image;
      words >> image[0] >> image[1] >> image[2];
      EXPECT_LT((image - point).norm(), 2e-5) << text;  // transformix prints 6 digits
    }
    if (text == linear_transform_text(own)) {
      EXPECT_LT((ras - own).norm(), 1e-12);
    }
  }
}

TEST(ElastixTransform, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& text, const std::string& message) {
    core::write_text(folder / "t.txt", text);
    expect_error<core::InputError>([&] { read_linear_transform(folder / "t.txt"); },
                                   {"t.txt", message});
  };
  refused("(Transform \"BSplineTransform\")\n", "Transform is 'BSplineTransform'");
  refused("(Transform \"EulerTransform\")\n(TransformParameters 1 2 3)\n",
          "TransformParameters does not have 6");
  refused("(Transform \"EulerTransform\")\n(TransformParameters 0 0 0 0 0 x)\n",
          "'x' is not a number");
  refused("(Transform \"EulerTransform\")\n(TransformParameters 0 0 0 0 0 0)\n",
          "CenterOfRotationPoint");
}

TEST(ElastixParameters, AreFoundAndReplacedByTheLine) {
  const std::string text = "(Size 1 2 3)\n// (Index 9)\n(IndexOf 4)\n(Name \"a\" \"b\")\n";
  EXPECT_EQ(parameter(text, "Name"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(parameter(text, "Index").empty());
  EXPECT_EQ(with_parameter(text, "Size", "7"), "(Size 7)\n" + text.substr(13));
  EXPECT_EQ(with_parameter(text, "Index", "0"), text + "(Index 0)\n");
}

}  // namespace
}  // namespace epvs::data
