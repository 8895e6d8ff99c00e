#include "data/formats/png.h"

#include <gtest/gtest.h>
#include <png.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::expect_error;
using tests::TemporaryFolder;

Picture read_png(const fs::path& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0) << image.message;
  image.format = PNG_FORMAT_RGB;
  Picture picture(static_cast<int>(image.width), static_cast<int>(image.height));
  EXPECT_NE(png_image_finish_read(&image, nullptr, picture.rgb.data(), 0, nullptr), 0);
  return picture;
}

Geometry geometry_of(const Shape& shape, const Eigen::Vector3d& spacing) {
  Geometry geometry;
  geometry.shape = shape;
  geometry.affine.topLeftCorner<3, 3>() = spacing.asDiagonal();
  return geometry;
}

Picture noise(int width, int height) {
  core::Random random(1);
  Picture picture(width, height);
  for (auto& value : picture.rgb) value = static_cast<std::uint8_t>(random.integer(0, 255));
  return picture;
}

TEST(WritePng, RoundTripsThroughLibpngWithItsTexts) {
  const TemporaryFolder folder;
  const Picture picture = noise(31, 17);
  write_png(folder / "a.png", picture, {{"Software", "epvs 0.1"}, {"Comment", "made by a test"}});
  const Picture again = read_png(folder / "a.png");
  EXPECT_EQ(again.width, 31);
  EXPECT_EQ(again.height, 17);
  EXPECT_EQ(again.rgb, picture.rgb);
  const std::string bytes = core::read_text(folder / "a.png");
  EXPECT_NE(bytes.find("made by a test"), std::string::npos);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

TEST(WritePng, FailingDiskGivesAnErrorAndLeavesNothing) {
  const TemporaryFolder folder;
  expect_error<core::RunError>([] { write_png("/proc/none/a.png", Picture(2, 2)); },
                               {"/proc/none"});
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int code = 1;
    try {
      write_png(folder / "a.png", noise(200, 200));
    } catch (const core::RunError& error) {
      code = std::string(error.what()).find("File too large") != std::string::npos ? 42 : 2;
    }
    const bool empty = fs::directory_iterator(folder.path()) == fs::directory_iterator();
    std::_Exit(empty ? code : 3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(Picture, IgnoresWritesOutside) {
  Picture picture(3, 2, {1, 2, 3});
  const auto before = picture.rgb;
  picture.set(-1, 0, {9, 9, 9});
  picture.set(3, 0, {9, 9, 9});
  picture.set(0, 2, {9, 9, 9});
  EXPECT_EQ(picture.rgb, before);
  picture.set(2, 1, {9, 8, 7});
  EXPECT_EQ(picture.get(2, 1), (Colour{9, 8, 7}));
}

TEST(DrawText, DrawsItsLettersAndKnowsTheirWidth) {
  Picture picture(40, 12);
  draw_text(picture, 1, 1, "IL", {255, 255, 255});
  EXPECT_EQ(text_width("IL"), 11);
  EXPECT_EQ(text_width("IL", 3), 33);
  EXPECT_EQ(text_width(""), 0);
  EXPECT_EQ(picture.get(3, 4)[0], 255) << "the stem of I";
  EXPECT_EQ(picture.get(1, 4)[0], 0);
  EXPECT_EQ(picture.get(7, 4)[0], 255) << "the stem of L";
  EXPECT_EQ(picture.get(11, 7)[0], 255) << "the foot of L";
  EXPECT_EQ(picture.get(11, 6)[0], 0);
  // Every letter, digit and mark that titles use has a shape of its own.
  const auto drawn = [](char letter) {
    Picture one(6, 9);
    draw_text(one, 0, 0, std::string(1, letter), {255, 255, 255});
    return one.rgb;
  };
  const auto unknown = drawn('\x01');
  const std::string used =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:-+_/()=%<>?!'*#";
  for (std::size_t i = 0; i < used.size(); ++i) {
    EXPECT_NE(drawn(used[i]), unknown) << used[i];
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NE(drawn(used[i]), drawn(used[j])) << used[i] << used[j];
    }
  }
}

TEST(RobustWindow, LeavesOutTheExtremes) {
  Volume<float> volume(geometry_of({100, 100, 1}, {1, 1, 1}));
  for (std::size_t i = 0; i < 10000; ++i) volume.voxels[i] = static_cast<float>(i + 1);
  const GreyWindow window = robust_window(volume);
  EXPECT_NEAR(window.black, 51, 1);
  EXPECT_NEAR(window.white, 9950, 1);
  for (std::size_t i = 0; i < 5000; ++i) volume.voxels[i] = 0;
  volume.voxels[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NEAR(robust_window(volume).black, 5026, 1) << "background does not count";
  EXPECT_EQ(robust_window(Volume<float>(volume.geometry)).white, 1);
}

TEST(SlicePicture, IsRadiologicalAndIsotropic) {
  // One bright voxel at the right, front and top of a volume with thick slices.
  Volume<float> scan(geometry_of({10, 8, 4}, {1, 1, 3}));
  scan.at(8, 6, 3) = 100;
  const GreyWindow window{0, 100};
  const Picture axial = slice_picture(scan, Plane::kAxial, 3, 1.0, window);
  EXPECT_EQ(axial.width, 10);
  EXPECT_EQ(axial.height, 8);
  EXPECT_EQ(axial.get(1, 1), (Colour{255, 255, 255})) << "right is left, front is up";
  EXPECT_EQ(axial.get(8, 6), (Colour{0, 0, 0}));
  const Picture coronal = slice_picture(scan, Plane::kCoronal, 6, 1.0, window);
  EXPECT_EQ(coronal.height, 12) << "4 slices of 3 mm";
  EXPECT_EQ(coronal.get(1, 1), (Colour{255, 255, 255}));
  EXPECT_EQ(coronal.get(1, 10), (Colour{0, 0, 0}));
  const Picture sagittal = slice_picture(scan, Plane::kSagittal, 8, 0.5, window);
  EXPECT_EQ(sagittal.width, 16);
  EXPECT_EQ(sagittal.height, 24);
  EXPECT_EQ(sagittal.get(2, 1)[0], 191) << "front is on the left";
  EXPECT_EQ(sagittal.get(13, 1)[0], 0);
}

TEST(SlicePicture, OutlineLiesOnTheMasksBorder) {
  Volume<float> scan(geometry_of({20, 20, 1}, {1, 1, 1}));
  Volume<std::uint8_t> mask(scan.geometry);
  for (std::int64_t y = 5; y < 12; ++y) {
    for (std::int64_t x = 6; x < 14; ++x) mask.at(x, y, 0) = 1;
  }
  const Colour red = {255, 0, 0};
  const Picture picture = slice_picture(scan, Plane::kAxial, 0, 1.0, {0, 1}, {{&mask, red}});
  int marked = 0;
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 20; ++x) marked += picture.get(x, y) == red ? 1 : 0;
  }
  EXPECT_EQ(marked, 2 * (8 + 7) - 4);
  EXPECT_EQ(picture.get(19 - 6, 19 - 5), red);
  EXPECT_EQ(picture.get(19 - 8, 19 - 8), (Colour{0, 0, 0})) << "inside stays as it is";
}

TEST(ThreePlanePicture, HoldsThreePanelsAndClampsTheCentre) {
  Volume<float> scan(geometry_of({40, 50, 12}, {1, 1, 4}), 1.0F);
  Volume<std::uint8_t> mask(scan.geometry);
  mask.at(20, 25, 6) = 1;
  const Colour red = {255, 0, 0};
  const Picture picture =
      three_plane_picture(scan, {20, 25, 99}, {{&mask, red}}, "sub-01 bg", {0, 1});
  EXPECT_NEAR(picture.width, 900 + 4 * 8, 3);
  int marked = 0;
  for (int i = 0; i < picture.width * picture.height; ++i) {
    marked += picture.get(i % picture.width, i / picture.width) == red ? 1 : 0;
  }
  EXPECT_GT(marked, 20) << "coronal and sagittal panels show the mask";
  const Picture plain = three_plane_picture(scan, {20, 25, 6}, {}, std::string(300, 'x'), {0, 1});
  EXPECT_EQ(plain.width, picture.width) << "a long title is cut, not an error";
}

}  // namespace
}  // namespace epvs::data
