// EPVS implanted into scans: how a scan shows a tube, what is measured first, where tubes go, and
// that nothing but their voxels changes in the file.
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <numbers>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "data/formats/nifti.h"
#include "data/formats/voxel_edit.h"
#include "data/implant/measure.h"
#include "data/implant/options.h"
#include "data/implant/place.h"
#include "data/implant/render.h"
#include "data/prepare/stages/smooth_roi.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using Eigen::Vector3d;
using tests::centred_grid;
using tests::expect_error;
using tests::TemporaryFolder;

/// Even points of a straight line or an arc of 60 degrees.
std::vector<Vector3d> line_through(const Vector3d& centre, const Vector3d& direction, double length,
                                   bool bent) {
  const Vector3d along = direction.normalized();
  const Vector3d across = along.cross(Vector3d(0.3, 0.5, 0.81)).normalized();
  std::vector<Vector3d> line;
  for (int i = 0; i <= 20; ++i) {
    const double t = i / 20.0 - 0.5;
    if (!bent) {
      line.emplace_back(centre + length * t * along);
      continue;
    }
    const double angle = t * std::numbers::pi / 3;
    const double radius = length / (std::numbers::pi / 3);
    line.emplace_back(centre + radius * (std::sin(angle) * along + (1 - std::cos(angle)) * across));
  }
  return line;
}

/// Oblique, stored right to left.
Geometry oblique(const Shape& shape, const Vector3d& spacing) {
  Geometry grid = centred_grid(shape, spacing);
  grid.affine.col(0) = -grid.affine.col(0);
  grid.affine.topRightCorner<3, 1>() *= -1;
  const Eigen::Matrix4d turn = tests::rigid_motion({0.2, -0.1, 0.15}, {3, -2, 4});
  grid.affine = turn * grid.affine;
  const Vector3d middle(static_cast<double>(shape[0]) / 2, static_cast<double>(shape[1]) / 2,
                        static_cast<double>(shape[2]) / 2);
  grid.affine.topRightCorner<3, 1>() -= grid.to_world(middle);
  return grid;
}

TEST(ImplantRender, AddsTheVolumeOfTheTubeInThinAndThickSlices) {
  const std::vector<Geometry> grids = {centred_grid({80, 80, 60}, {0.5, 0.5, 0.8}),
                                       oblique({80, 80, 16}, {0.5, 0.6, 4}),
                                       oblique({50, 50, 50}, {0.9, 0.9, 0.9})};
  for (const Geometry& grid : grids) {
    const PointSpread spread = point_spread(grid, grid.spacing_mm().z(), {0.25, 0.15, 0.2});
    const double voxel = grid.spacing_mm().prod();
    for (const double radius : {0.25, 0.6, 1.5}) {
      for (const bool bent : {false, true}) {
        const double length = 9;
        const auto line = line_through({0.3, -0.2, 0.4}, {0.5, 0.2, 1}, length, bent);
        double sum = 0;
        for (const FilledVoxel& filled : render_tube(grid, spread, line, radius)) {
          EXPECT_LE(filled.fraction, 1.001F);
          sum += voxel * static_cast<double>(filled.fraction);
        }
        const double volume = tube_volume_mm3(length, radius);
        EXPECT_NEAR(sum / volume, 1.0, 0.03) << grid.spacing_mm().transpose() << " " << radius;
      }
    }
  }
}

TEST(ImplantRender, TheVolumeIsThatOfManySmallDiscs) {
  const double length = 7;
  const double radius = 1.2;
  double sum = 4.0 / 3.0 * std::numbers::pi * std::pow(radius / 2, 3);
  for (int i = 0; i < 10000; ++i) {
    const double t = (i + 0.5) / 5000 - 1;
    sum += length / 10000 * std::numbers::pi * radius * radius * (1 - 0.75 * t * t);
  }
  EXPECT_NEAR(tube_volume_mm3(length, radius), sum, 1e-6 * sum);
}

/// Every voxel against the integral of the tube over the spread, summed point by point in another
/// order: over the voxel's view, not over the tube.
TEST(ImplantRender, AVoxelIsTheMeanOfItsView) {
  const Geometry grid = centred_grid({24, 24, 8}, {0.5, 0.5, 4});
  const PointSpread spread = point_spread(grid, 4, {0.3, 0.2, 0});
  const Vector3d centre(0.1, -0.2, 0.5);
  const double radius = 1.0;
  const double length = 6;
  const auto line = line_through(centre, {1, 0, 0}, length, false);
  const auto inside = [&](const Vector3d& p) {
    const double x = p.x() - centre.x();
    const double t = std::clamp(2 * x / length, -1.0, 1.0);
    const Vector3d nearest(centre.x() + t * length / 2, centre.y(), centre.z());
    return (p - nearest).norm() < radius * std::sqrt(1 - 0.75 * t * t);
  };
  const auto density = [&](int axis, double d) {
    const double s = spread.sigma_mm[axis] * std::sqrt(2.0);
    const double half = spread.box_mm[axis] / 2;
    return (std::erf((d + half) / s) - std::erf((d - half) / s)) / (4 * half);
  };
  const Vector3d reach = spread.reach_mm();
  const double h = 0.08;
  int looked_at = 0;
  for (const FilledVoxel& filled : render_tube(grid, spread, line, radius)) {
    const auto i = static_cast<std::int64_t>(filled.offset);
    if (i % 7 != 0 || filled.fraction < 0.02F) continue;
    ++looked_at;
    const Vector3d voxel = grid.to_world(i % 24, i / 24 % 24, i / (24 * 24));
    double sum = 0;
    for (double z = -reach.z(); z < reach.z(); z += h) {
      for (double y = -reach.y(); y < reach.y(); y += h) {
        for (double x = -reach.x(); x < reach.x(); x += h) {
          const Vector3d d(x + h / 2, y + h / 2, z + h / 2);
          if (inside(voxel + d)) {
            sum += h * h * h * density(0, d.x()) * density(1, d.y()) * density(2, d.z());
          }
        }
      }
    }
    EXPECT_NEAR(static_cast<double>(filled.fraction), sum, 0.02);
  }
  EXPECT_GT(looked_at, 10);
}

TEST(ImplantRender, NothingIsSeenBeyondItsReach) {
  const Geometry grid = oblique({60, 60, 14}, {0.5, 0.5, 3.3});
  const PointSpread spread = point_spread(grid, 3.3, {0.25, 0.2, 0});
  const auto line = line_through({1, 2, 0}, {0.2, 1, 0.5}, 8, true);
  const auto local = along_grid(grid, line);
  const Vector3d reach = spread.reach_mm() + Vector3d::Constant(1.1 + 0.2);
  for (const FilledVoxel& filled : render_tube(grid, spread, line, 1.1)) {
    const auto i = static_cast<std::int64_t>(filled.offset);
    const Vector3d voxel = along_grid(grid, {grid.to_world(i % 60, i / 60 % 60, i / 3600)}).front();
    EXPECT_TRUE(std::any_of(local.begin(), local.end(), [&](const Vector3d& point) {
      return ((voxel - point).cwiseAbs() - reach).maxCoeff() < 0.3;  // points are 0.4 mm apart
    }));
  }
}

/// Discs of all sizes on a grid four times as fine, blurred, and averaged over the voxels.
Volume<float> discs(double sigma_voxels) {
  constexpr std::int64_t kFine = 4;
  constexpr std::int64_t kVoxels = 192;
  constexpr std::int64_t kSide = kFine * kVoxels;
  Volume<float> fine(centred_grid({kSide, kSide, 1}, {1, 1, 1}));
  core::Random random(3);
  for (int disc = 0; disc < 60; ++disc) {
    const double cx = random.uniform(0, kSide);
    const double cy = random.uniform(0, kSide);
    const double r = random.uniform(12, 120);
    const auto value = static_cast<float>(random.uniform(100, 1000));
    for_each_voxel(fine.geometry.shape, [&](auto x, auto y, auto z) {
      if (std::hypot(static_cast<double>(x) - cx, static_cast<double>(y) - cy) < r) {
        fine.at(x, y, z) = value;
      }
    });
  }
  fine = gaussian_smooth(fine, kFine * sigma_voxels);
  Volume<float> scan(centred_grid({kVoxels, kVoxels, 4}, {0.5, 0.5, 4}));
  for_each_voxel(scan.geometry.shape, [&](auto x, auto y, auto z) {
    float sum = 0;
    for (std::int64_t j = 0; j < kFine; ++j) {
      for (std::int64_t i = 0; i < kFine; ++i) sum += fine.at(kFine * x + i, kFine * y + j, 0);
    }
    scan.at(x, y, z) = sum / (kFine * kFine);
  });
  return scan;
}

TEST(ImplantMeasure, FindsTheBlurOfAScanFromItsEdges) {
  for (const double sigma : {0.6, 0.9, 1.2}) {
    const Vector3d blur = blur_mm(discs(sigma));
    EXPECT_NEAR(blur.x() / (0.5 * sigma), 1.0, 0.2) << sigma;
    EXPECT_NEAR(blur.y() / (0.5 * sigma), 1.0, 0.2) << sigma;
    EXPECT_EQ(blur.z(), 0);  // a thick slice is its own blur
  }
  const Volume<float> constant(centred_grid({60, 60, 20}, {1, 1, 3}), 7.0F);
  expect_error<core::InputError>([&] { blur_mm(constant); }, {"sharpness cannot be measured"});
}

/// A scan of block_labels: 1 mm voxels, white matter 300, `csf`, caudate 350, elsewhere 200.
struct Blocks {
  explicit Blocks(float csf = 1000) {
    const Geometry grid = centred_grid({40, 40, 50}, {1, 1, 1});
    labels = tests::block_labels(grid);
    scan = Volume<float>(grid);
    core::Random random(5);
    for (std::size_t i = 0; i < labels.voxels.size(); ++i) {
      const std::int32_t label = labels.voxels[i];
      const float value = label == 2 ? 300 : label == 4 ? csf : label > 0 ? 350 : 200;
      scan.voxels[i] = value + static_cast<float>(random.uniform(-8, 8));
    }
    mask = Volume<std::uint8_t>(grid);
    for (std::size_t i = 0; i < labels.voxels.size(); ++i) mask.voxels[i] = labels.voxels[i] == 2;
    site.scan = &scan;
    site.contrast = {300, static_cast<double>(csf)};
    site.spread = point_spread(grid, 1, {0.4, 0.4, 0.4});
    site.ventricles = {grid.to_world(20, 18, 20)};
    site.midline_x = site.ventricles[0].x();
  }
  std::vector<LabelMap> maps() const {
    return {{tests::unowned(labels), Eigen::Matrix4d::Identity(), "blocks.nii.gz"}};
  }
  std::vector<Implant> place(std::int64_t wanted, const ImplantOptions& options = {}) const {
    return place_implants(site, {"cso", &mask, &mask}, options, wanted, 11, {});
  }

  Volume<std::int32_t> labels;
  Volume<float> scan;
  Volume<std::uint8_t> mask;
  ScanSite site;
};

TEST(ImplantMeasure, ContrastIsThatOfWhiteMatterAndVentricles) {
  Blocks blocks;
  std::vector<LabelMap> map = blocks.maps();
  // Half of what the map calls ventricle is tissue, as an atlas on a young person has it.
  std::size_t seen = 0;
  for (std::size_t i = 0; i < blocks.labels.voxels.size(); ++i) {
    if (blocks.labels.voxels[i] == 4 && seen++ % 2 == 0) blocks.scan.voxels[i] = 320;
  }
  const ScanContrast contrast = measure_contrast(blocks.scan, map, 1);
  EXPECT_NEAR(contrast.white_matter, 300, 2);
  EXPECT_NEAR(contrast.csf, 1000, 10);
  EXPECT_NEAR(contrast.ratio(), 1000.0 / 300, 0.05);
}

TEST(ImplantMeasure, RefusesScansWithoutContrastAndMapsWithoutStructures) {
  const Blocks flat(360);
  std::vector<LabelMap> map = flat.maps();
  expect_error<core::InputError>([&] { measure_contrast(flat.scan, map, 1); },
                                 {"CSF is 1.2", "times as bright", "1.5", "T2-weighted"});
  Blocks without;
  for (std::int32_t& label : without.labels.voxels) label = label == 4 ? 0 : label;
  map = without.maps();
  expect_error<core::InputError>([&] { measure_contrast(without.scan, map, 1); },
                                 {"lateral ventricles", "blocks.nii.gz", "labels 4,43", "--lut"});
  Blocks few;
  std::size_t kept = 0;
  for (std::int32_t& label : few.labels.voxels) {
    if (label == 4 && kept++ >= 20) label = 0;
  }
  map = few.maps();
  expect_error<core::InputError>([&] { measure_contrast(few.scan, map, 1); },
                                 {"20 voxels of the lateral ventricles", "at least 50"});
}

TEST(ImplantPlace, EpvsLieInTheRegionApartAndAreNested) {
  const Blocks blocks;
  const ImplantOptions options;
  const std::vector<Implant> all = blocks.place(12);
  ASSERT_EQ(all.size(), 12U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Implant& one = all[i];
    EXPECT_GE(one.diameter_mm, 0.5);
    EXPECT_LE(one.diameter_mm, 3.0);
    EXPECT_GE(one.length_mm(), std::max(3.0, 2 * one.diameter_mm) - 1e-9);
    EXPECT_LE(one.length_mm(), 15.0 + 1e-9);
    EXPECT_GE(one.contrast, 0.2);
    EXPECT_LE(one.contrast, 0.4);
    for (const Vector3d& point : one.line) {
      const Vector3d voxel = blocks.mask.geometry.to_voxel(point);
      EXPECT_EQ(
          blocks.mask.at(std::llround(voxel.x()), std::llround(voxel.y()), std::llround(voxel.z())),
          1);
    }
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_GE(distance_of_lines_mm(one.line, all[j].line) -
                    0.5 * (one.diameter_mm + all[j].diameter_mm),
                0.99);  // the gap is 2 mm, of which a slice of 1 mm counts as all of 1 mm
    }
  }
  const std::vector<Implant> first = blocks.place(5);
  ASSERT_EQ(first.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(first[i].line, all[i].line);
}

TEST(ImplantPlace, KeepsAwayFromWhatIsBright) {
  Blocks blocks;
  // Bright rods through the white matter, 6 mm apart.
  for_each_voxel(blocks.scan.geometry.shape, [&](auto x, auto y, auto z) {
    if (blocks.mask.at(x, y, z) != 0 && x % 8 == 0 && y % 8 == 0) blocks.scan.at(x, y, z) = 600;
  });
  const std::vector<Implant> placed = blocks.place(6);
  ASSERT_GE(placed.size(), 3U);
  for (const Implant& one : placed) {
    for (const Vector3d& point : one.line) {
      const Vector3d voxel = blocks.scan.geometry.to_voxel(point);
      const double dx = std::remainder(voxel.x(), 8.0);
      const double dy = std::remainder(voxel.y(), 8.0);
      EXPECT_GT(std::hypot(dx, dy), 0.5 * one.diameter_mm + 0.8);
    }
  }
}

TEST(ImplantPlace, AFullRegionTakesFewer) {
  Blocks blocks;
  for_each_voxel(blocks.mask.geometry.shape, [&](auto x, auto y, auto z) {
    if (x < 12 || x > 22 || y < 12 || y > 22) blocks.mask.at(x, y, z) = 0;
  });
  ImplantOptions options;
  options.gap_mm = 4;
  const std::vector<Implant> placed = blocks.place(40, options);
  EXPECT_GE(placed.size(), 2U);
  EXPECT_LT(placed.size(), 40U);
  blocks.mask = Volume<std::uint8_t>(blocks.mask.geometry);
  EXPECT_TRUE(blocks.place(3).empty());
}

TEST(ImplantOptions, ImpossibleValuesAreRefusedWithTheLimit) {
  const auto refused = [](auto change, const std::vector<std::string>& texts) {
    ImplantOptions options;
    change(options);
    expect_error<core::UsageError>([&] { options.validate(); }, texts);
  };
  refused([](ImplantOptions& o) { o.counts = {}; }, {"--counts is empty"});
  refused([](ImplantOptions& o) { o.counts = {0, 5, 5}; }, {"5 after 5", "larger"});
  refused([](ImplantOptions& o) { o.counts = {5, 0}; }, {"0 after 5"});
  refused([](ImplantOptions& o) { o.length_mm = {9, 4}; }, {"--length-mm = 9,4", "4,9"});
  refused([](ImplantOptions& o) { o.diameter_mm = {3, 1}; }, {"--diameter-mm = 3,1"});
  refused([](ImplantOptions& o) { o.contrast = {0.5, 0.1}; }, {"--contrast = 0.5,0.1"});
  refused([](ImplantOptions& o) { o.length_mm = {3, 5}; }, {"ends at 5", "twice as long"});
}

/// The decompressed bytes of a file.
std::string bytes_of(const fs::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  std::string bytes;
  char block[4096];
  for (int n = gzread(file, block, sizeof(block)); n > 0; n = gzread(file, block, sizeof(block))) {
    bytes.append(block, static_cast<std::size_t>(n));
  }
  gzclose(file);
  return bytes;
}

/// A NIfTI-1 file with an extension, a description, codes and other fields that mean nothing here.
std::string odd_nifti(short type, const std::string& voxels, float slope, float intercept) {
  std::string bytes(368, '\0');
  const auto put = [&](std::size_t at, auto value) {
    std::memcpy(&bytes[at], &value, sizeof(value));
  };
  put(0, std::int32_t{348});
  const short dims[8] = {3, 4, 3, 2, 1, 1, 1, 1};
  for (std::size_t i = 0; i < 8; ++i) put(40 + 2 * i, dims[i]);
  put(70, type);
  put(72, static_cast<short>(8 * static_cast<int>(voxels.size()) / 24));
  for (std::size_t i = 0; i < 4; ++i) put(76 + 4 * i, i == 3 ? 4.0F : 0.75F);
  put(76, 1.0F);
  put(108, 368.0F);
  put(112, slope);
  put(116, intercept);
  put(124, 1234.0F);  // cal_max
  std::memcpy(&bytes[148], "scanner of the year", 19);
  put(252, short{2});
  put(254, short{4});
  put(256, 0.01F);
  for (std::size_t i = 0; i < 3; ++i) put(280 + 20 * i, i == 2 ? 4.0F : 0.75F);
  std::memcpy(&bytes[344], "n+1", 4);
  bytes[348] = 1;
  put(352, std::int32_t{16});
  put(356, std::int32_t{6});
  std::memcpy(&bytes[360], "comment", 8);
  return bytes + voxels;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

TEST(CopyWithChanges, KeepsEveryOtherByte) {
  const TemporaryFolder folder;
  std::vector<std::uint16_t> stored(24);
  for (std::size_t i = 0; i < 24; ++i) stored[i] = static_cast<std::uint16_t>(100 * i);
  stored[23] = 65000;
  core::write_text(folder / "a.nii", odd_nifti(512, raw(stored), 0.5F, -10.0F));
  copy_with_changes(folder / "a.nii", folder / "b.nii",
                    {{3, 7.4}, {5, -0.2}, {7, -9999}, {23, 9999}});
  stored[3] = 315;  // 7.4 / 0.5 = 14.8
  stored[7] = 0;    // cut at the range of the type
  stored[23] = 65535;
  EXPECT_EQ(bytes_of(folder / "b.nii"), odd_nifti(512, raw(stored), 0.5F, -10.0F));
  EXPECT_NEAR(static_cast<double>(read_scan(folder / "b.nii").image.voxels[3]), 147.5, 1e-6);
}

TEST(CopyWithChanges, FloatsAreNotRoundedAndNoChangeIsACopy) {
  const TemporaryFolder folder;
  std::vector<float> stored(24, 1.5F);
  write_nifti(folder / "a.nii.gz", Volume<float>(centred_grid({4, 3, 2}, {1, 1, 2}), 1.5F));
  copy_with_changes(folder / "a.nii.gz", folder / "b.nii.gz", {{4, 0.25}});
  stored[4] = 1.75F;
  EXPECT_EQ(read_scan(folder / "b.nii.gz").image.voxels, stored);
  EXPECT_EQ(bytes_of(folder / "a.nii.gz").substr(0, 352),
            bytes_of(folder / "b.nii.gz").substr(0, 352));
  copy_with_changes(folder / "a.nii.gz", folder / "c.nii.gz", {});
  EXPECT_EQ(core::read_text(folder / "a.nii.gz"), core::read_text(folder / "c.nii.gz"));
}

TEST(CopyWithChanges, ReadsBigEndianMghWithItsTags) {
  const TemporaryFolder folder;
  std::string bytes(284, '\0');
  const auto put = [&](std::size_t at, std::initializer_list<unsigned char> values) {
    for (const unsigned char value : values) bytes[at++] = static_cast<char>(value);
  };
  put(0, {0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4});
  const std::string tags = "tags behind the voxels";
  const std::string voxels = {0, 100, 1, 0, 0, 7, 0, 8};  // 100, 256, 7, 8 as int16
  core::write_text(folder / "a.mgh", bytes + voxels + tags);
  copy_with_changes(folder / "a.mgh", folder / "b.mgh", {{1, 3.0}});
  const std::string changed = {0, 100, 1, 3, 0, 7, 0, 8};
  EXPECT_EQ(core::read_text(folder / "b.mgh"), bytes + changed + tags);
}

TEST(CopyWithChanges, ACutOffFileIsRefusedAndNothingWritten) {
  const TemporaryFolder folder;
  const std::string whole = odd_nifti(4, raw(std::vector<std::int16_t>(24)), 1, 0);
  core::write_text(folder / "a.nii", whole.substr(0, whole.size() - 5));
  expect_error<core::InputError>(
      [&] {
        copy_with_changes(folder / "a.nii", folder / "b.nii", {{0, 1.0}});
      },
      {"a.nii is truncated", "416 bytes expected", "411 found"});
  EXPECT_FALSE(fs::exists(folder / "b.nii"));
}

}  // namespace
}  // namespace epvs::data
