// elastix as another program for registration: its transforms against transformix's own points, a
// known motion, and the atlas route beside an affine registration by elastix.
#include <Eigen/Geometry>
#include <array>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/registration/deformable_registration.h"
#include "data/prepare/registration/elastix_program.h"
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

bool starts(const std::string& program) {
  return std::system((program + " --version >/dev/null 2>&1").c_str()) == 0;
}

#define EPVS_REQUIRE_PROGRAM(name) \
  if (!starts(name)) EPVS_SKIP_WITHOUT("elastix", std::string(name) + " is not installed")

std::string image_entries() {
  return "(FixedImageDimension 3)\n(MovingImageDimension 3)\n"
         "(FixedInternalImagePixelType \"float\")\n(MovingInternalImagePixelType \"float\")\n"
         "(Size 20 20 20)\n(Index 0 0 0)\n(Spacing 1 1 1)\n(Origin 0 0 0)\n"
         "(Direction 1 0 0 0 1 0 0 0 1)\n(UseDirectionCosines \"true\")\n"
         "(ResampleInterpolator \"FinalBSplineInterpolator\")\n(FinalBSplineInterpolationOrder 1)\n"
         "(Resampler \"DefaultResampler\")\n(DefaultPixelValue 0)\n(ResultImageFormat \"nii\")\n"
         "(ResultImagePixelType \"float\")\n(CompressResultImage \"false\")\n";
}

std::string transform_text(const std::string& kind, const std::string& numbers, int count,
                           const std::string& extra = "(CenterOfRotationPoint 10 -20 30)\n",
                           const std::string& initial = "NoInitialTransform") {
  return "(Transform \"" + kind + "\")\n(NumberOfParameters " + std::to_string(count) +
         ")\n(TransformParameters " + numbers + ")\n(InitialTransformParametersFileName \"" +
         initial + "\")\n(HowToCombineTransforms \"Compose\")\n" + extra + image_entries();
}

/// Where transformix sends points (LPS).
std::vector<Eigen::Vector3d> transformix(const fs::path& folder, const fs::path& parameters,
                                         const std::vector<Eigen::Vector3d>& points) {
  std::ostringstream text;
  text << "point\n" << points.size() << "\n";
  text.precision(17);
  for (const Eigen::Vector3d& p : points) text << p[0] << " " << p[1] << " " << p[2] << "\n";
  core::write_text(folder / "points.txt", text.str());
  const std::string command = "transformix -def '" + (folder / "points.txt").string() + "' -tp '" +
                              parameters.string() + "' -out '" + folder.string() +
                              "' >/dev/null 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::vector<Eigen::Vector3d> images;
  std::istringstream lines(core::read_text(folder / "outputpoints.txt"));
  for (std::string line; std::getline(lines, line);) {
    const std::string key = "OutputPoint = [ ";
    const std::size_t at = line.find(key);
    if (at == std::string::npos) continue;
    std::istringstream numbers(line.substr(at + key.size()));
    Eigen::Vector3d image;
    numbers >> image[0] >> image[1] >> image[2];
    images.push_back(image);
  }
  return images;
}

TEST(ElastixTransform, SendsPointsWhereTransformixSendsThem) {
  EPVS_REQUIRE_PROGRAM("transformix");
  const TemporaryFolder folder;
  core::write_text(folder / "xyz.txt",
                   transform_text("EulerTransform", "0.2 -0.3 0.4 5 -6 7", 6,
                                  "(CenterOfRotationPoint 10 -20 30)\n(ComputeZYX \"false\")\n"));
  core::write_text(folder / "zyx.txt",
                   transform_text("EulerTransform", "0.2 -0.3 0.4 5 -6 7", 6,
                                  "(CenterOfRotationPoint 10 -20 30)\n(ComputeZYX \"true\")\n"));
  core::write_text(
      folder / "affine.txt",
      transform_text("AffineTransform", "1.1 0.1 -0.05 0.02 0.9 0.03 -0.1 0.2 1.2 3 2 1", 12,
                     "(CenterOfRotationPoint -4 8 15)\n", (folder / "xyz.txt").string()));
  core::write_text(folder / "shift.txt",
                   transform_text("TranslationTransform", "1 2 3", 3, "", "affine.txt"));
  core::Random random(3);
  std::vector<Eigen::Vector3d> points;
  for (int i = 0; i < 8; ++i) {
    points.emplace_back(random.uniform(-60, 60), random.uniform(-60, 60), random.uniform(-60, 60));
  }
  for (const char* name : {"xyz.txt", "zyx.txt", "affine.txt"}) {
    const Eigen::Matrix4d ras = read_elastix_transform(folder / name);
    const std::vector<Eigen::Vector3d> images = transformix(folder.path(), folder / name, points);
    ASSERT_EQ(images.size(), points.size());
    for (std::size_t i = 0; i < points.size(); ++i) {
      const Eigen::Vector4d at(-points[i][0], -points[i][1], points[i][2], 1);
      const Eigen::Vector4d image = ras * at;
      const Eigen::Vector3d lps(-image[0], -image[1], image[2]);
      EXPECT_LT((lps - images[i]).norm(), 2e-5) << name;  // transformix prints 6 digits
    }
  }
  EXPECT_GT(
      (read_elastix_transform(folder / "xyz.txt") - read_elastix_transform(folder / "zyx.txt"))
          .norm(),
      0.05);
  // A relative name is found beside the file; a shift comes after what it is composed with.
  const Eigen::Matrix4d shifted = read_elastix_transform(folder / "shift.txt");
  const Eigen::Matrix4d before = read_elastix_transform(folder / "affine.txt");
  EXPECT_LT(((shifted - before).topRightCorner<3, 1>() - Eigen::Vector3d(-1, -2, 3)).norm(), 1e-12);
}

TEST(ElastixTransform, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& text, const std::string& message) {
    core::write_text(folder / "t.txt", text);
    expect_error<core::InputError>([&] { read_elastix_transform(folder / "t.txt"); },
                                   {"t.txt", message});
  };
  refused(transform_text("BSplineTransform", "1 2 3", 3), "Transform is 'BSplineTransform'");
  refused(transform_text("EulerTransform", "1 2 3", 3), "TransformParameters does not have 6");
  refused(transform_text("EulerTransform", "0 0 0 0 0 x", 6), "'x' is not a number");
  refused(transform_text("EulerTransform", "0 0 0 0 0 0", 6, ""), "CenterOfRotationPoint");
  std::string added = transform_text("EulerTransform", "0 0 0 0 0 0", 6,
                                     "(CenterOfRotationPoint 0 0 0)\n", "t.txt");
  refused(added, "more than 16 transforms");
  added.replace(added.find("Compose"), 7, "Add");
  refused(added, "added, not composed");
  expect_error<core::InputError>([&] { read_elastix_transform(folder / "none.txt"); },
                                 {"the transform of elastix", "none.txt"});
}

TEST(ElastixProgram, AMissingOrFailingProgramIsSaid) {
  expect_error<core::UsageError>([] { require_elastix("epvs-no-such-program"); },
                                 {"'epvs-no-such-program' cannot be started", "apt-get install"});
  expect_error<core::UsageError>([] { require_elastix("false"); }, {"failed with status 1"});
  const Volume<float> head =
      scan_head(centred_grid({20, 24, 20}, {8, 8, 8}), Eigen::Matrix4d::Identity(), true);
  expect_error<core::InputError>([&] { register_with_elastix(head, head, {}, "false"); },
                                 {"elastix failed with status 1"});
  expect_error<core::InputError>([&] { register_with_elastix(head, head, {}, "true"); },
                                 {"elastix failed with status 0"});
  expect_error<core::UsageError>(
      [&] { register_with_elastix(head, head, {}, "epvs-no-such-program"); },
      {"cannot be started"});
}

TEST(ElastixProgram, AKnownMotionIsRecovered) {
  EPVS_REQUIRE_PROGRAM("elastix");
  const Eigen::Matrix4d motion = rigid_motion({0.10, -0.06, 0.08}, {6.0, -9.0, 5.0});
  const Volume<float> fixed =
      scan_head(centred_grid({64, 75, 64}, {3, 3, 3}), Eigen::Matrix4d::Identity(), true);
  const Volume<float> moving =
      scan_head(centred_grid({64, 75, 64}, {3, 3, 3}), motion.inverse(), false);
  RegistrationOptions options;
  options.motion = Motion::kRigid;
  options.level_spacing_mm = {3};
  const RegistrationResult found = register_with_elastix(fixed, moving, options);
  const Eigen::Matrix4d difference = found.fixed_to_moving * motion.inverse();
  EXPECT_LT(
      Eigen::AngleAxisd(Eigen::Matrix3d(difference.topLeftCorner<3, 3>())).angle() * 180 / M_PI,
      0.5);
  const Eigen::Vector4d shift = (found.fixed_to_moving - motion).col(3);
  EXPECT_LT(shift.norm(), 0.5);
  EXPECT_GT(found.information_after, found.information_before);
  EXPECT_EQ(found.fixed_to_moving, register_with_elastix(fixed, moving, options).fixed_to_moving);
}

double dice(const Volume<std::int32_t>& a, const Volume<std::int32_t>& b,
            const std::set<std::int32_t>& labels) {
  double both = 0;
  double sum = 0;
  for (std::size_t i = 0; i < a.voxels.size(); ++i) {
    const bool in_a = labels.contains(a.voxels[i]);
    const bool in_b = labels.contains(b.voxels[i]);
    both += in_a && in_b ? 1 : 0;
    sum += (in_a ? 1 : 0) + (in_b ? 1 : 0);
  }
  return 2 * both / sum;
}

TEST(AtlasRoute, AgreesWithAnAffineRegistrationByElastix) {
  EPVS_REQUIRE_PROGRAM("elastix");
  EPVS_REQUIRE_TEST_DATA(patient, "mni_space_patient");
  EPVS_REQUIRE_TEST_DATA(atlases, "mni152");
  const Volume<float> scan = read_scan(patient / "T2.nii.gz").image;
  const Volume<float> head = read_scan(atlases / "MNI152_T2_1mm_brain.nii.gz").image;
  const Volume<std::int32_t> labels = read_labels(atlases / "Atlas_ROIs.2.nii.gz");
  const Eigen::Matrix4d ours = register_volumes(scan, head, {}).fixed_to_moving;
  const Eigen::Matrix4d theirs = register_with_elastix(scan, head, {}).fixed_to_moving;
  const Volume<std::int32_t> a = resample_labels(labels, scan.geometry, ours, 2);
  const Volume<std::int32_t> b = resample_labels(labels, scan.geometry, theirs, 2);
  const double bg = dice(a, b, {11, 50, 12, 51, 13, 52, 26, 58});
  const double hippocampi = dice(a, b, {17, 53});
  RecordProperty("dice_bg", std::to_string(bg));
  RecordProperty("dice_hippocampi", std::to_string(hippocampi));
  EXPECT_GT(bg, 0.8);
  EXPECT_GT(hippocampi, 0.8);
  // The control: without registration the two do not agree so well.
  EXPECT_LT(dice(resample_labels(labels, scan.geometry), b, {11, 50, 12, 51, 13, 52, 26, 58}), 0.8);
}

TEST(AtlasRoute, TheDeformableStageRaisesTheInformationAndDoesNotFold) {
  EPVS_REQUIRE_TEST_DATA(patient, "mni_space_patient");
  EPVS_REQUIRE_TEST_DATA(atlases, "mni152");
  const Volume<float> scan = read_scan(patient / "T2.nii.gz").image;
  const Volume<float> head = read_scan(atlases / "MNI152_T2_1mm_brain.nii.gz").image;
  RegistrationOptions affine;
  affine.level_spacing_mm = {8, 4};
  const Eigen::Matrix4d start = register_volumes(scan, head, affine).fixed_to_moving;
  const DeformableResult found = register_deformable(scan, head, start);
  RecordProperty("information_affine", std::to_string(found.information_before));
  RecordProperty("information_deformable", std::to_string(found.information_after));
  RecordProperty("jacobian_min", std::to_string(found.jacobian_min));
  EXPECT_GT(found.information_after, 1.08 * found.information_before);
  EXPECT_GT(found.jacobian_min, 0.3);
}

/// The anterior commissure crosses the midline as a bright band on T1w and a dark one on T2w scans,
/// with fluid behind it: the extreme near the default point is where it is.
TEST(AnteriorCommissure, TheDefaultPointLiesOnItInTheTemplates) {
  EPVS_REQUIRE_TEST_DATA(atlases, "mni152");
  const Eigen::Vector3d usual(0, 3, -4);
  for (const bool t1 : {true, false}) {
    const Volume<float> head =
        read_scan(atlases / (t1 ? "MNI152_T1_1mm_brain.nii.gz" : "MNI152_T2_1mm_brain.nii.gz"))
            .image;
    const auto value = [&](double x, double y, double z) {
      const Eigen::Vector3d voxel = head.geometry.to_voxel({x, y, z});
      const float found =
          head.at(std::llround(voxel[0]), std::llround(voxel[1]), std::llround(voxel[2]));
      return static_cast<double>(t1 ? found : -found);
    };
    Eigen::Vector3d best = usual;
    for (double y = -2; y <= 6; ++y) {
      for (double z = -8; z <= -3; ++z) {  // above -2 begin the columns of the fornix
        if (value(0, y, z) > value(0, best[1], best[2])) best = {0, y, z};
      }
    }
    EXPECT_LE((best - usual).norm(), 1.5) << (t1 ? "T1 " : "T2 ") << best.transpose();
    // A band from side to side: more like its middle than what lies 5 mm behind, above and below.
    for (const double x : {-6.0, 6.0}) {
      EXPECT_GT(value(x, best[1], best[2] - 0.5), value(0, best[1] - 5, best[2]));
      EXPECT_GT(value(x, best[1], best[2] - 0.5), value(x, best[1], best[2] + 5));
      EXPECT_GT(value(x, best[1], best[2] - 0.5), value(0, best[1], best[2] - 5));
    }
  }
}

}  // namespace
}  // namespace epvs::data
