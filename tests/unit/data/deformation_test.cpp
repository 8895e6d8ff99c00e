// The deformable stage: a known bend of a phantom, labels and points under it, its file.
#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/error.h"
#include "core/files.h"
#include "data/prepare/registration/deformation.h"
#include "data/prepare/registration/elastix.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::centred_grid;
using tests::expect_error;
using tests::head_intensity;
using tests::rigid_motion;
using tests::TemporaryFolder;

/// Head points where the error of a map is measured.
std::vector<Eigen::Vector3d> head_points() {
  std::vector<Eigen::Vector3d> points;
  for (double x = -50; x <= 50; x += 12.5) {
    for (double y = -62; y <= 62; y += 12.4) {
      for (double z = -45; z <= 50; z += 11.9) {
        if (head_intensity({x, y, z}, true) > 60) points.emplace_back(x, y, z);
      }
    }
  }
  return points;
}

/// A smooth bend of the head of up to 5 mm that no affine map follows.
Eigen::Vector3d known_bend(const Eigen::Vector3d& at) {
  return at + Eigen::Vector3d(3.5 * std::sin(at[1] / 24), 3.0 * std::sin(at[2] / 20 + 1),
                              3.0 * std::sin(at[0] / 22));
}

/// A head with structure everywhere, as brains have it, bent or not.
Volume<float> textured_head(const Geometry& grid, bool t2_like, bool bent) {
  Volume<float> scan(grid);
  for (std::int64_t z = 0; z < grid.shape[2]; ++z) {
    for (std::int64_t y = 0; y < grid.shape[1]; ++y) {
      for (std::int64_t x = 0; x < grid.shape[0]; ++x) {
        const Eigen::Vector3d world =
            grid.to_world({static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
        const Eigen::Vector3d at = bent ? known_bend(world) : world;
        const double folds = std::sin(at[0] / 6) * std::sin(at[1] / 7) * std::sin(at[2] / 5);
        const double inside = tests::ellipsoid(at, {0, 0, 2}, {62, 80, 68});
        scan.at(x, y, z) =
            static_cast<float>(head_intensity(at, t2_like) + (t2_like ? 40 : -30) * inside * folds);
      }
    }
  }
  return scan;
}

/// The affine map that is nearest to the bend over these points, in the sense of least squares: no
/// affine registration can be better.
Eigen::Matrix4d nearest_affine(const std::vector<Eigen::Vector3d>& points) {
  const auto n = static_cast<Eigen::Index>(points.size());
  Eigen::MatrixXd from(n, 4);
  Eigen::MatrixXd to(n, 3);
  for (Eigen::Index i = 0; i < n; ++i) {
    from.row(i) = points[static_cast<std::size_t>(i)].homogeneous().transpose();
    to.row(i) = known_bend(points[static_cast<std::size_t>(i)]).transpose();
  }
  Eigen::Matrix4d affine = Eigen::Matrix4d::Identity();
  affine.topRows<3>() = from.colPivHouseholderQr().solve(to).transpose();
  return affine;
}

/// A B-spline whose control points, 20 mm apart, all move by `shift(x)` (RAS mm), x of the point.
template <class Shift>
Deformation spline(Shift shift) {
  const int count = 12;
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> z;
  for (int i = 0; i < count * count * count; ++i) {
    const Eigen::Vector3d by = shift(110 - 20.0 * (i % count));
    x.push_back(0.0 - by[0]);  // LPS
    y.push_back(0.0 - by[1]);
    z.push_back(by[2]);
  }
  x.insert(x.end(), y.begin(), y.end());
  x.insert(x.end(), z.begin(), z.end());
  Deformation deformation;
  deformation.affine = rigid_motion({0.2, 0.1, -0.3}, {4, -7, 9});
  deformation.bspline =
      "(Transform \"BSplineTransform\")\n(NumberOfParameters " + std::to_string(x.size()) +
      ")\n(TransformParameters " + number_words(x) +
      ")\n(InitialTransformParametersFileName \"NoInitialTransform\")\n"
      "(HowToCombineTransforms \"Compose\")\n(FixedImageDimension 3)\n(MovingImageDimension 3)\n"
      "(FixedInternalImagePixelType \"float\")\n(MovingInternalImagePixelType \"float\")\n"
      "(Size 1 1 1)\n(Index 0 0 0)\n(Spacing 1 1 1)\n(Origin 0 0 0)\n"
      "(Direction 1 0 0 0 1 0 0 0 1)\n(UseDirectionCosines \"true\")\n(GridSize 12 12 12)\n"
      "(GridIndex 0 0 0)\n(GridSpacing 20 20 20)\n(GridOrigin -110 -110 -110)\n"
      "(GridDirection 1 0 0 0 1 0 0 0 1)\n(BSplineTransformSplineOrder 3)\n"
      "(UseCyclicTransform \"false\")\n(ResampleInterpolator \"FinalBSplineInterpolator\")\n"
      "(FinalBSplineInterpolationOrder 0)\n(Resampler \"DefaultResampler\")\n"
      "(DefaultPixelValue 0)\n(ResultImageFormat \"nii\")\n(ResultImagePixelType \"float\")\n"
      "(CompressResultImage \"false\")\n";
  return deformation;
}

TEST(Deformation, LabelsAndPointsFollowAShift) {
  EPVS_REQUIRE_ELASTIX();
  const Geometry grid = centred_grid({40, 40, 50}, {1, 1, 1});
  const Volume<std::int32_t> labels = tests::block_labels(grid);
  // The image of a point lies 3 mm to its right and 2 mm below it, so labels move left and up.
  const Deformation shift = spline([](double) { return Eigen::Vector3d(3, 0, -2); });
  const Volume<std::int32_t> moved = deformed_labels(labels, shift);
  for (const std::int32_t label : {2, 4, 11, 50}) {
    EXPECT_EQ(std::count(moved.voxels.begin(), moved.voxels.end(), label),
              std::count(labels.voxels.begin(), labels.voxels.end(), label))
        << label;
  }
  const Eigen::Vector3d corner = grid.to_world({10, 12, 10});
  const auto at = [&moved](const Eigen::Vector3d& world) {
    const Eigen::Vector3d voxel = moved.geometry.to_voxel(world);
    return moved.at(std::llround(voxel[0]), std::llround(voxel[1]), std::llround(voxel[2]));
  };
  EXPECT_EQ(at(corner + Eigen::Vector3d(-3, 0, 2)), 11);
  EXPECT_EQ(at(corner + Eigen::Vector3d(-4, 0, 2)), 0);
  EXPECT_NEAR(smallest_jacobian(shift, grid), 1, 1e-5);
  const Eigen::Vector3d point(5, -8, 13);
  EXPECT_LT((undeformed(shift, point) - (point - Eigen::Vector3d(3, 0, -2))).norm(), 0.01);
}

TEST(Deformation, TheJacobianIsTheChangeOfVolumesAndFoldingIsSeen) {
  EPVS_REQUIRE_ELASTIX();
  const Geometry view = centred_grid({20, 20, 20}, {4, 4, 4});
  // u = -0.2 x: lengths along x shrink to 0.8 of their own.
  const Deformation shrunk = spline([](double x) { return Eigen::Vector3d(-0.2 * x, 0, 0); });
  EXPECT_NEAR(smallest_jacobian(shrunk, view), 0.8, 1e-4);
  EXPECT_LT((undeformed(shrunk, {24, 5, 6}) - Eigen::Vector3d(30, 5, 6)).norm(), 0.02);
  const Deformation folded = spline([](double x) { return Eigen::Vector3d(-2.5 * x, 0, 0); });
  EXPECT_NEAR(smallest_jacobian(folded, view), -1.5, 1e-4);
  expect_error<core::InputError>(
      [&] {
        undeformed(folded, {3, 4, 5});
      },
      {"no inverse near 3.0,4.0,5.0", "--atlas-registration affine"});
}

TEST(Deformation, ComesBackAsItWasWritten) {
  EPVS_REQUIRE_ELASTIX();
  const TemporaryFolder folder;
  const Deformation written = spline([](double x) { return Eigen::Vector3d(0.1 * x, 1, 2); });
  write_deformation(folder / "a_xfm.txt", written);
  const Deformation back = read_deformation(folder / "a_xfm.txt");
  EXPECT_EQ(back.affine, written.affine);
  const Eigen::Vector3d point(12, -3, 40);
  EXPECT_EQ(undeformed(back, point), undeformed(written, point));
  expect_error<core::InputError>([&] { read_deformation(folder / "none.txt"); },
                                 {"none.txt", "does not exist"});
  const std::string text = core::read_text(folder / "a_xfm.txt");
  for (const auto& [key, words] : std::vector<std::pair<std::string, std::string>>{
           {"Transform", "\"AffineTransform\""},
           {"EpvsAffine", "1 2 3"},
           {"EpvsAffine", "1 0 0 0 0 1 0 0 0 0 one 0"}}) {
    core::write_text(folder / "b.txt", with_parameter(text, key, words));
    expect_error<core::InputError>([&] { read_deformation(folder / "b.txt"); },
                                   {"b.txt is not a deformation that epvs prepare wrote"});
  }
}

TEST(DeformableRegistration, AKnownBendIsRecoveredBetterThanByAnyAffine) {
  EPVS_REQUIRE_ELASTIX();
  const Geometry grid = centred_grid({64, 76, 64}, {2.8, 2.8, 2.8});
  const Volume<float> scan = textured_head(grid, true, true);
  const Volume<float> t1 = textured_head(grid, false, false);
  const std::vector<Eigen::Vector3d> points = head_points();
  const Eigen::Matrix4d start = nearest_affine(points);
  const DeformableResult found = register_deformable(scan, t1, start);
  const ElastixFolder folder;
  std::string text = fmt::format("point\n{}\n", points.size());
  double before = 0;
  for (const Eigen::Vector3d& point : points) {
    const Eigen::Vector3d linear = (start * point.homogeneous()).head<3>();
    text += number_words({-linear[0], -linear[1], linear[2]}) + "\n";
    before += (linear - known_bend(point)).norm();
  }
  folder.write("points.txt", text);
  folder.write("bspline.txt", found.deformation.bspline);
  folder.run_transformix({"-def", "points.txt", "-tp", "bspline.txt"});
  const std::string answer = core::read_text(folder / "outputpoints.txt");
  const std::string key = "OutputPoint = [ ";
  double after = 0;
  std::size_t at = 0;
  for (const Eigen::Vector3d& point : points) {
    at = answer.find(key, at) + key.size();
    std::istringstream words(answer.substr(at, 100));
    Eigen::Vector3d image;
    words >> image[0] >> image[1] >> image[2];
    after += (Eigen::Vector3d(-image[0], -image[1], image[2]) - known_bend(point)).norm();
  }
  const auto count = static_cast<double>(points.size());
  RecordProperty("mean_distance_affine_mm", std::to_string(before / count));
  RecordProperty("mean_distance_deformable_mm", std::to_string(after / count));
  EXPECT_GT(before / count, 1.5);
  EXPECT_LT(after, 0.5 * before);
  EXPECT_GT(found.information_after, found.information_before);
  EXPECT_GT(smallest_jacobian(found.deformation, grid), 0.3);
}

}  // namespace
}  // namespace epvs::data
