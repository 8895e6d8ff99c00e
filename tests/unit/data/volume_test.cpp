#include "data/formats/volume.h"
#include "data/formats/resample.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "data/cohort/preprocessing.h"
#include "data/prepare/inputs/label_tables.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

using tests::expect_error;
using tests::TemporaryFolder;

Geometry oblique() {
  Geometry geometry;
  geometry.shape = {10, 20, 30};
  geometry.affine << -0.5, 0.1, 0.0, 40, 0.1, 0.6, -0.3, -50, 0.02, 0.1, 2.0, -20, 0, 0, 0, 1;
  return geometry;
}

TEST(Geometry, WorldAndVoxelAreInverse) {
  const Geometry geometry = oblique();
  const Eigen::Vector3d voxel(3.25, -1.5, 17);
  EXPECT_LT((geometry.to_voxel(geometry.to_world(voxel)) - voxel).norm(), 1e-12);
  EXPECT_EQ(geometry.to_world({0, 0, 0}), Eigen::Vector3d(40, -50, -20));
  EXPECT_EQ(geometry.voxels(), 6000);
  EXPECT_NEAR(geometry.spacing_mm()[0], std::sqrt(0.25 + 0.01 + 0.0004), 1e-15);
}

TEST(Geometry, SameAsLooksAtCornersAndShape) {
  const Geometry geometry = oblique();
  Geometry other = geometry;
  EXPECT_TRUE(geometry.same_as(other));
  // 1e-4 mm a voxel over 29 voxels moves the far corner by more than the tolerance of 1e-3 mm.
  other.affine(2, 2) += 1e-4;
  EXPECT_FALSE(geometry.same_as(other));
  EXPECT_TRUE(geometry.same_as(other, 0.01));
  other = geometry;
  other.shape[2] = 29;
  EXPECT_FALSE(geometry.same_as(other));
  other = geometry;
  other.affine(0, 3) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(geometry.same_as(other));
}

TEST(CanonicalAxes, FindsEverySignedPermutation) {
  for (const std::array<int, 3>& order :
       {std::array{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}) {
    for (int signs = 0; signs < 8; ++signs) {
      Geometry geometry;
      geometry.shape = {2, 3, 4};
      geometry.affine.setIdentity();
      geometry.affine.topLeftCorner<3, 3>().setConstant(0.05);
      for (int world = 0; world < 3; ++world) {
        geometry.affine(world, order[static_cast<std::size_t>(world)]) =
            ((signs >> world) & 1) != 0 ? -1.0 : 1.0;
      }
      const AxisOrder found = canonical_axes(geometry);
      EXPECT_EQ(found.axis, order);
      for (int world = 0; world < 3; ++world) {
        EXPECT_EQ(found.flipped[static_cast<std::size_t>(world)], ((signs >> world) & 1) != 0);
      }
    }
  }
}

TEST(PreprocessingOptions, JsonRoundTripAndErrors) {
  PreprocessingOptions options;
  options.region = "hippocampi";
  options.labels = {17, 53};
  options.spacing_mm = {0.1, 0.2, 0.3};
  const core::Json document = options.to_json();
  EXPECT_EQ(PreprocessingOptions::from_json(document).to_json(), document);
  core::Json broken = document;
  broken.erase("sigma_voxels");
  expect_error<core::InputError>([&] { PreprocessingOptions::from_json(broken); },
                                 {"lack 'sigma_voxels'"});
  broken = document;
  broken["crop_voxels"] = "large";
  expect_error<core::InputError>([&] { PreprocessingOptions::from_json(broken); },
                                 {"crop_voxels", "large", "wrong type"});
  expect_error<core::InputError>([] { PreprocessingOptions::from_json(core::Json::array()); },
                                 {"not a JSON object"});
}

TEST(PreprocessingOptions, DifferencesNameFieldAndBothValues) {
  const PreprocessingOptions a;
  EXPECT_TRUE(a.differences(a).empty());
  PreprocessingOptions b = a;
  b.preset = Preset::kCustom;
  b.labels = {1};
  b.label_source = "first";
  EXPECT_TRUE(a.differences(b).empty()) << "a network does not see these";
  b.spacing_mm = {0.5, 0.5, 0.5};
  EXPECT_EQ(a.differences(b), std::vector<std::string>{"spacing_mm: 0.5,0.5,0.8 and 0.5,0.5,0.5"});
  b = a;
  b.region = "cso";
  b.crop_voxels = {1, 2, 3};
  b.dilation_voxels = 2;
  b.sigma_voxels = 2.5;
  b.normalisation = Normalisation::kMax;
  b.registration = GridRegistration::kRigid;
  EXPECT_EQ(
      a.differences(b),
      (std::vector<std::string>{"region: bg and cso", "crop_voxels: 168,128,84 and 1,2,3",
                                "dilation_voxels: 4 and 2", "sigma_voxels: 2 and 2.5",
                                "normalisation: minmax and max", "registration: none and rigid"}));
}

TEST(ParallelRanges, CoversEachIndexOnceAndPassesErrorsOn) {
  for (const int threads : {-1, 1, 3, 50}) {
    std::vector<int> visits(17, 0);
    core::parallel_ranges(17, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
    });
    EXPECT_EQ(visits, std::vector<int>(17, 1));
  }
  core::parallel_ranges(0, 4, [](std::int64_t, std::int64_t) { ADD_FAILURE(); });
  const auto failing = [](std::int64_t begin, std::int64_t) {
    if (begin > 0) throw std::runtime_error("part");
  };
  EXPECT_THROW(core::parallel_ranges(8, 4, failing), std::runtime_error);
}

TEST(RegionTable, PresetsHaveTheNumbersOfTheirPrograms) {
  const std::vector<std::int64_t> bg = {11, 50, 12, 51, 13, 52, 26, 58};
  for (const std::string lut : {"freesurfer", "synthseg", "first", "atlas"}) {
    const RegionTable table = RegionTable::open(lut);
    EXPECT_EQ(table.source(), lut);
    EXPECT_EQ(table.labels("bg"), bg);
    EXPECT_EQ(table.labels("hippocampi"), (std::vector<std::int64_t>{17, 53}));
  }
  EXPECT_EQ(RegionTable::preset("freesurfer").labels("midbrain"), std::vector<std::int64_t>{173});
  EXPECT_FALSE(RegionTable::preset("first").has("midbrain"));
  expect_error<core::UsageError>([] { RegionTable::preset("first").labels("midbrain"); },
                                 {"midbrain", "173"});
  // FIRST: the same numbers, but no white matter and no ventricles.
  EXPECT_TRUE(RegionTable::preset("first").cso().white_matter.empty());
  EXPECT_EQ(RegionTable::preset("first").cso().caudate, (std::vector<std::int64_t>{11, 50}));
  const CsoLabels cso = RegionTable::preset("freesurfer").cso();
  EXPECT_EQ(cso.white_matter.size(), 2U + 35U + 35U + 2U);
  EXPECT_EQ(cso.ventricles, (std::vector<std::int64_t>{4, 43}));
  // FAST: classes in the order of T1w intensity.
  EXPECT_EQ(RegionTable::preset("fast").cso().white_matter, std::vector<std::int64_t>{3});
  EXPECT_EQ(RegionTable::preset("fast_pve").cso().white_matter, std::vector<std::int64_t>{1});
  expect_error<core::UsageError>([] { RegionTable::preset("fast").labels("bg"); },
                                 {"'fast' has no region 'bg'", "white matter only"});
  const RegionTable oxford = RegionTable::preset("harvardoxford");
  EXPECT_EQ(oxford.labels("bg"), (std::vector<std::int64_t>{5, 16, 6, 17, 7, 18, 11, 21}));
  EXPECT_EQ(oxford.labels("hippocampi"), (std::vector<std::int64_t>{9, 19}));
  EXPECT_EQ(oxford.cso().ventricles, (std::vector<std::int64_t>{3, 14}));
  EXPECT_EQ(known_luts().size(), 7U);
  EXPECT_EQ(RegionTable::preset("freesurfer").labels("cso"), cso.white_matter);
  expect_error<core::UsageError>([] { RegionTable::preset("first").labels("cso"); },
                                 {"'first' has no white matter", "--white-matter"});
  expect_error<core::UsageError>([] { RegionTable::preset("atlas").labels("hipocampi"); },
                                 {"hipocampi", "did you mean 'hippocampi'"});
  expect_error<core::UsageError>([] { RegionTable::open("freesurfr"); },
                                 {"freesurfr", "did you mean 'freesurfer'", "TOML"});
}

TEST(RegionTable, ReadsTomlAndRefusesNonsense) {
  const TemporaryFolder folder;
  const auto path = folder / "lut.toml";
  const auto table = [&](const std::string& text) {
    core::write_text(path, text);
    return RegionTable::open(path.string());
  };
  const RegionTable good = table("[regions]\nbg = [1, 2]\nthalami = [10, 49]\n");
  EXPECT_EQ(good.regions(), (std::vector<std::string>{"bg", "thalami"}));
  EXPECT_EQ(good.labels("thalami"), (std::vector<std::int64_t>{10, 49}));
  expect_error<core::UsageError>([&] { table("[region]\nbg = [1]\n"); },
                                 {"lut.toml", "unknown key 'region'", "regions"});
  expect_error<core::UsageError>([&] { table("regions = 3\n"); }, {"must be a table"});
  expect_error<core::UsageError>([&] { table("[regions]\n"); }, {"names no regions"});
  expect_error<core::UsageError>([&] { table("[regions]\nbg = 3\n"); }, {"regions.bg", "list"});
  expect_error<core::UsageError>([&] { table("[regions]\nbg = []\n"); }, {"regions.bg", "list"});
  for (const std::string bad : {"0", "-3", "1.5", "\"a\"", "5000000000"}) {
    expect_error<core::UsageError>([&] { table("[regions]\nbg = [" + bad + "]\n"); },
                                   {"regions.bg", "not a label number"});
  }
  expect_error<core::UsageError>([&] { table("[regions]\nbg = [4, 4]\n"); }, {"label 4", "twice"});
  const RegionTable own = table("[regions]\nbg = [1]\n[cso]\nventricles = [7, 8]\n");
  EXPECT_EQ(own.cso().ventricles, (std::vector<std::int64_t>{7, 8}));
  EXPECT_EQ(own.cso().caudate, (std::vector<std::int64_t>{11, 50}));
  expect_error<core::UsageError>([&] { table("[cso]\nventricle = [7]\n"); },
                                 {"cso.ventricle", "did you mean 'ventricles'"});
}

TEST(LabelNumbers, ForeignOnesAreNamed) {
  Geometry grid;
  grid.shape = {30, 1, 1};
  Volume<std::int32_t> labels(grid);
  const auto set = [&](const std::vector<std::int32_t>& numbers) {
    std::fill(labels.voxels.begin(), labels.voxels.end(), 0);
    std::copy(numbers.begin(), numbers.end(), labels.voxels.begin());
  };
  const auto foreign = [&](const std::string& lut) { return foreign_numbers(labels, lut); };
  using Numbers = std::vector<std::int64_t>;
  set({2, 11, 50, 85, 251, 1035, 3001, 5001, 12175, 173});
  EXPECT_EQ(foreign("freesurfer"), Numbers{});
  EXPECT_EQ(foreign("synthseg"), (Numbers{85, 173, 251, 3001, 5001, 12175}));
  EXPECT_EQ(foreign("first"), (Numbers{2, 85, 173, 251, 1035, 3001, 5001, 12175}));
  EXPECT_EQ(foreign("mine.toml"), Numbers{});
  // An atlas whose numbers merely count up, taken for FreeSurfer's.
  set({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21});
  EXPECT_EQ(foreign("atlas"), (Numbers{1, 6, 9, 19, 20, 21}));
  EXPECT_EQ(foreign_numbers_text(labels, "atlas"),
            "6 label numbers that 'atlas' does not have: 1, 6, 9, 19, 20, 21");
  set({-1, 11, 20000});
  EXPECT_EQ(foreign("freesurfer"), (Numbers{-1, 20000}));
  set({11});
  EXPECT_EQ(foreign_numbers_text(labels, "freesurfer"), "");
  set({19, 20, 21, 32, 33, 34, 35, 36, 37});
  EXPECT_EQ(foreign_numbers_text(labels, "first"),
            "9 label numbers that 'first' does not have: 19, 20, 21, 32, 33, 34, 35, 36, ...");
}

TEST(Regions, DefaultCropsAndMask) {
  EXPECT_EQ(crop_for("bg", {0.5, 0.5, 0.5}), (Shape{168, 128, 84}));
  EXPECT_EQ(crop_for("hippocampi", {0.5, 0.5, 0.5}), (Shape{168, 128, 84}));
  EXPECT_EQ(crop_for("midbrain", {0.5, 0.5, 0.8}), (Shape{88, 88, 11}));
  EXPECT_EQ(crop_for("cso", {0.5, 0.5, 0.8}), (Shape{250, 290, 14}));
  Geometry geometry;
  geometry.shape = {3, 2, 1};
  Volume<std::int32_t> labels(geometry);
  labels.voxels = {0, 11, 50, 11, 12, 0};
  EXPECT_EQ(region_mask(labels, {11, 12}).voxels, (std::vector<std::uint8_t>{0, 1, 0, 1, 1, 0}));
}

}  // namespace
}  // namespace epvs::data
