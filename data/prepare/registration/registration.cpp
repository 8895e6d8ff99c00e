#include "data/prepare/registration/registration.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <vector>

#include "data/prepare/registration/elastix.h"

namespace epvs::data {

namespace {

Eigen::Vector3d centre_of_gravity(const Volume<float>& scan) {
  Eigen::Vector3d sum = Eigen::Vector3d::Zero();
  double weight = 0;
  for (std::int64_t z = 0; z < scan.geometry.shape[2]; ++z) {
    for (std::int64_t y = 0; y < scan.geometry.shape[1]; ++y) {
      for (std::int64_t x = 0; x < scan.geometry.shape[0]; ++x) {
        const double value = std::max(0.0, static_cast<double>(scan.at(x, y, z)));
        sum += value * Eigen::Vector3d(static_cast<double>(x), static_cast<double>(y),
                                       static_cast<double>(z));
        weight += value;
      }
    }
  }
  return scan.geometry.to_world(weight > 0 ? Eigen::Vector3d(sum / weight) : sum);
}

/// The best of six poses: as the headers say, and with the centres of gravity one on the other, each
/// as it is and pitched by 15 degrees both ways.
Eigen::Matrix4d best_start(const Volume<float>& fixed, const Volume<float>& moving) {
  const Eigen::Vector3d centre = centre_of_gravity(fixed);
  std::vector<Eigen::Matrix4d> starts;
  for (const Eigen::Vector3d& shift :
       {Eigen::Vector3d(0, 0, 0), Eigen::Vector3d(centre_of_gravity(moving) - centre)}) {
    for (const double pitch : {0.0, -0.26, 0.26}) {
      const Eigen::Matrix3d turn =
          Eigen::AngleAxisd(pitch, Eigen::Vector3d::UnitX()).toRotationMatrix();
      Eigen::Matrix4d start = Eigen::Matrix4d::Identity();
      start.topLeftCorner<3, 3>() = turn;
      start.topRightCorner<3, 1>() = centre + shift - turn * centre;
      starts.push_back(start);
    }
  }
  const std::vector<Similarity> fits = similarity(fixed, moving, starts);
  const auto best =
      std::max_element(fits.begin(), fits.end(), [](const Similarity& a, const Similarity& b) {
        return a.information * a.overlap < b.information * b.overlap;
      });
  return starts[static_cast<std::size_t>(best - fits.begin())];
}

}  // namespace

RegistrationResult register_volumes(const Volume<float>& fixed, const Volume<float>& moving,
                                    Motion motion) {
  const ElastixFolder folder;
  RegistrationResult result;
  Eigen::Matrix4d& matrix = result.fixed_to_moving;
  matrix = best_start(fixed, moving);
  folder.write("start.txt", linear_transform_text(matrix));
  folder.write("fixed.nii", fixed);
  folder.write("moving.nii", moving);
  folder.write("rigid.txt", rigid_parameters(fixed.geometry, moving.geometry));
  std::vector<std::string> stages = {"-t0", "start.txt", "-p", "rigid.txt"};
  if (motion == Motion::kAffine) {
    folder.write("affine.txt", affine_parameters(fixed.geometry, moving.geometry));
    stages.insert(stages.end(), {"-p", "affine.txt"});
  }
  folder.run_elastix(stages);
  matrix = read_linear_transform(folder / "TransformParameters.0.txt") * matrix;
  if (motion == Motion::kAffine) {
    matrix = read_linear_transform(folder / "TransformParameters.1.txt") * matrix;
  }
  const std::vector<Similarity> fits =
      similarity(fixed, moving, {Eigen::Matrix4d::Identity(), matrix});
  result.information_before = fits[0].information;
  result.information_after = fits[1].information;
  result.overlap = fits[1].overlap;
  return result;
}

}  // namespace epvs::data
