// Every step of the geometry there and back, and volumes of regions in real label maps by NumPy.
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/table.h"
#include "data/cohort/source_space.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/prepare_scan.h"
#include "data/prepare/stages/cut_region.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::golden;
using tests::TemporaryFolder;

/// An oblique scan, stored posterior-superior-left, with a block of label 11 and 50.
Geometry oblique_grid() {
  Geometry geometry;
  geometry.shape = {60, 20, 50};
  const Eigen::Matrix3d turn = (Eigen::AngleAxisd(0.2, Eigen::Vector3d::UnitX()) *
                                Eigen::AngleAxisd(-0.15, Eigen::Vector3d::UnitZ()))
                                   .toRotationMatrix();
  Eigen::Matrix3d stored;
  stored.col(0) = turn * Eigen::Vector3d(0, -0.9, 0);
  stored.col(1) = turn * Eigen::Vector3d(0, 0, 3.1);
  stored.col(2) = turn * Eigen::Vector3d(-0.7, 0, 0);
  geometry.affine.topLeftCorner<3, 3>() = stored;
  geometry.affine.topRightCorner<3, 1>() = Eigen::Vector3d(31, 22, -17);
  return geometry;
}

TEST(GeometrySteps, ScanToWorldToNetworkToCropAndBack) {
  const TemporaryFolder folder;
  const Geometry grid = oblique_grid();
  Volume<float> scan(grid);
  Volume<std::uint8_t> labels(grid);
  for (std::int64_t z = 0; z < grid.shape[2]; ++z) {
    for (std::int64_t y = 0; y < grid.shape[1]; ++y) {
      for (std::int64_t x = 0; x < grid.shape[0]; ++x) {
        scan.at(x, y, z) = static_cast<float>(100 + 3 * x + 7 * y + 5 * z);
        const bool inside = x > 20 && x < 34 && y > 6 && y < 12 && z > 8 && z < 40;
        if (inside) labels.at(x, y, z) = z < 24 ? 50 : 11;
      }
    }
  }
  write_nifti(folder / "scan.nii.gz", scan);
  write_nifti(folder / "labels.nii.gz", labels);
  ScanInput input;
  input.participant_id = "sub-01";
  input.scan = folder / "scan.nii.gz";
  input.labels = folder / "labels.nii.gz";
  PrepareOptions options;
  options.spacing_mm = {0.6, 0.8, 1.1};
  options.crop_voxels = {44, 28, 24};
  options.normalisation = Normalisation::kMinMax;
  const SharedInputs shared = read_shared_inputs(options);
  const PreparedRegion region = prepare_scan(input, shared, options.resolve(), 1).regions.at(0);
  const CohortRow& row = region.row;

  const Geometry network = network_grid(read_header(input.scan).geometry, {0.6, 0.8, 1.1});
  const Eigen::Vector3d origin(static_cast<double>(row.crop_origin[0]),
                               static_cast<double>(row.crop_origin[1]),
                               static_cast<double>(row.crop_origin[2]));
  for (const Eigen::Vector3d& voxel : {Eigen::Vector3d(21, 7, 9), Eigen::Vector3d(33, 11, 39),
                                       Eigen::Vector3d(27.25, 8.5, 20.75)}) {
    // Step by step ...
    const Eigen::Vector3d world = row.source.to_world(voxel);
    EXPECT_LT((world - grid.to_world(voxel)).norm(), 1e-4) << "scan voxel -> world, from the file";
    const Eigen::Vector3d crop = network.to_voxel(world) - origin;
    EXPECT_LT((row.roi.to_voxel(world) - crop).norm(), 1e-6) << "world -> network -> crop";
    // ... and at once, and back.
    EXPECT_LT((source_world_to_crop_voxel(row, world) - crop).norm(), 1e-6);
    EXPECT_LT((crop_voxel_to_source_world(row, crop) - world).norm(), 1e-9);
    EXPECT_LT((crop_voxel_to_source_voxel(row, crop) - voxel).norm(), 1e-9);
  }
  // The voxels themselves: linear in the scan's index, so the ROI's value says where it came from.
  double worst = 0;
  int checked = 0;
  for (std::size_t i = 0; i < region.volumes.roi.size(); ++i) {
    if (region.volumes.soft[i] < 0.999F) continue;
    const auto at = static_cast<std::int64_t>(i);
    const Eigen::Vector3d voxel = crop_voxel_to_source_voxel(
        row, {static_cast<double>(at % 44), static_cast<double>(at / 44 % 28),
              static_cast<double>(at / (44 * 28))});
    const double expected = 100 + 3 * voxel[0] + 7 * voxel[1] + 5 * voxel[2];
    const double found =
        static_cast<double>(region.volumes.roi[i] / region.volumes.soft[i]) / row.intensity_scale +
        row.intensity_offset;
    worst = std::max(worst, std::abs(found - expected));
    ++checked;
  }
  EXPECT_GT(checked, 300);
  EXPECT_LT(worst, 0.01) << "of values from 100 to 600";
}

TEST(RealLabels, VolumesEqualACountByNumPy) {
  EPVS_REQUIRE_TEST_DATA(folder, "label_maps");
  const core::Table expected = core::Table::read(golden("data/real_label_volumes.tsv"));
  ASSERT_EQ(expected.rows(), 9U);
  const RegionTable table = RegionTable::preset("freesurfer");
  std::string last;
  Volume<std::int32_t> labels;
  for (std::size_t row = 0; row < expected.rows(); ++row) {
    const std::string& name = expected.cell(row, "labels");
    SCOPED_TRACE(name + " " + expected.cell(row, "region"));
    if (name != last) labels = read_labels(folder.parent_path() / name);
    last = name;
    PreprocessingOptions options;
    options.region = expected.cell(row, "region");
    options.spacing_mm = {1, 1, 1};
    options.labels = table.labels(options.region);
    const NetworkSpace space{network_grid(labels.geometry, options.spacing_mm),
                             Eigen::Matrix4d::Identity()};
    RegionRules rules;
    rules.nearest = true;
    rules.cso_slab_mm = 4;
    const RegionOnGrid region =
        cut_region({{tests::unowned(labels), Eigen::Matrix4d::Identity(), name}}, options, space,
                   labels.geometry, rules, 2);
    EXPECT_NEAR(region.label_volume_mm3, expected.number(row, "volume_mm3"), 1e-6);
    EXPECT_EQ(region.fraction_outside, 0);
    const std::int64_t voxels = std::count(region.hard.voxels.begin(), region.hard.voxels.end(), 1);
    if (options.region != "cso") {
      EXPECT_EQ(voxels, expected.integer(row, "voxels"));
      continue;
    }
    // Of the white matter only a slab: four slices, 10 mm above the highest ventricle voxel.
    std::int64_t slices = 0;
    for (std::int64_t z = 0; z < region.hard.geometry.shape[2]; ++z) {
      const auto* first = &region.hard.voxels[region.hard.offset(0, 0, z)];
      const std::int64_t area = region.hard.geometry.shape[0] * region.hard.geometry.shape[1];
      slices += std::count(first, first + area, 1) > 0 ? 1 : 0;
    }
    EXPECT_EQ(slices, 4);
    EXPECT_GT(voxels, 4000);
    EXPECT_LT(voxels, expected.integer(row, "voxels") / 4);
  }
}

}  // namespace
}  // namespace epvs::data
