// The gates of registration on real scans: the transforms that are shipped with them, and those of
// elastix run by itself with its own settings.
#include <Eigen/Geometry>
#include <algorithm>
#include <set>
#include <string>

#include "core/files.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/registration/deformation.h"
#include "data/prepare/registration/elastix.h"
#include "data/prepare/registration/registration.h"
#include "data/prepare/registration/transform_file.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;

/// The transforms that are shipped with the clinical scans, over the voxels of the head.
class ReferenceTransforms : public testing::TestWithParam<const char*> {};

TEST_P(ReferenceTransforms, AreReachedWithin0p8Mm) {
  EPVS_REQUIRE_ELASTIX();
  EPVS_REQUIRE_TEST_DATA(folder, "clinical_bids");
  const std::string pair = GetParam();  // "ms12 T1w"
  const std::string id = "sub-" + pair.substr(0, 4);
  const std::string kind = pair.substr(5);
  const std::filesystem::path anat = folder / id / "anat";
  const Volume<float> fixed = read_scan(anat / (id + "_FLAIR.nii.gz")).image;
  const Volume<float> moving = read_scan(anat / (id + "_" + kind + ".nii.gz")).image;
  const Eigen::Matrix4d reference =
      read_itk_transform(folder / "derivatives" / "reference-transforms" /
                         (id + "_from-FLAIR_to-" + kind + "_xfm.txt"));
  const RegistrationResult result = register_volumes(fixed, moving, Motion::kRigid);
  std::vector<float> sorted = fixed.voxels;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() * 6 / 10);
  std::nth_element(sorted.begin(), middle, sorted.end());
  double sum = 0;
  double count = 0;
  for (std::int64_t z = 0; z < fixed.geometry.shape[2]; ++z) {
    for (std::int64_t y = 0; y < fixed.geometry.shape[1]; y += 5) {
      for (std::int64_t x = 0; x < fixed.geometry.shape[0]; x += 5) {
        if (fixed.at(x, y, z) < *middle) continue;  // about the head
        const Eigen::Vector3d world = fixed.geometry.to_world(
            {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
        sum += ((reference - result.fixed_to_moving) * world.homogeneous()).head<3>().norm();
        count += 1;
      }
    }
  }
  RecordProperty("mean_distance_mm", std::to_string(sum / count));
  EXPECT_LT(sum / count, 0.8);
  EXPECT_GT(result.information_after, 0.99 * mutual_information(fixed, moving, reference));
}

INSTANTIATE_TEST_SUITE_P(Clinical, ReferenceTransforms,
                         testing::Values("ms01 T1w", "ms01 T2w", "ms03 T2w", "ms04 T1w", "ms04 T2w",
                                         "ms12 T1w", "ms12 T2w"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           name[4] = '_';
                           return name;
                         });

const std::set<std::int32_t> kBasalGanglia = {11, 50, 12, 51, 13, 52, 26, 58};
const std::set<std::int32_t> kHippocampi = {17, 53};

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

/// The atlas route on a patient, beside elastix run by itself with its own settings (tests/golden:
/// affine from the start, then a B-spline; other pyramids, points and iterations than ours), whose
/// labels transformix carries.
TEST(AtlasRoute, AgreesWithElastixRunByItself) {
  EPVS_REQUIRE_ELASTIX();
  EPVS_REQUIRE_TEST_DATA(patient, "mni_space_patient");
  EPVS_REQUIRE_TEST_DATA(atlases, "mni152");
  const fs::path golden = tests::source_folder() / "tests/golden/data/elastix";
  const fs::path atlas = atlases / "Atlas_ROIs.2.nii.gz";
  const ElastixFolder theirs;
  for (const char* name : {"TransformParameters.0.txt", "TransformParameters.1.txt"}) {
    const std::string text = core::read_text(golden / name);
    core::write_text(theirs / name, with_parameter(text, "ResultImageFormat", "\"nii\""));
  }
  theirs.run_transformix({"-in", fs::absolute(atlas).string(), "-tp", "TransformParameters.1.txt"});

  const Volume<float> scan = read_scan(patient / "T2.nii.gz").image;
  const Volume<float> head = read_scan(atlases / "MNI152_T2_1mm_brain.nii.gz").image;
  const Volume<std::int32_t> labels = read_labels(atlas);
  const Eigen::Matrix4d ours = register_volumes(scan, head, Motion::kAffine).fixed_to_moving;
  const auto agree = [&](const std::string& name, const Volume<std::int32_t>& a,
                         const Volume<std::int32_t>& b, double bg, double hippocampi) {
    RecordProperty(name + "_bg", std::to_string(dice(a, b, kBasalGanglia)));
    RecordProperty(name + "_hippocampi", std::to_string(dice(a, b, kHippocampi)));
    EXPECT_GE(dice(a, b, kBasalGanglia), bg) << name;
    EXPECT_GE(dice(a, b, kHippocampi), hippocampi) << name;
  };
  const Volume<std::int32_t> by_affine = resample_labels(labels, scan.geometry, ours, 2);
  agree("affine", by_affine,
        resample_labels(labels, scan.geometry,
                        read_linear_transform(theirs / "TransformParameters.0.txt"), 2),
        0.95, 0.90);
  // The control: without registration the two do not agree.
  const Volume<std::int32_t> deformed = read_labels(theirs / "result.nii");
  EXPECT_LT(dice(resample_labels(labels, scan.geometry), by_affine, kBasalGanglia), 0.8);

  const DeformableResult found = register_deformable(scan, head, ours);
  const Volume<std::int32_t> moved = deformed_labels(labels, found.deformation);
  agree("deformable", resample_labels(moved, scan.geometry, ours, 2), deformed, 0.88, 0.84);
  // The affine alone is not enough.
  RecordProperty("affine_bg_against_bspline",
                 std::to_string(dice(by_affine, deformed, kBasalGanglia)));
  EXPECT_LT(dice(by_affine, deformed, kBasalGanglia), 0.85);
  RecordProperty("information_affine", std::to_string(found.information_before));
  RecordProperty("information_deformable", std::to_string(found.information_after));
  EXPECT_GT(found.information_after, found.information_before);
  const double jacobian = smallest_jacobian(found.deformation, head.geometry);
  RecordProperty("jacobian_min", std::to_string(jacobian));
  EXPECT_GT(jacobian, 0.3);
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
