#include "data/formats/resample.h"

#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "data/cohort/source_space.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

using tests::expect_error;

Geometry grid(const Shape& shape, const Eigen::Vector3d& spacing, const Eigen::Vector3d& origin) {
  Geometry geometry;
  geometry.shape = shape;
  geometry.affine.topLeftCorner<3, 3>() = spacing.asDiagonal();
  geometry.affine.topRightCorner<3, 1>() = origin;
  return geometry;
}

Eigen::Matrix4d rigid(double angle, const Eigen::Vector3d& shift) {
  Eigen::Affine3d transform =
      Eigen::Translation3d(shift) *
      Eigen::AngleAxisd(angle, Eigen::Vector3d(0.3, -0.5, 0.8).normalized());
  return transform.matrix();
}

/// 1 + 2 x - 3 y + 0.5 z of the world point.
double ramp(const Eigen::Vector3d& world) {
  return 1 + 2 * world[0] - 3 * world[1] + 0.5 * world[2];
}

Volume<float> ramp_on(const Geometry& geometry, const Eigen::Matrix4d& to_world_of_ramp) {
  Volume<float> volume(geometry);
  for (std::int64_t z = 0; z < geometry.shape[2]; ++z) {
    for (std::int64_t y = 0; y < geometry.shape[1]; ++y) {
      for (std::int64_t x = 0; x < geometry.shape[0]; ++x) {
        const Eigen::Vector3d world = geometry.to_world(
            {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
        volume.at(x, y, z) =
            static_cast<float>(ramp((to_world_of_ramp * world.homogeneous()).head<3>()));
      }
    }
  }
  return volume;
}

/// Largest difference between two volumes over voxels whose source point keeps a voxel from the
/// edge.
double interior_difference(const Volume<float>& a, const Volume<float>& b, const Geometry& source,
                           const Eigen::Matrix4d& target_to_source, std::int64_t& compared) {
  double largest = 0;
  compared = 0;
  const Shape& shape = a.geometry.shape;
  for (std::int64_t z = 0; z < shape[2]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      for (std::int64_t x = 0; x < shape[0]; ++x) {
        const Eigen::Vector3d world = a.geometry.to_world(
            {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
        const Eigen::Vector3d p =
            source.to_voxel((target_to_source * world.homogeneous()).head<3>());
        bool interior = true;
        for (int axis = 0; axis < 3; ++axis) {
          const auto last = static_cast<double>(source.shape[static_cast<std::size_t>(axis)] - 1);
          interior = interior && p[axis] >= 0 && p[axis] <= last;
        }
        if (!interior) continue;
        ++compared;
        largest = std::max(largest, std::abs(static_cast<double>(a.at(x, y, z)) -
                                             static_cast<double>(b.at(x, y, z))));
      }
    }
  }
  return largest;
}

TEST(Resample, OntoItselfChangesNothing) {
  const Geometry geometry = grid({7, 6, 5}, {0.5, 0.6, 4}, {-3, 8, 1});
  core::Random random(2);
  Volume<float> volume(geometry);
  for (float& value : volume.voxels) value = static_cast<float>(random.normal());
  EXPECT_EQ(resample(volume, geometry).voxels, volume.voxels);
  EXPECT_EQ(resample(volume, geometry, Interpolation::kNearest).voxels, volume.voxels);
}

TEST(Resample, LinearReproducesALinearRamp) {
  const Geometry source = grid({20, 18, 16}, {1, 1.2, 2}, {-9, -10, -15});
  const Geometry aligned = grid({30, 25, 40}, {0.5, 0.7, 0.8}, {-8.7, -9.1, -14.2});
  Geometry oblique = aligned;
  oblique.affine = rigid(0.3, {1, -2, 0.5}) * aligned.affine;
  Geometry flipped = aligned;  // axes exchanged and reversed: the fast path for other orders
  flipped.shape = {40, 30, 25};
  flipped.affine.setZero();
  flipped.affine(2, 0) = -0.7;
  flipped.affine(0, 1) = 0.5;
  flipped.affine(1, 2) = -0.6;
  flipped.affine.col(3) << -7, 9, 13, 1;
  for (const Geometry& target : {aligned, oblique, flipped}) {
    for (const Eigen::Matrix4d& transform : {Eigen::Matrix4d(Eigen::Matrix4d::Identity()),
                                             rigid(0, {1.5, 0.25, -1}), rigid(-0.2, {2, 1, 1})}) {
      const Volume<float> image = ramp_on(source, Eigen::Matrix4d::Identity());
      const Volume<float> expected = ramp_on(target, transform);
      const Volume<float> result = resample(image, target, Interpolation::kLinear, transform, 1);
      std::int64_t compared = 0;
      EXPECT_LT(interior_difference(result, expected, source, transform, compared), 1e-4);
      EXPECT_GT(compared, 1000);
      EXPECT_EQ(resample(image, target, Interpolation::kLinear, transform, 4).voxels, result.voxels)
          << "threads";
    }
  }
}

TEST(Resample, FastPathEqualsTheGeneralOne) {
  const Geometry source = grid({9, 8, 7}, {1, 1, 3}, {0, 0, 0});
  core::Random random(4);
  Volume<float> volume(source);
  for (float& value : volume.voxels) value = static_cast<float>(random.normal());
  const Geometry target = grid({20, 15, 30}, {0.5, 0.5, 0.8}, {-0.7, 0.1, -1.1});
  const Volume<float> fast = resample(volume, target);
  // A rotation just above the limit of the fast path moves points by a hundred-thousandth of a
  // voxel.
  const Volume<float> general =
      resample(volume, target, Interpolation::kLinear, rigid(1e-6, {0, 0, 0}));
  for (std::size_t i = 0; i < fast.voxels.size(); ++i) {
    ASSERT_NEAR(fast.voxels[i], general.voxels[i], 1e-3);
  }
}

TEST(Resample, VoxelsFillTheirBoxAndOutsideIsZero) {
  const Geometry source = grid({2, 1, 1}, {2, 2, 2}, {0, 0, 0});
  Volume<float> volume(source);
  volume.voxels = {10, 20};
  // World x from -1.2 in steps of 0.4; the boxes reach from -1 to 3.
  const Geometry target = grid({12, 1, 1}, {0.4, 1, 1}, {-1.2, 0.9, -0.9});
  const std::vector<float> values = resample(volume, target).voxels;
  const std::vector<float> expected = {0, 10, 10, 10, 12, 14, 16, 18, 20, 20, 20, 0};
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-5) << i;
  const Geometry beside = grid({1, 1, 1}, {1, 1, 1}, {0, 1.1, 0});
  EXPECT_EQ(resample(volume, beside).voxels, std::vector<float>{0});
  EXPECT_EQ(field_of_view(source, target).voxels,
            (std::vector<std::uint8_t>{0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}));
}

TEST(FieldOfView, IsWhereResamplingAConstantGivesIt) {
  const Geometry source = grid({9, 8, 7}, {1, 1.1, 3}, {0, 0, 0});
  const Volume<float> ones(source, 1.0F);
  Geometry flipped = grid({25, 20, 30}, {0.6, 0.7, 0.9}, {-2, -3, -2});
  flipped.affine.col(0).swap(flipped.affine.col(2));
  for (const Geometry& target : {grid({25, 20, 30}, {0.6, 0.7, 0.9}, {-2, -3, -2}), flipped}) {
    for (const double angle : {0.0, 0.2}) {
      const Eigen::Matrix4d transform = rigid(angle, {0.3, 0.1, -0.2});
      const Volume<std::uint8_t> view = field_of_view(source, target, transform);
      const Volume<float> sampled = resample(ones, target, Interpolation::kLinear, transform);
      std::int64_t covered = 0;
      for (std::size_t i = 0; i < view.voxels.size(); ++i) {
        ASSERT_EQ(view.voxels[i] != 0, sampled.voxels[i] > 0.5F) << i;
        covered += view.voxels[i];
      }
      EXPECT_GT(covered, 100);
      EXPECT_LT(covered, target.voxels());
    }
  }
}

TEST(ResampleLabels, NearestHalvesGoUp) {
  Volume<std::int32_t> labels(grid({3, 1, 1}, {1, 1, 1}, {0, 0, 0}));
  labels.voxels = {11, 3005, -2};
  const Geometry target = grid({5, 1, 1}, {0.5, 1, 1}, {0, 0, 0});
  EXPECT_EQ(resample_labels(labels, target).voxels,
            (std::vector<std::int32_t>{11, 3005, 3005, -2, -2}));
}

TEST(ResampleRegion, LinearAndCutAtOneHalf) {
  Volume<std::int32_t> labels(grid({4, 1, 1}, {1, 1, 1}, {0, 0, 0}));
  labels.voxels = {0, 11, 50, 7};
  const Geometry target = grid({13, 1, 1}, {0.25, 1, 1}, {0, 0, 0});
  // 11 and 50 form one region: from 0.5 (where the mask reaches one half) to 2.5.
  EXPECT_EQ(resample_mask(region_mask(labels, {11, 50}), target).voxels,
            (std::vector<std::uint8_t>{0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}));
}

TEST(FractionOutsideScan, CountsLabelVoxels) {
  Volume<std::int32_t> labels(grid({1, 1, 10}, {1, 1, 1}, {0, 0, 0}), 17);
  const Geometry scan = grid({1, 1, 2}, {4, 4, 4}, {0, 0, 4});  // z from 2 to 10
  EXPECT_DOUBLE_EQ(fraction_outside_scan(labels, {17, 53}, scan), 0.2);
  EXPECT_DOUBLE_EQ(fraction_outside_scan(labels, {17}, scan, rigid(0, {0, 0, 2})), 0.1);
  expect_error<core::InputError>(
      [&] {
        fraction_outside_scan(labels, {11, 50}, scan);
      },
      {"region is empty", "11, 50", "--lut"});
}

TEST(NetworkGrid, CoversTheFieldOfViewAroundTheSameCentre) {
  Geometry scan;
  scan.shape = {36, 406, 448};  // stored I, L, A
  scan.affine.setZero();
  scan.affine(2, 0) = -4.0;
  scan.affine(0, 1) = -0.513;
  scan.affine(1, 2) = 0.513;
  scan.affine.col(3) << 100, -110, 70, 1;
  scan.affine.topLeftCorner<3, 3>() =
      rigid(0.15, {0, 0, 0}).topLeftCorner<3, 3>() * scan.affine.topLeftCorner<3, 3>().eval();
  const Geometry result = network_grid(scan, {0.5, 0.5, 0.8});
  EXPECT_EQ(result.shape, (Shape{417, 460, 180}));  // 208.278, 229.824 and 144 mm
  EXPECT_LT((result.spacing_mm() - Eigen::Vector3d(0.5, 0.5, 0.8)).norm(), 1e-12);
  const auto centre = [](const Geometry& g) {
    return g.to_world({static_cast<double>(g.shape[0] - 1) / 2,
                       static_cast<double>(g.shape[1] - 1) / 2,
                       static_cast<double>(g.shape[2] - 1) / 2});
  };
  EXPECT_LT((centre(result) - centre(scan)).norm(), 1e-9);
  for (int axis = 0; axis < 3; ++axis) EXPECT_GT(result.affine(axis, axis), 0);
  // Every corner of the field of view lies in the grid's.
  for (int corner = 0; corner < 8; ++corner) {
    Eigen::Vector3d voxel;
    for (int axis = 0; axis < 3; ++axis) {
      const auto length = static_cast<double>(scan.shape[static_cast<std::size_t>(axis)]);
      voxel[axis] = ((corner >> axis) & 1) != 0 ? length - 0.5 : -0.5;
    }
    const Eigen::Vector3d inside = result.to_voxel(scan.to_world(voxel));
    for (int axis = 0; axis < 3; ++axis) {
      EXPECT_GE(inside[axis], -0.5 - 1e-9);
      EXPECT_LE(inside[axis],
                static_cast<double>(result.shape[static_cast<std::size_t>(axis)]) - 0.5 + 1e-9);
    }
  }
}

TEST(NetworkGrid, RefusesImpossibleSpacing) {
  const Geometry scan = grid({100, 100, 100}, {1, 1, 1}, {0, 0, 0});
  EXPECT_EQ(network_grid(scan, {1, 1, 1}).shape, scan.shape);
  expect_error<core::UsageError>([&] { network_grid(scan, {1, 0, 1}); }, {"spacing_mm", "0"});
  expect_error<core::UsageError>([&] { network_grid(scan, {1, std::nan(""), 1}); }, {"nan"});
  expect_error<core::InputError>([&] { network_grid(scan, {1e-6, 1, 1}); }, {"axis 1"});
  expect_error<core::InputError>(
      [&] {
        network_grid(scan, {0.01, 0.01, 0.01});
      },
      {"10000x10000x10000", "spacing"});
}

CohortRow row_between(const Eigen::Matrix4d& network_to_source) {
  CohortRow row;
  row.participant_id = "sub-01";
  row.roi = grid({30, 24, 18}, {0.5, 0.5, 0.8}, {-7, -6, -7});
  row.network_to_source = network_to_source;
  ScanHeader header;
  header.geometry = grid({40, 40, 9}, {0.6, 0.6, 3}, {-11, -11, -12});
  header.geometry.affine = rigid(0.1, {0.5, 0, 0}) * header.geometry.affine;
  header.format = "nifti1";
  header.sform_code = 1;
  header.qform_code = 2;
  header.sform = header.geometry.affine;
  header.qform = header.geometry.affine;
  header.qform_fields = {-1, 0.6, 0.6, 3, 0.1, 0.2, 0.3, 4, 5, 6};
  set_source(row, header);
  return row;
}

TEST(WayBack, PointsRoundTrip) {
  const CohortRow row = row_between(rigid(0.25, {3, -1, 2}));
  for (const Eigen::Vector3d& voxel :
       {Eigen::Vector3d(0, 0, 0), Eigen::Vector3d(12.5, 3.25, 17), Eigen::Vector3d(-4, 30, 2)}) {
    const Eigen::Vector3d world = crop_voxel_to_source_world(row, voxel);
    EXPECT_LT((source_world_to_crop_voxel(row, world) - voxel).norm(), 1e-10);
    const Eigen::Vector3d stored = crop_voxel_to_source_voxel(row, voxel);
    EXPECT_LT((row.source.to_world(stored) - world).norm(), 1e-10);
  }
}

TEST(WayBack, ARampComesBackAsTheRamp) {
  for (const Eigen::Matrix4d& transform :
       {Eigen::Matrix4d(Eigen::Matrix4d::Identity()), rigid(0.25, {1, -1, 0.5})}) {
    const CohortRow row = row_between(transform);
    // The ramp is a function of the source's world; the crop samples it through the transform.
    const Volume<float> on_crop = ramp_on(row.roi, transform);
    const Volume<float> expected = ramp_on(row.source, Eigen::Matrix4d::Identity());
    const Volume<float> result = to_source(row, on_crop, 2);
    EXPECT_TRUE(result.geometry.same_as(row.source));
    std::int64_t compared = 0;
    EXPECT_LT(interior_difference(result, expected, row.roi, transform.inverse(), compared), 1e-4);
    EXPECT_GT(compared, 500);
    EXPECT_EQ(result.at(0, 0, 0), 0) << "outside the crop";
  }
}

TEST(WayBack, HeaderIsTheScans) {
  const CohortRow row = row_between(Eigen::Matrix4d::Identity());
  const ScanHeader header = source_header(row);
  EXPECT_EQ(header.format, "nifti1");
  EXPECT_EQ(header.sform_code, 1);
  EXPECT_EQ(header.qform_code, 2);
  EXPECT_EQ(header.qform_fields[5], 0.2);
  EXPECT_EQ(header.sform, row.source.affine);
  CohortRow other = row;
  other.source_qform_fields = {};
  EXPECT_EQ(source_header(other).format, "mgh");
  Volume<float> map(row.roi);
  map.geometry.shape[0] -= 1;
  expect_error<core::InputError>([&] { to_source(row, map); }, {"sub-01", "29x24x18", "30x24x18"});
}

}  // namespace
}  // namespace epvs::data
