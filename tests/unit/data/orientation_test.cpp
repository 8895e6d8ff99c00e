// Headers that leave left and right open, and what is said about them.
#include "data/formats/orientation.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "core/error.h"
#include "core/files.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::expect_error;
using tests::TemporaryFolder;

/// Offsets in a NIfTI-1 header.
constexpr std::size_t kQformCode = 252;
constexpr std::size_t kSformCode = 254;
constexpr std::size_t kQuaternC = 260;
constexpr std::size_t kQoffsetX = 268;
constexpr std::size_t kSrowX = 280;

template <class T>
void patch(const fs::path& path, std::size_t offset, T value) {
  std::string bytes = core::read_text(path);
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
  core::write_text(path, bytes);
}

/// RAS axes of 1, 1 and 3 mm; both forms say the same.
class Orientation : public testing::Test {
 protected:
  Orientation() {
    Geometry geometry;
    geometry.shape = {6, 5, 4};
    geometry.affine.diagonal() << 1, 1, 3, 1;
    geometry.affine.col(3) << -2, -7, 4, 1;
    write_nifti(path_, Volume<float>(geometry, 1.0F));
  }
  void expect_doubt(const std::vector<std::string>& texts) const {
    ScanHeader header = read_header(path_);
    expect_error<core::InputError>([&] { settle_orientation(path_, {}, header); }, texts);
    EXPECT_FALSE(header.side_doubt.empty());
    EXPECT_FALSE(header.warnings.empty());
  }
  Eigen::Matrix4d settled(const std::vector<std::string>& words) const {
    ScanHeader header = read_header(path_);
    settle_orientation(path_, OrientationRule(words), header);
    EXPECT_TRUE(header.side_doubt.empty());
    EXPECT_NE(header.concerns.back().find("--assume-orientation"), std::string::npos);
    return header.geometry.affine;
  }
  TemporaryFolder folder_;
  fs::path path_ = folder_ / "scan.nii";
};

TEST_F(Orientation, AGoodHeaderLeavesNothingOpen) {
  ScanHeader header = read_header(path_);
  const Eigen::Matrix4d before = header.geometry.affine;
  EXPECT_TRUE(header.warnings.empty());
  EXPECT_TRUE(header.side_doubt.empty());
  settle_orientation(path_, OrientationRule({"LPI", "qform"}), header);  // means nothing here
  EXPECT_EQ(header.geometry.affine, before);
  EXPECT_TRUE(header.concerns.empty());
  EXPECT_EQ(orientation_letters(header.geometry), "RAS");
}

TEST_F(Orientation, WithoutCodesTheUserMustSayIt) {
  patch<std::int16_t>(path_, kQformCode, 0);
  patch<std::int16_t>(path_, kSformCode, 0);
  expect_doubt({"scan.nii", "no orientation in the header", "left and right are ambiguous",
                "--assume-orientation RAS"});
  ScanHeader header = read_header(path_);
  expect_error<core::InputError>(
      [&] { settle_orientation(path_, OrientationRule({"sform"}), header); },
      {"no orientation in the header"});
  Eigen::Matrix4d ras = Eigen::Matrix4d::Identity();
  ras.diagonal() << 1, 1, 3, 1;
  ras.col(3) << -2.5, -2, -4.5, 1;
  EXPECT_TRUE(settled({"RAS"}).isApprox(ras));
  // P, S, L: the first axis runs back, the second up, the third to the left.
  Eigen::Matrix4d psl = Eigen::Matrix4d::Zero();
  psl(1, 0) = -1;
  psl(2, 1) = 1;
  psl(0, 2) = -3;
  psl.col(3) << 4.5, 2.5, -2, 1;
  EXPECT_TRUE(settled({"sform", "PSL"}).isApprox(psl));
}

TEST_F(Orientation, FormsThatNameAnotherSideLeftAreRefused) {
  patch<float>(path_, kSrowX, -1.0F);
  patch<float>(path_, kSrowX + 12, 3.0F);
  expect_doubt({"left and right are ambiguous", "run to LAS by the sform", "RAS by the qform",
                "--assume-orientation sform or qform"});
  EXPECT_EQ(settled({"sform"})(0, 0), -1);
  EXPECT_EQ(settled({"qform", "RAS"})(0, 0), 1);
  ScanHeader header = read_header(path_);
  expect_error<core::InputError>(
      [&] { settle_orientation(path_, OrientationRule({"RAS"}), header); }, {"ambiguous"});
}

TEST_F(Orientation, HalfATurnExchangesTheSidesToo) {
  patch<float>(path_, kQuaternC, 1.0F);  // about y: left and right, up and down change places
  expect_doubt({"run to RAS by the sform", "LAI by the qform"});
}

TEST_F(Orientation, FormsApartAreMeasured) {
  patch<float>(path_, kQoffsetX, 3.0F);  // 5 mm further right
  const ScanHeader header = read_header(path_);
  EXPECT_TRUE(header.side_doubt.empty());
  ASSERT_EQ(header.concerns.size(), 1U);
  EXPECT_NE(header.concerns[0].find("disagree by up to 5.0 mm: the sform is used"),
            std::string::npos)
      << header.concerns[0];
  EXPECT_EQ(header.geometry.affine(0, 3), -2);
  // Half a millimetre is said, not flagged; rounding is neither.
  patch<float>(path_, kQoffsetX, -1.5F);
  EXPECT_EQ(read_header(path_).warnings.size(), 1U);
  EXPECT_TRUE(read_header(path_).concerns.empty());
  patch<float>(path_, kQoffsetX, -2.05F);
  EXPECT_TRUE(read_header(path_).warnings.empty());
}

TEST_F(Orientation, ShearIsSaid) {
  patch<std::int16_t>(path_, kQformCode, 0);
  patch<float>(path_, kSrowX + 4, 0.1F);  // x grows along the second axis: 5.71 degrees
  const ScanHeader header = read_header(path_);
  ASSERT_EQ(header.concerns.size(), 1U);
  EXPECT_NE(header.concerns[0].find("axes 1 and 2 are 5.71 degrees from square"), std::string::npos)
      << header.concerns[0];
  patch<float>(path_, kSrowX + 4, 0.01F);
  EXPECT_EQ(read_header(path_).warnings.size(), 1U);
  EXPECT_TRUE(read_header(path_).concerns.empty());
}

TEST(OrientationRules, MistakesAreNamed) {
  const auto refuse = [](const std::vector<std::string>& words,
                         const std::vector<std::string>& texts) {
    expect_error<core::UsageError>([&] { OrientationRule rule(words); }, texts);
  };
  refuse({"ras"}, {"--assume-orientation 'ras' is no orientation", "RAS or LPI"});
  refuse({"RLS"}, {"'RLS' is no orientation"});
  refuse({"RASP"}, {"'RASP'"});
  refuse({"sform", "qform"}, {"both 'sform' and 'qform'"});
  refuse({"RAS", "LAS"}, {"both 'RAS' and 'LAS'"});
  EXPECT_EQ(OrientationRule({"PIR", "qform"}).axes(), "PIR");
}

TEST(OrientationRules, LargestCornerDistance) {
  Geometry geometry;
  geometry.shape = {11, 3, 3};
  Eigen::Matrix4d other = geometry.affine;
  other(0, 0) = 1.1;  // the far corner moves by 10 x 0.1
  EXPECT_NEAR(largest_corner_distance_mm(geometry, other), 1.0, 1e-12);
}

}  // namespace
}  // namespace epvs::data
