#include "data/prepare/registration/deformation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/registration/elastix.h"
#include "data/prepare/registration/registration.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kAffineEntry = "EpvsAffine";
constexpr double kLabelSpacingMm = 1.0;
constexpr double kLabelMarginMm = 25.0;  ///< no label moves farther
constexpr double kJacobianSpacingMm = 4.0;

/// An isotropic grid along the world axes that holds the box.
Geometry world_grid(const Eigen::Vector3d& low, const Eigen::Vector3d& high, double spacing_mm) {
  Geometry grid;
  for (Eigen::Index axis = 0; axis < 3; ++axis) {
    grid.affine(axis, axis) = spacing_mm;
    grid.affine(axis, 3) = low[axis];
    grid.shape[static_cast<std::size_t>(axis)] =
        static_cast<std::int64_t>(std::ceil((high[axis] - low[axis]) / spacing_mm)) + 1;
  }
  return grid;
}

/// Of the voxel centres that `wanted` chooses, by their indices.
template <class Wanted>
std::pair<Eigen::Vector3d, Eigen::Vector3d> world_box(const Geometry& geometry, Wanted wanted) {
  Eigen::Vector3d low = Eigen::Vector3d::Constant(1e30);
  Eigen::Vector3d high = -low;
  for_each_voxel(geometry.shape, [&](auto x, auto y, auto z) {
    if (!wanted(x, y, z)) return;
    const Eigen::Vector3d world = geometry.to_world(x, y, z);
    low = low.cwiseMin(world);
    high = high.cwiseMax(world);
  });
  return {low, high};
}

/// The B-spline with `grid` as the grid on which transformix makes its images.
std::string on_grid(const Deformation& deformation, const Geometry& grid) {
  const double spacing = grid.affine(0, 0);
  std::string text =
      with_parameter(deformation.bspline, "Size",
                     fmt::format("{} {} {}", grid.shape[0], grid.shape[1], grid.shape[2]));
  text = with_parameter(text, "Index", "0 0 0");
  text = with_parameter(text, "Spacing", number_words({spacing, spacing, spacing}));
  text = with_parameter(text, "Origin",
                        number_words({-grid.affine(0, 3), -grid.affine(1, 3), grid.affine(2, 3)}));
  return with_parameter(text, "Direction", "-1 0 0 0 -1 0 0 0 1");
}

}  // namespace

DeformableResult register_deformable(const Volume<float>& scan, const Volume<float>& template_scan,
                                     const Eigen::Matrix4d& scan_to_template) {
  const ElastixFolder folder;
  folder.write("fixed.nii", scan);
  folder.write("moving.nii", template_scan);
  folder.write("affine.txt", linear_transform_text(scan_to_template));
  folder.write("bspline.txt", bspline_parameters(scan.geometry, template_scan.geometry));
  folder.run_elastix({"-t0", "affine.txt", "-p", "bspline.txt"});
  DeformableResult result;
  result.deformation.affine = scan_to_template;
  std::string text = core::read_text(folder / "TransformParameters.0.txt");
  for (const char* key :
       {"InitialTransformParametersFileName", "InitialTransformParameterFileName"}) {
    if (!parameter(text, key).empty()) text = with_parameter(text, key, "\"NoInitialTransform\"");
  }
  // transformix is to show labels: the nearest voxel, no mixture of two.
  result.deformation.bspline = with_parameter(text, "FinalBSplineInterpolationOrder", "0");
  const Eigen::Matrix4d stay = Eigen::Matrix4d::Identity();
  const Volume<float> before =
      resample(template_scan, scan.geometry, Interpolation::kLinear, scan_to_template);
  result.information_before = mutual_information(scan, before, stay);
  Volume<float> after = read_scan(folder / "result.0.nii").image;
  after.geometry = scan.geometry;  // without the rounding of the file's header
  result.information_after = mutual_information(scan, after, stay);
  return result;
}

Volume<std::int32_t> deformed_labels(const Volume<std::int32_t>& labels,
                                     const Deformation& deformation) {
  const auto [low, high] = world_box(
      labels.geometry, [&labels](auto x, auto y, auto z) { return labels.at(x, y, z) != 0; });
  const Eigen::Vector3d margin = Eigen::Vector3d::Constant(kLabelMarginMm);
  const Geometry grid = world_grid(low - margin, high + margin, kLabelSpacingMm);
  Volume<float> values(labels.geometry);
  std::copy(labels.voxels.begin(), labels.voxels.end(), values.voxels.begin());
  const ElastixFolder folder;
  folder.write("labels.nii", values);
  folder.write("bspline.txt", on_grid(deformation, grid));
  folder.run_transformix({"-in", "labels.nii", "-tp", "bspline.txt"});
  Volume<std::int32_t> deformed = read_labels(folder / "result.nii");
  deformed.geometry.affine = grid.affine;  // without the rounding of the file's header
  return deformed;
}

double smallest_jacobian(const Deformation& deformation, const Geometry& view) {
  const auto [low, high] = world_box(view, [&view](auto x, auto y, auto z) {
    return (x == 0 || x == view.shape[0] - 1) && (y == 0 || y == view.shape[1] - 1) &&
           (z == 0 || z == view.shape[2] - 1);
  });
  const ElastixFolder folder;
  folder.write("bspline.txt", on_grid(deformation, world_grid(low, high, kJacobianSpacingMm)));
  folder.run_transformix({"-jac", "all", "-tp", "bspline.txt"});
  const Volume<float> jacobian = read_scan(folder / "spatialJacobian.nii").image;
  return *std::min_element(jacobian.voxels.begin(), jacobian.voxels.end());
}

Eigen::Vector3d undeformed(const Deformation& deformation, const Eigen::Vector3d& target) {
  const ElastixFolder folder;
  folder.write("bspline.txt", deformation.bspline);
  Eigen::Vector3d point = target;
  // Converges where the derivative of the displacement is below 1, as it is without folding.
  for (int i = 0; i < 20; ++i) {
    folder.write("points.txt",
                 fmt::format("point\n1\n{}\n", number_words({-point[0], -point[1], point[2]})));
    folder.run_transformix({"-def", "points.txt", "-tp", "bspline.txt"});
    const std::string line = core::read_text(folder / "outputpoints.txt");
    Eigen::Vector3d image;
    const std::string key = "OutputPoint = [ ";
    const std::size_t at = line.find(key);
    std::istringstream words(at == std::string::npos ? "" : line.substr(at + key.size()));
    if (!(words >> image[0] >> image[1] >> image[2])) {
      throw core::InputError("transformix wrote no point: " + line.substr(0, 200));
    }
    const Eigen::Vector3d rest = target - Eigen::Vector3d(-image[0], -image[1], image[2]);
    if (rest.norm() < 0.01) return point;
    point += rest;
  }
  throw core::InputError(fmt::format("the deformation has no inverse near {:.1f},{:.1f},{:.1f} mm",
                                     target[0], target[1], target[2]),
                         "it folds there: use --atlas-registration affine");
}

void write_deformation(const fs::path& path, const Deformation& deformation) {
  std::vector<double> numbers;
  for (Eigen::Index i = 0; i < 12; ++i) numbers.push_back(deformation.affine(i / 4, i % 4));
  core::write_text(path, with_parameter(deformation.bspline, kAffineEntry, number_words(numbers)));
}

Deformation read_deformation(const fs::path& path) {
  core::require_exists(path, "the deformation");
  Deformation deformation;
  deformation.bspline = core::read_text(path);
  const std::vector<std::string> words = parameter(deformation.bspline, kAffineEntry);
  const std::vector<std::string> kind = parameter(deformation.bspline, "Transform");
  bool good = kind == std::vector<std::string>{"BSplineTransform"} && words.size() == 12;
  for (std::size_t i = 0; good && i < words.size(); ++i) {
    const auto number = core::parse_number(words[i]);
    good = number.has_value();
    if (good) {
      deformation.affine(static_cast<Eigen::Index>(i / 4), static_cast<Eigen::Index>(i % 4)) =
          *number;
    }
  }
  if (good) return deformation;
  throw core::InputError(
      fmt::format("{} is not a deformation that epvs prepare wrote", path.string()),
      "expected a B-spline of elastix with the affine transform before it");
}

}  // namespace epvs::data
