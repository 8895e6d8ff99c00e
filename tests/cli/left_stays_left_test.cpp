// Left stays left: a bright spot and its label on the left side only go through every kind of
// input, stored order and label route of `epvs prepare`, and the way back to the scan.
#include <Eigen/LU>
#include <algorithm>
#include <cstring>
#include <fstream>

#include "core/files.h"
#include "data/cohort/cohort.h"
#include "data/cohort/source_space.h"
#include "data/formats/nifti.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using data::Geometry;
using data::Shape;
using data::Volume;
using tests::CommandResult;
using tests::run_epvs;

/// World of the phantom, RAS+ mm: the structure and the spot in it are on the left.
const Eigen::Vector3d kSpot(-14, 6, -3);
const Eigen::Vector3d kStructure(-13, 4, -2);

Eigen::Vector3d voxel_of(const Shape& shape, std::size_t index) {
  const auto i = static_cast<std::int64_t>(index);
  return {static_cast<double>(i % shape[0]), static_cast<double>(i / shape[0] % shape[1]),
          static_cast<double>(i / (shape[0] * shape[1]))};
}

/// A dim ball with texture, one bright spot in it.
Volume<float> spot_scan(const Geometry& geometry) {
  Volume<float> scan(geometry);
  for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
    const Eigen::Vector3d at = geometry.to_world(voxel_of(geometry.shape, i));
    const double spot = 900 * std::exp(-(at - kSpot).squaredNorm() / (2 * 1.5 * 1.5));
    scan.voxels[i] = static_cast<float>(std::lround(100 + static_cast<double>(i % 7) + spot));
  }
  return scan;
}

/// 11 around `centre` on the left, 50 at the mirrored place on the right.
Volume<std::int16_t> labels_of(const Geometry& geometry, const Eigen::Vector3d& centre,
                               const Eigen::Vector3d& radii) {
  Volume<std::int16_t> labels(geometry);
  const Eigen::Vector3d right(-centre[0], centre[1], centre[2]);
  for (std::size_t i = 0; i < labels.voxels.size(); ++i) {
    const Eigen::Vector3d at = geometry.to_world(voxel_of(geometry.shape, i));
    if ((at - centre).cwiseQuotient(radii).norm() < 1) labels.voxels[i] = 11;
    if ((at - right).cwiseQuotient(radii).norm() < 1) labels.voxels[i] = 50;
  }
  return labels;
}

/// A grid around the origin whose stored axes run to `letters`, perhaps turned as a whole.
Geometry stored_grid(const std::string& letters, const Shape& world_shape,
                     const Eigen::Vector3d& spacing, bool oblique) {
  Geometry geometry;
  geometry.affine.setZero();
  geometry.affine(3, 3) = 1;
  Eigen::Vector3d corner = Eigen::Vector3d::Zero();
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string pair = "RASLPI";
    const auto at = pair.find(letters[i]);
    const auto world = static_cast<Eigen::Index>(at % 3);
    const double sense = at < 3 ? 1 : -1;
    geometry.shape[i] = world_shape[static_cast<std::size_t>(world)];
    geometry.affine(world, static_cast<Eigen::Index>(i)) = sense * spacing[world];
    corner[world] = -0.5 * sense * spacing[world] * static_cast<double>(geometry.shape[i] - 1);
  }
  geometry.affine.topRightCorner<3, 1>() = corner;
  if (oblique)
    geometry.affine = tests::rigid_motion({0.2, -0.15, 0.25}, {1, 2, -1}) * geometry.affine;
  return geometry;
}

/// The affine of a scan as a file of FreeSurfer: big-endian, float32.
void write_mgh(const fs::path& path, const Volume<float>& volume) {
  const Geometry& geometry = volume.geometry;
  std::string bytes(284, '\0');
  const auto put = [&bytes](std::size_t offset, const auto& value) {
    std::string raw(sizeof(value), '\0');
    std::memcpy(raw.data(), &value, sizeof(value));
    std::reverse(raw.begin(), raw.end());
    bytes.replace(offset, raw.size(), raw);
  };
  put(0, std::int32_t{1});
  for (std::size_t i = 0; i < 3; ++i) {
    put(4 + 4 * i, static_cast<std::int32_t>(geometry.shape[i]));
  }
  put(16, std::int32_t{1});
  put(20, std::int32_t{3});
  put(28, std::int16_t{1});
  const Eigen::Vector3d spacing = geometry.spacing_mm();
  const Eigen::Vector3d centre = geometry.to_world({0.5 * static_cast<double>(geometry.shape[0]),
                                                    0.5 * static_cast<double>(geometry.shape[1]),
                                                    0.5 * static_cast<double>(geometry.shape[2])});
  for (int i = 0; i < 3; ++i) {
    put(30 + 4 * static_cast<std::size_t>(i), static_cast<float>(spacing[i]));
    put(78 + 4 * static_cast<std::size_t>(i), static_cast<float>(centre[i]));
    for (int j = 0; j < 3; ++j) {
      put(42 + 4 * static_cast<std::size_t>(3 * i + j),
          static_cast<float>(geometry.affine(j, i) / spacing[i]));
    }
  }
  for (const float value : volume.voxels) {
    put(bytes.size(), value);
  }
  core::write_text(path, bytes);
}

/// NIfTI-2, by a header that needs double precision.
void write_nifti2(const fs::path& path, const Volume<float>& volume) {
  data::ScanHeader header;
  header.format = "nifti2";
  header.sform_code = 1;
  header.geometry = volume.geometry;
  header.sform = volume.geometry.affine;
  header.sform(0, 3) += 1e-12;
  data::write_nifti(path, volume, &header);
  ASSERT_EQ(data::read_header(path).format, "nifti2");
}

struct Route {
  const char* name;
  const char* input;  ///< bids, table: how the scan comes
  const char* file;   ///< nifti1, nifti2, mgz
  const char* order;  ///< where the stored axes run to
  bool oblique;
};

std::ostream& operator<<(std::ostream& out, const Route& route) {
  return out << route.name;
}

class LeftStaysLeft : public testing::TestWithParam<Route> {
 protected:
  void SetUp() override { core::write_text(folder_ / "left.toml", "[regions]\nleft = [11]\n"); }
  /// The scan as the route wants it; returns the first argument of prepare.
  std::string lay_out(const Route& route, const Volume<float>& scan) const {
    const std::string file = route.file;
    const bool is_bids = std::string(route.input) == "bids";
    const std::string ending = file == "mgz" ? ".mgh" : ".nii";
    const fs::path image =
        is_bids ? folder_ / ("bids/sub-01/anat/sub-01_T2w" + ending) : folder_ / ("t2" + ending);
    fs::create_directories(image.parent_path());
    if (file == "nifti1") data::write_nifti(image, scan);
    if (file == "nifti2") write_nifti2(image, scan);
    if (file == "mgz") write_mgh(image, scan);
    if (is_bids) return "bids";
    core::write_text(folder_ / "scans.tsv",
                     "participant_id\tt2w\nsub-01\t" + image.filename().string() + "\n");
    return "scans.tsv";
  }
  CommandResult prepare(const std::string& source, const std::vector<std::string>& extra) const {
    std::vector<std::string> all = {"prepare", source,           "out.h5",    "--regions",
                                    "left",    "--lut",          "left.toml", "--spacing-mm",
                                    "1,1,1",   "--sigma-voxels", "1"};
    all.insert(all.end(), extra.begin(), extra.end());
    return run_epvs(all, folder_.path());
  }
  /// Where the brightest voxel of the smooth ROI lies in the world of the scan.
  static Eigen::Vector3d brightest_in_roi(const data::CohortReader& reader) {
    const data::CohortRow& row = reader.rows("left").at(0);
    const std::vector<float> roi = reader.read_roi("left", 0);
    const auto at = std::max_element(roi.begin(), roi.end()) - roi.begin();
    return data::crop_voxel_to_source_world(row,
                                            voxel_of(row.roi.shape, static_cast<std::size_t>(at)));
  }
  /// The same through a map in the space of the scan, written and read again.
  Eigen::Vector3d brightest_in_map(const data::CohortReader& reader) const {
    const data::CohortRow& row = reader.rows("left").at(0);
    Volume<float> roi(row.roi);
    roi.voxels = reader.read_roi("left", 0);
    const data::ScanHeader like = data::source_header(row);
    data::write_nifti(folder_ / "map.nii.gz", data::to_source(row, roi), &like);
    const Volume<float> map = data::read_scan(folder_ / "map.nii.gz").image;
    const auto at = std::max_element(map.voxels.begin(), map.voxels.end()) - map.voxels.begin();
    return map.geometry.to_world(voxel_of(map.geometry.shape, static_cast<std::size_t>(at)));
  }
  tests::TemporaryFolder folder_;
};

TEST_P(LeftStaysLeft, ThroughLabelsAndBack) {
  const Route& route = GetParam();
  const Geometry grid = stored_grid(route.order, {52, 48, 20}, {1, 1, 2}, route.oblique);
  // The label map has a grid of its own, in another stored order.
  data::write_nifti(
      folder_ / "labels.nii.gz",
      labels_of(stored_grid("PIR", {50, 44, 36}, {1, 1, 1}, false), kStructure, {6, 8, 6}));
  const CommandResult result = prepare(lay_out(route, spot_scan(grid)),
                                       {"--labels", "labels.nii.gz", "--crop-voxels", "32,32,24"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_LT((brightest_in_roi(reader) - kSpot).norm(), 1.5) << brightest_in_roi(reader).transpose();
  EXPECT_LT((brightest_in_map(reader) - kSpot).norm(), 1.8) << brightest_in_map(reader).transpose();
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, LeftStaysLeft,
    testing::Values(Route{"bids_nifti1_RAS", "bids", "nifti1", "RAS", false},
                    Route{"bids_nifti1_LAS", "bids", "nifti1", "LAS", false},
                    Route{"bids_nifti1_PSR_oblique", "bids", "nifti1", "PSR", true},
                    Route{"table_nifti1_IPL", "table", "nifti1", "IPL", false},
                    Route{"table_nifti2_LPS_oblique", "table", "nifti2", "LPS", true},
                    Route{"bids_nifti2_RSA", "bids", "nifti2", "RSA", false},
                    Route{"bids_mgh_LIA", "bids", "mgz", "LIA", false},
                    Route{"table_mgh_RAS_oblique", "table", "mgz", "RAS", true}),
    [](const auto& instance) { return std::string(instance.param.name); });

/// The control: a header that lies about its sides is not seen by anybody, and the spot comes out
/// on the right, so the checks above do tell left from right.
TEST_F(LeftStaysLeft, AMirroredHeaderMovesTheSpotToTheRight) {
  Volume<float> scan = spot_scan(stored_grid("RAS", {52, 48, 20}, {1, 1, 2}, false));
  scan.geometry.affine.row(0) *= -1;
  data::write_nifti(folder_ / "labels.nii.gz",
                    labels_of(stored_grid("PIR", {50, 44, 36}, {1, 1, 1}, false),
                              {-kStructure[0], kStructure[1], kStructure[2]}, {6, 8, 6}));
  const Route route{"", "table", "nifti1", "RAS", false};
  const CommandResult result =
      prepare(lay_out(route, scan), {"--labels", "labels.nii.gz", "--crop-voxels", "32,32,24"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Eigen::Vector3d found = brightest_in_roi(data::CohortReader(folder_ / "out.h5"));
  const Eigen::Vector3d mirrored(-kSpot[0], kSpot[1], kSpot[2]);
  EXPECT_LT((found - mirrored).norm(), 1.5) << found.transpose();
}

/// Axes that are not at right angles, as an affine registration leaves them in a header: followed
/// everywhere, and flagged.
TEST_F(LeftStaysLeft, AShearedGridIsFollowed) {
  Geometry grid = stored_grid("LAS", {60, 48, 20}, {1, 1, 2}, false);
  grid.affine(0, 1) = 0.25;
  grid.affine(0, 3) -= 0.25 * 0.5 * 47;
  data::write_nifti(
      folder_ / "labels.nii.gz",
      labels_of(stored_grid("PIR", {50, 44, 36}, {1, 1, 1}, false), kStructure, {6, 8, 6}));
  const Route route{"", "table", "nifti1", "LAS", false};
  const CommandResult result = prepare(lay_out(route, spot_scan(grid)),
                                       {"--labels", "labels.nii.gz", "--crop-voxels", "32,32,24"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("shear: axes 1 and 2 are 14.04 degrees"), std::string::npos)
      << result.err;
  const data::CohortReader reader(folder_ / "out.h5");
  EXPECT_LT((brightest_in_roi(reader) - kSpot).norm(), 1.5) << brightest_in_roi(reader).transpose();
}

/// Routes that register: the head of the registration tests, with its cyst on the left.
class LeftStaysLeftRegistered : public LeftStaysLeft {
 protected:
  static constexpr double kCyst[3] = {-38, 22, 10};
  const Eigen::Vector3d cyst_{kCyst[0], kCyst[1], kCyst[2]};
  const Eigen::Matrix4d pose_ = tests::rigid_motion({0.08, -0.04, 0.06}, {4, -6, 5});

  void SetUp() override {
    EPVS_REQUIRE_ELASTIX();
    LeftStaysLeft::SetUp();
  }
  Geometry scan_grid(const Route& route) const {
    return stored_grid(route.order, {84, 100, 40}, {2.2, 2.2, 4.5}, false);
  }
  void write_template() const {
    const Geometry grid = stored_grid("LAS", {64, 74, 64}, {3, 3, 3}, false);
    data::write_nifti(folder_ / "template.nii.gz",
                      tests::scan_head(grid, Eigen::Matrix4d::Identity(), true));
    data::write_nifti(
        folder_ / "atlas.nii.gz",
        labels_of(stored_grid("RSP", {90, 110, 90}, {2, 2, 2}, false), cyst_, {9, 12, 10}));
  }
  void expect_cyst(const CommandResult& result) const {
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const data::CohortReader reader(folder_ / "out.h5");
    const data::CohortRow& row = reader.rows("left").at(0);
    const std::vector<std::uint8_t> hard = reader.read_hard("left", 0);
    Eigen::Vector3d sum = Eigen::Vector3d::Zero();
    double count = 0;
    for (std::size_t i = 0; i < hard.size(); ++i) {
      if (hard[i] == 0) continue;
      sum += data::crop_voxel_to_source_world(row, voxel_of(row.roi.shape, i));
      count += 1;
    }
    const Eigen::Matrix4d to_scan = pose_.inverse();
    const Eigen::Vector3d wanted = (to_scan * cyst_.homogeneous()).head<3>();
    EXPECT_LT((sum / count - wanted).norm(), 2.0) << (sum / count).transpose();
    // The cyst is the brightest there is: the network sees it on the left as well.
    EXPECT_LT((brightest_in_roi(reader) - wanted).norm(), 12.0);
    EXPECT_LT((brightest_in_map(reader) - wanted).norm(), 12.0);
  }
};

const Route kAtlas{"", "bids", "nifti1", "PSR", false};

TEST_F(LeftStaysLeftRegistered, ByAnAtlas) {
  write_template();
  expect_cyst(prepare(
      lay_out(kAtlas, tests::scan_head(scan_grid(kAtlas), pose_, true)),
      {"--template", "template.nii.gz", "--atlas", "atlas.nii.gz", "--crop-voxels", "48,48,48"}));
}

TEST_F(LeftStaysLeftRegistered, InTheSpaceOfTheTemplate) {
  write_template();
  const Route route{"", "table", "nifti1", "LPS", false};
  Volume<float> scan = tests::scan_head(scan_grid(route), pose_, true);
  const float lowest = *std::min_element(scan.voxels.begin(), scan.voxels.end());
  for (float& value : scan.voxels) value = std::round(value - lowest);
  Volume<std::int16_t> labels =
      labels_of(stored_grid("LAS", {90, 110, 90}, {2, 2, 2}, false), cyst_, {9, 12, 10});
  labels.geometry.affine = pose_.inverse() * labels.geometry.affine;
  data::write_nifti(folder_ / "labels.nii.gz", labels);
  expect_cyst(
      prepare(lay_out(route, scan), {"--labels", "labels.nii.gz", "--template", "template.nii.gz",
                                     "--crop-voxels", "48,48,48", "--registration", "rigid"}));
}

TEST_F(LeftStaysLeftRegistered, ByLabelsOfTheT1w) {
  const Eigen::Matrix4d t1_pose = tests::rigid_motion({-0.05, 0.03, -0.08}, {-5, 3, 2});
  const std::string source = lay_out(kAtlas, tests::scan_head(scan_grid(kAtlas), pose_, true));
  const Geometry grid = stored_grid("RIA", {64, 74, 64}, {3, 3, 3}, false);
  data::write_nifti(folder_ / "bids/sub-01/anat/sub-01_T1w.nii.gz",
                    tests::scan_head(grid, t1_pose, false));
  Volume<std::int16_t> labels =
      labels_of(stored_grid("LAS", {90, 110, 90}, {2, 2, 2}, false), cyst_, {9, 12, 10});
  labels.geometry.affine = t1_pose.inverse() * labels.geometry.affine;
  data::write_nifti(folder_ / "labels.nii.gz", labels);
  expect_cyst(prepare(
      source, {"--labels", "labels.nii.gz", "--labels-space", "t1w", "--crop-voxels", "48,48,48"}));
}

}  // namespace
}  // namespace epvs
