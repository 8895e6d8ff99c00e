// The deformable stage: the B-spline against ITK's, the objective against finite differences and
// ITK's metric, known deformations of a phantom.
#include <Eigen/Dense>

#include <itkBSplineTransform.h>
#include <itkCompositeTransform.h>
#include <itkTransformFileReader.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "data/prepare/registration/deformable_objective.h"
#include "data/prepare/registration/deformable_registration.h"
#include "data/prepare/registration/registration.h"
#include "data/prepare/registration/transform_file.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::centred_grid;
using tests::expect_error;
using tests::head_intensity;
using tests::rigid_motion;
using tests::scan_head;
using tests::TemporaryFolder;

Deformation random_deformation(const Geometry& view, double spacing_mm, double size_mm,
                               std::uint64_t seed = 5) {
  Deformation deformation(ControlGrid::over(view, spacing_mm));
  core::Random random(seed);
  for (double& value : deformation.coefficients()) value = random.uniform(-size_mm, size_mm);
  return deformation;
}

std::vector<Eigen::Vector3d> random_points(double half_mm, int count) {
  core::Random random(11);
  std::vector<Eigen::Vector3d> points;
  for (int i = 0; i < count; ++i) {
    points.emplace_back(random.uniform(-half_mm, half_mm), random.uniform(-half_mm, half_mm),
                        random.uniform(-half_mm, half_mm));
  }
  return points;
}

const Geometry kView = centred_grid({60, 70, 50}, {2, 2, 2});

TEST(Deformation, ReproducesConstantsAndPlanes) {
  Deformation deformation(ControlGrid::over(kView, 17));
  const ControlGrid& grid = deformation.grid();
  // Coefficients that are a linear function of the place give that function.
  std::size_t at = 0;
  for (std::int64_t z = 0; z < grid.count[2]; ++z) {
    for (std::int64_t y = 0; y < grid.count[1]; ++y) {
      for (std::int64_t x = 0; x < grid.count[0]; ++x) {
        deformation.coefficients()[at++] =
            0.1 * (grid.origin_mm[1] + grid.spacing_mm * static_cast<double>(y));
        deformation.coefficients()[at++] = 3;
        deformation.coefficients()[at++] =
            -0.2 * (grid.origin_mm[2] + grid.spacing_mm * static_cast<double>(z));
      }
    }
  }
  for (const Eigen::Vector3d& point : random_points(48, 20)) {
    const Eigen::Vector3d expected = point + Eigen::Vector3d(0.1 * point[1], 3, -0.2 * point[2]);
    EXPECT_LT((deformation(point) - expected).norm(), 1e-12);
    EXPECT_NEAR(deformation.jacobian(point), 0.8, 1e-12);
    EXPECT_LT((deformation.inverse(expected) - point).norm(), 1e-5);
  }
  EXPECT_EQ(deformation({500, 0, 0}), Eigen::Vector3d(500, 0, 0));
  EXPECT_EQ(deformation.jacobian({500, 0, 0}), 1);
}

TEST(Deformation, RefinementIsTheSameFunction) {
  const Deformation coarse = random_deformation(kView, 20, 4);
  const Deformation fine = coarse.refined();
  EXPECT_EQ(fine.grid().spacing_mm, 10);
  for (const Eigen::Vector3d& point : random_points(48, 50)) {
    EXPECT_LT((coarse(point) - fine(point)).norm(), 1e-12);
  }
}

TEST(Deformation, JacobianIsTheVolumeOfASmallBox) {
  const Deformation deformation = random_deformation(kView, 20, 3);
  for (const Eigen::Vector3d& point : random_points(40, 10)) {
    Eigen::Matrix3d slope;
    for (int axis = 0; axis < 3; ++axis) {
      const Eigen::Vector3d step = 1e-4 * Eigen::Vector3d::Unit(axis);
      slope.col(axis) = (deformation(point + step) - deformation(point - step)) / 2e-4;
    }
    EXPECT_NEAR(deformation.jacobian(point), slope.determinant(), 1e-6);
  }
}

TEST(Deformation, FoldingIsSeen) {
  EXPECT_GT(smallest_jacobian(random_deformation(kView, 20, 2), kView, 4), 0.2);
  Deformation folded(ControlGrid::over(kView, 20));
  for (std::size_t i = 0; i < folded.grid().points(); ++i) {
    folded.coefficients()[3 * i] = i % 2 == 0 ? 40 : -40;
  }
  EXPECT_LT(smallest_jacobian(folded, kView, 4), 0);
  expect_error<core::InputError>(
      [&] {
        folded.inverse({3, 4, 5});
      },
      {"has no inverse near 3.0,4.0,5.0", "--atlas-registration affine"});
}

TEST(Deformation, ItkReadsTheFileAsTheSameMap) {
  const TemporaryFolder folder;
  const DeformableTransform written = {rigid_motion({0.2, 0.1, -0.3}, {4, -7, 9}),
                                       random_deformation(kView, 25, 3)};
  const auto path = folder / "a_xfm.txt";
  write_deformable_transform(path, written);
  const DeformableTransform back = read_deformable_transform(path);  // registers ITK's formats
  EXPECT_LT((back.affine - written.affine).norm(), 1e-12);
  EXPECT_EQ(back.deformation.coefficients(), written.deformation.coefficients());
  auto reader = itk::TransformFileReaderTemplate<double>::New();
  reader->SetFileName(path.string());
  reader->Update();
  const auto* itk_map = dynamic_cast<const itk::CompositeTransform<double, 3>*>(
      reader->GetTransformList()->front().GetPointer());
  ASSERT_NE(itk_map, nullptr);
  for (const Eigen::Vector3d& point : random_points(30, 50)) {
    itk::Point<double, 3> lps;
    lps[0] = -point[0];
    lps[1] = -point[1];
    lps[2] = point[2];
    const auto image = itk_map->TransformPoint(lps);
    const Eigen::Vector3d ours =
        written.deformation((written.affine * point.homogeneous()).head<3>());
    EXPECT_LT((ours - Eigen::Vector3d(-image[0], -image[1], image[2])).norm(), 1e-9);
    EXPECT_LT((ours - back.deformation((back.affine * point.homogeneous()).head<3>())).norm(),
              1e-9);
  }
  expect_error<core::InputError>([&] { read_deformable_transform(folder / "none.txt"); },
                                 {"none.txt", "does not exist"});
  write_transform(folder / "affine.txt", written.affine);
  expect_error<core::InputError>([&] { read_deformable_transform(folder / "affine.txt"); },
                                 {"affine.txt is not a composite of two transforms"});
  std::string text = core::read_text(path);
  text.replace(text.find("-1 0 0 0 -1 0 0 0 1"), 19, "1 0 0 0 1 0 0 0 1");
  core::write_text(folder / "turned.txt", text);
  expect_error<core::InputError>([&] { read_deformable_transform(folder / "turned.txt"); },
                                 {"turned.txt has a control grid that is not isotropic"});
  expect_error<core::InputError>([&] { read_itk_transform(path); }, {"not linear"});
}

TEST(Deformation, LabelsFollow) {
  const Geometry grid = centred_grid({40, 40, 50}, {1, 1, 1});
  const Volume<std::int32_t> labels = tests::block_labels(grid);
  // Nothing moves: the same voxels, on the smaller grid around them.
  const Volume<std::int32_t> same =
      deformed_labels(labels, Deformation(ControlGrid::over(grid, 20)), 1, 2);
  // Everything 3 mm to the right: the image of a point lies 3 mm to its right, so labels move left.
  Deformation shift(ControlGrid::over(grid, 20));
  for (std::size_t i = 0; i < shift.grid().points(); ++i) shift.coefficients()[3 * i] = 3;
  const Volume<std::int32_t> moved = deformed_labels(labels, shift, 1, 1);
  for (const std::int32_t label : {2, 4, 11, 50}) {
    const auto count = [label](const Volume<std::int32_t>& map) {
      return std::count(map.voxels.begin(), map.voxels.end(), label);
    };
    EXPECT_EQ(count(same), count(labels)) << label;
    EXPECT_EQ(count(moved), count(labels)) << label;
  }
  const auto at = [](const Volume<std::int32_t>& map, const Eigen::Vector3d& world) {
    const Eigen::Vector3d voxel = map.geometry.to_voxel(world);
    return map.at(std::llround(voxel[0]), std::llround(voxel[1]), std::llround(voxel[2]));
  };
  const Eigen::Vector3d corner = grid.to_world({10, 12, 10});
  EXPECT_EQ(at(same, corner), 11);
  EXPECT_EQ(at(moved, corner - Eigen::Vector3d(3, 0, 0)), 11);
  EXPECT_EQ(at(moved, corner - Eigen::Vector3d(4, 0, 0)), 0);
}

/// A moving image that is a smooth function, and samples whose fixed value is related to it.
class Objective : public testing::Test {
 protected:
  void SetUp() override {
    moving_.count = {30, 34, 26};
    moving_.origin_mm = {-60, -66, -50};
    moving_.spacing_mm = 4;
    const auto intensity = [](const Eigen::Vector3d& at) {
      return std::clamp(head_intensity(at, true) / 230, 0.0, 1.0);
    };
    for (std::int64_t z = 0; z < moving_.count[2]; ++z) {
      for (std::int64_t y = 0; y < moving_.count[1]; ++y) {
        for (std::int64_t x = 0; x < moving_.count[0]; ++x) {
          const Eigen::Vector3d at =
              moving_.origin_mm + 4.0 * Eigen::Vector3d(static_cast<double>(x),
                                                        static_cast<double>(y),
                                                        static_cast<double>(z));
          moving_.voxels.push_back(static_cast<float>(intensity(at)));
        }
      }
    }
    for (const Eigen::Vector3d& at : random_points(45, 4000)) {
      samples_.push_back({at, 1 - intensity(at + Eigen::Vector3d(2, -1, 1))});
    }
  }
  AlignedImage moving_;
  std::vector<DeformationSample> samples_;
};

TEST_F(Objective, GradientIsThatOfFiniteDifferences) {
  const Deformation somewhere = random_deformation(kView, 30, 1.5);
  DeformableObjective objective(moving_, samples_, somewhere.grid(), 32, 0.05);
  std::vector<double> gradient;
  objective(somewhere.coefficients(), &gradient);
  double worst = 0;
  double largest = 0;
  for (std::size_t i = 0; i < gradient.size(); i += 7) {
    std::vector<double> there = somewhere.coefficients();
    const double step = 1e-4;
    there[i] += step;
    const double above = objective(there, nullptr);
    there[i] -= 2 * step;
    const double slope = (above - objective(there, nullptr)) / (2 * step);
    worst = std::max(worst, std::abs(slope - gradient[i]));
    largest = std::max(largest, std::abs(slope));
  }
  EXPECT_GT(largest, 1e-3);
  EXPECT_LT(worst, 0.01 * largest);  // trilinear interpolation has kinks at the voxel centres
}

TEST_F(Objective, BendingIsZeroForPlanesAndKnownForAParabola) {
  Deformation bent(ControlGrid::over(kView, 20));
  const ControlGrid& grid = bent.grid();
  DeformableObjective stiff(moving_, samples_, grid, 32, 1.0);
  DeformableObjective free(moving_, samples_, grid, 32, 0.0);
  const auto bending = [&] {
    return stiff(bent.coefficients(), nullptr) - free(bent.coefficients(), nullptr);
  };
  const auto set = [&](auto function) {
    for (std::size_t i = 0; i < grid.points(); ++i) {
      const auto x = static_cast<double>(static_cast<std::int64_t>(i) % grid.count[0]);
      bent.coefficients()[3 * i] = function(x);
    }
  };
  set([](double x) { return 0.5 * x; });
  EXPECT_NEAR(bending(), 0, 1e-12);
  // u = 0.001 x^2 has the second derivative 0.002 / mm: (20 mm x 0.002 / mm)^2 on all but the ends.
  set([&](double x) { return 0.001 * std::pow(grid.spacing_mm * x, 2); });
  const double share = static_cast<double>(grid.count[0] - 2) / static_cast<double>(grid.count[0]);
  EXPECT_NEAR(bending(), share * 0.04 * 0.04, 1e-9);
}

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

TEST(DeformableRegistration, AKnownBendIsRecoveredBetterThanByAnyAffine) {
  const Geometry grid = centred_grid({64, 76, 64}, {2.8, 2.8, 2.8});
  const Volume<float> scan = textured_head(grid, true, true);
  const Volume<float> t1 = textured_head(grid, false, false);
  const std::vector<Eigen::Vector3d> points = head_points();
  const Eigen::Matrix4d start = nearest_affine(points);
  DeformableOptions options;
  options.samples = 40000;
  const DeformableResult found = register_deformable(scan, t1, start, options);
  double before = 0;
  double after = 0;
  for (const Eigen::Vector3d& point : points) {
    const Eigen::Vector3d linear = (start * point.homogeneous()).head<3>();
    before += (linear - known_bend(point)).norm() / static_cast<double>(points.size());
    after +=
        (found.deformation(linear) - known_bend(point)).norm() / static_cast<double>(points.size());
  }
  RecordProperty("mean_distance_affine_mm", std::to_string(before));
  RecordProperty("mean_distance_deformable_mm", std::to_string(after));
  RecordProperty("jacobian_min", std::to_string(found.jacobian_min));
  EXPECT_GT(before, 1.5);
  EXPECT_LT(after, 0.5 * before);
  EXPECT_GT(found.information_after, found.information_before);
  EXPECT_GT(found.jacobian_min, 0.3);
}

TEST(DeformableRegistration, WhatFitsStaysWhereItIs) {
  const Geometry grid = centred_grid({64, 76, 64}, {2.8, 2.8, 2.8});
  const Volume<float> scan = textured_head(grid, true, false);
  const Volume<float> t1 = textured_head(grid, false, false);
  DeformableOptions options;
  options.samples = 30000;
  const auto run = [&] {
    return register_deformable(scan, t1, Eigen::Matrix4d::Identity(), options);
  };
  const DeformableResult found = run();
  double moved = 0;
  const std::vector<Eigen::Vector3d> points = head_points();
  for (const Eigen::Vector3d& point : points) moved += (found.deformation(point) - point).norm();
  RecordProperty("mean_motion_mm", std::to_string(moved / static_cast<double>(points.size())));
  EXPECT_LT(moved / static_cast<double>(points.size()), 0.25 * 2.8);  // a quarter of a voxel
  EXPECT_EQ(found.deformation.coefficients(), run().deformation.coefficients());
  options.seed = 2;  // the control: other points
  EXPECT_NE(found.deformation.coefficients(), run().deformation.coefficients());
}

TEST(DeformableRegistration, InformationIsThatOfItksMetric) {
  const Geometry grid = centred_grid({64, 76, 64}, {2.8, 2.8, 2.8});
  const Volume<float> scan = scan_head(grid, Eigen::Matrix4d::Identity(), true);
  const Volume<float> t1 = scan_head(grid, Eigen::Matrix4d::Identity(), false);
  const Eigen::Matrix4d pose = rigid_motion({0.03, -0.02, 0.04}, {2.3, -1.7, 1.1});
  DeformableOptions options;
  options.control_spacing_mm = {40};
  options.level_spacing_mm = {4};
  options.samples = 10000;
  options.iterations = 1;
  RegistrationOptions itk;
  itk.level_spacing_mm = {4};
  itk.samples = 10000;
  const double theirs = mutual_information(scan, t1, pose, itk);
  EXPECT_NEAR(register_deformable(scan, t1, pose, options).information_before, theirs,
              0.01 * theirs);
}

TEST(DeformableRegistration, SaysWhatIsWrong) {
  const auto refused = [](auto change, const std::vector<std::string>& texts) {
    DeformableOptions options;
    change(options);
    expect_error<core::UsageError>([&] { options.validate(); }, texts);
  };
  refused([](auto& o) { o.control_spacing_mm = {40}; }, {"has 1 and level_spacing_mm 2"});
  refused([](auto& o) { o.control_spacing_mm = {40, 10}; }, {"= 10 after 40", "half"});
  refused([](auto& o) { o.level_spacing_mm = {4, 0}; }, {"level 1: spacings 20 and 0"});
  refused([](auto& o) { o.samples = 1; }, {"samples = 1", ">= 1000"});
  refused([](auto& o) { o.bins = 1; }, {"bins = 1", ">= 8"});
  refused([](auto& o) { o.iterations = 0; }, {"iterations = 0"});
  refused([](auto& o) { o.bending = -1; }, {"bending = -1"});
  const Volume<float> head =
      scan_head(centred_grid({40, 48, 40}, {4, 4, 4}), Eigen::Matrix4d::Identity(), true);
  Eigen::Matrix4d away = Eigen::Matrix4d::Identity();
  away(0, 3) = 1000;
  expect_error<core::InputError>([&] { register_deformable(head, head, away); },
                                 {"do not overlap", "affine"});
}

}  // namespace
}  // namespace epvs::data
