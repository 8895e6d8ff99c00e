// Registration of the real clinical scans, compared with the transforms that are shipped with them.
#include <Eigen/Geometry>
#include <algorithm>
#include <string>

#include "data/formats/nifti.h"
#include "data/prepare/registration/registration.h"
#include "data/prepare/registration/transform_file.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

/// The transforms that are shipped with the clinical scans, over the voxels of the head.
class ReferenceTransforms : public testing::TestWithParam<const char*> {};

TEST_P(ReferenceTransforms, AreReachedWithin0p8Mm) {
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
  RegistrationOptions options;
  options.motion = Motion::kRigid;
  options.level_spacing_mm = {8, 4, 2, 0};
  const RegistrationResult result = register_volumes(fixed, moving, options);
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
  EXPECT_GT(result.information_after, 0.99 * mutual_information(fixed, moving, reference, options));
}

INSTANTIATE_TEST_SUITE_P(Clinical, ReferenceTransforms,
                         testing::Values("ms01 T1w", "ms01 T2w", "ms03 T2w", "ms04 T1w", "ms04 T2w",
                                         "ms12 T1w", "ms12 T2w"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           name[4] = '_';
                           return name;
                         });

}  // namespace
}  // namespace epvs::data
