#include "data/prepare/stages/smooth_roi.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "core/table.h"
#include "core/text.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/inputs/label_tables.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

using tests::expect_error;
using tests::golden;

Geometry cube(std::int64_t side) {
  Geometry geometry;
  geometry.shape = {side, side, side};
  return geometry;
}

PreprocessingOptions small_options(Normalisation normalisation = Normalisation::kMinMax) {
  PreprocessingOptions options;
  options.crop_voxels = {10, 8, 6};
  options.dilation_voxels = 1;
  options.sigma_voxels = 0.8;
  options.normalisation = normalisation;
  return options;
}

Volume<float> random_scan(const Geometry& geometry) {
  core::Random random(11);
  Volume<float> scan(geometry);
  for (float& value : scan.voxels) value = static_cast<float>(random.uniform(10, 200));
  return scan;
}

Volume<std::uint8_t> block(const Geometry& geometry, const Shape& begin, const Shape& end) {
  Volume<std::uint8_t> mask(geometry);
  for (std::int64_t z = begin[2]; z < end[2]; ++z) {
    for (std::int64_t y = begin[1]; y < end[1]; ++y) {
      for (std::int64_t x = begin[0]; x < end[0]; ++x) mask.at(x, y, z) = 1;
    }
  }
  return mask;
}

Shape shape_from(const std::string& text) {
  const std::vector<std::string> parts = core::split(text, ',');
  return {core::parse_integer(parts[0]).value(), core::parse_integer(parts[1]).value(),
          core::parse_integer(parts[2]).value()};
}

TEST(SmoothRoi, EqualsScipy) {
  const core::Table cases = core::Table::read(golden("data/smooth_roi/cases.tsv"));
  ASSERT_EQ(cases.rows(), 5U);
  for (std::size_t row = 0; row < cases.rows(); ++row) {
    const std::string name = cases.cell(row, "case");
    SCOPED_TRACE(name);
    const auto file = [&](const std::string& what) {
      return golden("data/smooth_roi/" + name + "_" + what + ".nii.gz");
    };
    PreprocessingOptions options;
    options.crop_voxels = shape_from(cases.cell(row, "crop"));
    options.dilation_voxels = static_cast<int>(cases.integer(row, "dilation_voxels"));
    options.sigma_voxels = cases.number(row, "sigma_voxels");
    options.normalisation =
        core::from_text<Normalisation>(cases.cell(row, "normalisation"), "normalisation");
    const Volume<std::int32_t> labels = read_labels(file("hard"));
    Volume<std::uint8_t> hard(labels.geometry);
    for (std::size_t i = 0; i < hard.voxels.size(); ++i) {
      hard.voxels[i] = static_cast<std::uint8_t>(labels.voxels[i]);
    }
    const SmoothRoi result = smooth_roi(read_scan(file("scan")).image, hard, options);
    EXPECT_EQ(result.crop_origin, shape_from(cases.cell(row, "origin")));
    EXPECT_NEAR(result.intensity_offset, cases.number(row, "offset"), 1e-12);
    EXPECT_NEAR(result.intensity_scale, cases.number(row, "scale"), 1e-6 * result.intensity_scale);
    const Volume<float> roi = read_scan(file("roi")).image;
    const Volume<float> soft = read_scan(file("soft")).image;
    ASSERT_EQ(result.roi.voxels.size(), roi.voxels.size());
    for (std::size_t i = 0; i < roi.voxels.size(); ++i) {
      ASSERT_NEAR(result.roi.voxels[i], roi.voxels[i], 1e-6) << i;
      ASSERT_NEAR(result.soft.voxels[i], soft.voxels[i], 1e-6) << i;
    }
  }
}

TEST(SmoothRoi, EqualsScipyOnRealAnatomy) {
  EPVS_REQUIRE_TEST_DATA(folder, ".");
  const core::Table cases = core::Table::read(golden("data/real_smooth_roi.tsv"));
  ASSERT_EQ(cases.rows(), 3U);
  for (std::size_t row = 0; row < cases.rows(); ++row) {
    SCOPED_TRACE(cases.cell(row, "scan") + " " + cases.cell(row, "region"));
    const auto scan_path = folder / cases.cell(row, "scan");
    if (!std::filesystem::exists(scan_path)) continue;
    PreprocessingOptions options;
    options.region = cases.cell(row, "region");
    options.normalisation =
        core::from_text<Normalisation>(cases.cell(row, "normalisation"), "normalisation");
    const Volume<std::uint8_t> hard =
        region_mask(read_labels(folder / cases.cell(row, "labels")),
                    RegionTable::preset("freesurfer").labels(options.region));
    const SmoothRoi result = smooth_roi(read_scan(scan_path).image, hard, options, 2);
    EXPECT_NEAR(result.region_volume_mm3, cases.number(row, "voxels"), 0.01) << "voxels of 1 mm3";
    EXPECT_EQ(result.crop_origin, shape_from(cases.cell(row, "origin")));
    EXPECT_NEAR(result.intensity_scale / cases.number(row, "scale"), 1, 1e-6);
    double sum = 0;
    double squares = 0;
    for (const float value : result.roi.voxels) {
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    EXPECT_NEAR(sum / cases.number(row, "sum"), 1, 1e-6);
    EXPECT_NEAR(squares / cases.number(row, "sum_of_squares"), 1, 1e-6);
    const std::vector<std::string> probes = core::split(cases.cell(row, "probes"), ';');
    EXPECT_GE(probes.size(), 1U);
    for (const std::string& probe : probes) {
      const Shape voxel = shape_from(probe);
      const double expected = core::parse_number(core::split(probe, ',')[3]).value();
      EXPECT_NEAR(result.roi.at(voxel[0], voxel[1], voxel[2]), expected, 1e-6) << probe;
    }
  }
}

TEST(SmoothRoi, ThreadsDoNotChangeABit) {
  const Geometry geometry = cube(24);
  const Volume<float> scan = random_scan(geometry);
  const Volume<std::uint8_t> hard = block(geometry, {3, 8, 9}, {14, 15, 20});
  const SmoothRoi one = smooth_roi(scan, hard, small_options(), 1);
  const SmoothRoi five = smooth_roi(scan, hard, small_options(), 5);
  EXPECT_EQ(one.roi.voxels, five.roi.voxels);
  EXPECT_EQ(one.soft.voxels, five.soft.voxels);
}

TEST(SmoothRoi, CropLiesWhereItsAffineSays) {
  Geometry geometry = cube(20);
  geometry.affine << 0.5, 0, 0, -3, 0, 0.5, 0, 7, 0, 0, 0.8, 11, 0, 0, 0, 1;
  const Volume<std::uint8_t> hard = block(geometry, {9, 10, 5}, {12, 13, 8});
  const SmoothRoi result = smooth_roi(random_scan(geometry), hard, small_options());
  // Centre voxel (10, 11, 6), half of the crop (5, 4, 3).
  EXPECT_EQ(result.crop_origin, (Shape{5, 7, 3}));
  EXPECT_EQ(result.roi.geometry.shape, (Shape{10, 8, 6}));
  EXPECT_LT((result.roi.geometry.to_world({1, 2, 3}) - geometry.to_world({6, 9, 6})).norm(), 1e-12);
  EXPECT_TRUE(result.roi.geometry.same_as(result.hard.geometry));
  EXPECT_TRUE(result.roi.geometry.same_as(result.soft.geometry));
  EXPECT_EQ(result.hard.at(4, 3, 2), 1);
  EXPECT_EQ(result.hard.at(3, 3, 2), 0);
  EXPECT_NEAR(result.region_volume_mm3, 27 * 0.2, 1e-12);
}

TEST(SmoothRoi, MaxNormalisationHasMaximumOneAndIgnoresScale) {
  const Geometry geometry = cube(20);
  const Volume<float> scan = random_scan(geometry);
  const Volume<std::uint8_t> hard = block(geometry, {7, 7, 7}, {12, 12, 12});
  const SmoothRoi a = smooth_roi(scan, hard, small_options(Normalisation::kMax));
  EXPECT_FLOAT_EQ(*std::max_element(a.roi.voxels.begin(), a.roi.voxels.end()), 1.0F);
  Volume<float> twice = scan;
  for (float& value : twice.voxels) value *= 2;
  const SmoothRoi b = smooth_roi(twice, hard, small_options(Normalisation::kMax));
  for (std::size_t i = 0; i < a.roi.voxels.size(); ++i) {
    ASSERT_NEAR(a.roi.voxels[i], b.roi.voxels[i], 1e-6);
  }
}

TEST(SmoothRoi, MinmaxIgnoresScaleAndOffset) {
  const Geometry geometry = cube(20);
  const Volume<float> scan = random_scan(geometry);
  const Volume<std::uint8_t> hard = block(geometry, {7, 7, 7}, {12, 12, 12});
  const SmoothRoi a = smooth_roi(scan, hard, small_options());
  Volume<float> other = scan;
  for (float& value : other.voxels) value = 3 * value + 500;
  const SmoothRoi b = smooth_roi(other, hard, small_options());
  EXPECT_NEAR(b.intensity_offset, 3 * a.intensity_offset + 500, 1e-3);
  for (std::size_t i = 0; i < a.roi.voxels.size(); ++i) {
    ASSERT_NEAR(a.roi.voxels[i], b.roi.voxels[i], 1e-5);
    ASSERT_LE(a.roi.voxels[i], a.soft.voxels[i]);
    ASSERT_GE(a.roi.voxels[i], 0);
  }
}

TEST(SmoothRoi, FieldOfViewMaskCountsWhatItCutsOff) {
  const Geometry geometry = cube(20);
  const Volume<float> scan = random_scan(geometry);
  const Volume<std::uint8_t> hard = block(geometry, {8, 8, 4}, {12, 12, 12});  // 4 x 4 x 8
  const Volume<std::uint8_t> view = block(geometry, {0, 0, 6}, {20, 20, 20});
  const SmoothRoi inside = smooth_roi(scan, hard, small_options());
  EXPECT_EQ(inside.cut_fraction, 0);
  EXPECT_EQ(inside.edge_fraction, 0);
  const SmoothRoi cut = smooth_roi(scan, hard, small_options(), 1, &view);
  EXPECT_DOUBLE_EQ(cut.cut_fraction, 2.0 / 8);
  EXPECT_DOUBLE_EQ(cut.edge_fraction, 1.0 / 8);
  // The crop has 6 slices of the region's 8; x and y hold all of it.
  EXPECT_DOUBLE_EQ(cut.outside_crop_fraction, 2.0 / 8);
  // Beyond the field of view the ROI is 0, whatever the grid holds there.
  for (std::int64_t z = 0; z < 6; ++z) {
    const bool covered = cut.crop_origin[2] + z >= 6;
    float sum = 0;
    for (std::int64_t y = 0; y < 8; ++y) {
      for (std::int64_t x = 0; x < 10; ++x) sum += cut.roi.at(x, y, z);
    }
    EXPECT_EQ(sum > 0, covered) << z;
  }
}

TEST(SmoothRoi, RegionAtTheGridsEdgeReachesTheEdge) {
  const Geometry geometry = cube(20);
  const Volume<std::uint8_t> hard = block(geometry, {8, 8, 0}, {10, 10, 2});
  const SmoothRoi result = smooth_roi(random_scan(geometry), hard, small_options());
  EXPECT_EQ(result.cut_fraction, 0);
  EXPECT_DOUBLE_EQ(result.edge_fraction, 0.5);
  EXPECT_EQ(result.crop_origin[2], -2);
  for (std::int64_t z = 0; z < 2; ++z) EXPECT_EQ(result.roi.at(5, 4, z), 0) << "padding";
  EXPECT_GT(result.roi.at(5, 4, 2) + result.roi.at(4, 4, 2) + result.roi.at(5, 4, 3), 0);
}

TEST(SmoothRoi, RefusesWhatCannotBeNormalised) {
  const Geometry geometry = cube(20);
  const Volume<float> scan = random_scan(geometry);
  const Volume<std::uint8_t> hard = block(geometry, {8, 8, 8}, {12, 12, 12});
  const auto run = [&](const Volume<float>& s, const Volume<std::uint8_t>& h,
                       Normalisation normalisation = Normalisation::kMinMax) {
    smooth_roi(s, h, small_options(normalisation));
  };
  expect_error<core::InputError>([&] { run(scan, Volume<std::uint8_t>(geometry)); },
                                 {"region is empty"});
  expect_error<core::InputError>([&] { run(scan, Volume<std::uint8_t>(cube(19))); },
                                 {"region (19x19x19 voxels)", "20x20x20", "grid"});
  Volume<float> bad = scan;
  bad.at(9, 10, 11) = std::numeric_limits<float>::quiet_NaN();
  expect_error<core::InputError>([&] { run(bad, hard); }, {"nan", "(9, 10, 11)", "region"});
  bad = scan;
  bad.at(1, 1, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NO_THROW(run(bad, hard)) << "NaN far from the region does no harm";
  expect_error<core::InputError>([&] { run(Volume<float>(geometry, 7.0F), hard); },
                                 {"constant (7)", "region"});
  Volume<float> negative = scan;
  for (float& value : negative.voxels) value = -value;
  expect_error<core::InputError>([&] { run(negative, hard, Normalisation::kMax); },
                                 {"no positive value", "minmax"});
  EXPECT_NO_THROW(run(negative, hard));
  const Volume<std::uint8_t> elsewhere = block(geometry, {0, 0, 0}, {20, 20, 3});
  expect_error<core::InputError>([&] { smooth_roi(scan, hard, small_options(), 1, &elsewhere); },
                                 {"outside the scan's field of view", "same participant"});
}

TEST(SmoothRoi, ValidatesOptions) {
  const auto refuse = [](auto change, const std::vector<std::string>& texts) {
    PreprocessingOptions options;
    change(options);
    expect_error<core::UsageError>([&] { options.validate(); }, texts);
  };
  EXPECT_NO_THROW(PreprocessingOptions().validate());
  refuse([](auto& o) { o.spacing_mm[1] = 0; }, {"region bg", "spacing_mm = 0"});
  refuse([](auto& o) { o.crop_voxels[2] = 0; }, {"crop_voxels = 0", "1 to 4096"});
  refuse([](auto& o) { o.dilation_voxels = -1; }, {"dilation_voxels = -1"});
  refuse([](auto& o) { o.sigma_voxels = std::nan(""); }, {"sigma_voxels = nan"});
}

TEST(Dilate, OfOnePointIsAnOctahedron) {
  const Geometry geometry = cube(15);
  for (int n = 0; n <= 5; ++n) {
    const Volume<std::uint8_t> grown = dilate(block(geometry, {7, 7, 7}, {8, 8, 8}), n, 3);
    for (std::int64_t z = 0; z < 15; ++z) {
      for (std::int64_t y = 0; y < 15; ++y) {
        for (std::int64_t x = 0; x < 15; ++x) {
          const bool near = std::abs(x - 7) + std::abs(y - 7) + std::abs(z - 7) <= n;
          ASSERT_EQ(grown.at(x, y, z), near ? 1 : 0);
        }
      }
    }
  }
}

TEST(Gaussian, KernelIsScipysAndSumsToOne) {
  const std::vector<double> half = gaussian_half_kernel(2.0);
  ASSERT_EQ(half.size(), 9U) << "int(4 * 2 + 0.5) = 8";
  EXPECT_NEAR(half[0] + 2 * std::accumulate(half.begin() + 1, half.end(), 0.0), 1, 1e-15);
  EXPECT_NEAR(half[2] / half[0], std::exp(-0.5), 1e-15);
  EXPECT_EQ(gaussian_half_kernel(0), std::vector<double>{1.0});
  EXPECT_EQ(gaussian_half_kernel(0.6).size(), 3U);
}

TEST(Gaussian, KeepsConstantsInsideAndMass) {
  Volume<float> point(cube(31));
  point.at(15, 15, 15) = 1;
  const Volume<float> smooth = gaussian_smooth(point, 1.5, 2);
  const double mass = std::accumulate(smooth.voxels.begin(), smooth.voxels.end(), 0.0);
  EXPECT_NEAR(mass, 1, 1e-6);
  EXPECT_FLOAT_EQ(smooth.at(15, 15, 12), smooth.at(15, 12, 15));
  EXPECT_FLOAT_EQ(smooth.at(12, 15, 15), smooth.at(18, 15, 15));
  const Volume<float> flat = gaussian_smooth(Volume<float>(cube(31), 5.0F), 1.5);
  EXPECT_FLOAT_EQ(flat.at(15, 15, 15), 5.0F);
  EXPECT_LT(flat.at(0, 15, 15), 5.0F) << "zeros beyond the grid";
  EXPECT_EQ(gaussian_smooth(point, 0).voxels, point.voxels);
}

TEST(CentreOfMass, RoundsHalvesUp) {
  const Geometry geometry = cube(10);
  EXPECT_EQ(centre_of_mass_voxel(block(geometry, {4, 4, 4}, {6, 7, 5})), (Shape{5, 5, 4}));
  EXPECT_EQ(centre_of_mass_voxel(block(geometry, {0, 0, 0}, {1, 2, 4})), (Shape{0, 1, 2}));
}

TEST(Crop, PadsWithZerosAndMovesTheAffine) {
  Geometry geometry = cube(4);
  geometry.affine.topLeftCorner<3, 3>() *= 2;
  Volume<std::int32_t> volume(geometry);
  std::iota(volume.voxels.begin(), volume.voxels.end(), 1);
  const Volume<std::int32_t> part = crop(volume, {{-1, 2, 3}, {2, 6, 5}});
  EXPECT_EQ(part.at(0, 0, 0), 0);
  EXPECT_EQ(part.at(1, 0, 0), volume.at(0, 2, 3));
  EXPECT_EQ(part.at(2, 1, 0), volume.at(1, 3, 3));
  EXPECT_EQ(part.at(2, 2, 0), 0);
  EXPECT_EQ(part.at(2, 1, 1), 0);
  EXPECT_EQ(part.geometry.to_world({0, 0, 0}), Eigen::Vector3d(-2, 4, 6));
  const Volume<std::int32_t> beyond = crop(volume, {{10, 0, 0}, {12, 2, 2}});
  EXPECT_EQ(beyond.voxels, std::vector<std::int32_t>(8, 0));
}

}  // namespace
}  // namespace epvs::data
