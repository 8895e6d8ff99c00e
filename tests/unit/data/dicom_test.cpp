// DICOM series: geometry against dcm2niix and against known grids, choice, every bad folder.
#include <gdcmImageChangeTransferSyntax.h>
#include <gdcmImageReader.h>
#include <gdcmImageWriter.h>

#include <Eigen/LU>
#include <algorithm>
#include <fstream>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "data/formats/nifti.h"
#include "data/prepare/inputs/dicom_series.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/dicom_writer.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::centred_grid;
using tests::DicomSlice;
using tests::expect_error;
using tests::TemporaryFolder;
using tests::write_dicom_series;

/// Different in every voxel, whole numbers.
Volume<float> pattern(const Geometry& geometry) {
  Volume<float> volume(geometry);
  for (std::size_t i = 0; i < volume.voxels.size(); ++i) {
    volume.voxels[i] = static_cast<float>((i * 7919) % 4001);
  }
  return volume;
}

Geometry small_grid() {
  return centred_grid({7, 6, 5}, {0.7, 0.9, 3.3});
}

Scan read_folder(const fs::path& folder, const std::string& wanted = "") {
  return read_dicom(choose_series(list_dicom(folder), wanted));
}

void expect_same_volume(const Volume<float>& found, const Volume<float>& wanted,
                        double tolerance_mm) {
  const Volume<float> a = to_canonical(found);
  const Volume<float> b = to_canonical(wanted);
  ASSERT_EQ(a.geometry.shape, b.geometry.shape);
  EXPECT_LT((a.geometry.affine - b.geometry.affine).cwiseAbs().maxCoeff(), tolerance_mm)
      << a.geometry.affine << "\n\n"
      << b.geometry.affine;
  EXPECT_EQ(a.voxels, b.voxels);
}

class Dcm2niix : public testing::TestWithParam<const char*> {};

TEST_P(Dcm2niix, FindsTheSameVolume) {
  const fs::path folder = tests::golden("data/dicom");
  const Scan scan = read_folder(folder / GetParam());
  EXPECT_EQ(scan.header.format, "dicom");
  EXPECT_EQ(scan.header.stored_type, "uint16");
  EXPECT_TRUE(scan.header.warnings.empty());
  const Scan other = read_scan(folder / (std::string(GetParam()) + ".nii"));
  expect_same_volume(scan.image, other.image, 1e-5);
  EXPECT_NEAR(to_canonical(scan.image).geometry.spacing_mm().maxCoeff(), 3.3, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Golden, Dcm2niix,
                         testing::Values("axial", "sagittal", "coronal", "oblique", "enhanced"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Dicom, EveryStoredOrderComesBackWhereItWas) {
  const TemporaryFolder folder;
  const Eigen::Matrix4d turned = tests::rigid_motion({0.3, -0.2, 0.5}, {4, -7, 11});
  int number = 0;
  for (const int x_axis : {0, 1, 2}) {
    for (const double sign : {1.0, -1.0}) {
      for (const bool oblique : {false, true}) {
        Geometry geometry;
        geometry.shape = {7, 6, 5};
        geometry.affine.setZero();
        geometry.affine(x_axis, 0) = 0.7 * sign;
        geometry.affine((x_axis + 1) % 3, 1) = 0.9;
        geometry.affine((x_axis + 2) % 3, 2) = -3.3;
        geometry.affine.col(3) << 12.5, -31.25, 8, 1;
        if (oblique) geometry.affine = turned * geometry.affine;
        const Volume<float> volume = pattern(geometry);
        const fs::path place = folder / ("s" + std::to_string(number++));
        write_dicom_series(place, volume);
        expect_same_volume(read_folder(place).image, volume, 1e-5);
      }
    }
  }
}

TEST(Dicom, SlopeAndInterceptOfEachSlice) {
  const TemporaryFolder folder;
  const Volume<float> stored = pattern(small_grid());
  Volume<float> values = stored;
  for (std::size_t i = 0; i < values.voxels.size(); ++i) {
    const auto z = static_cast<float>(i / 42);
    values.voxels[i] = stored.voxels[i] * (0.5F + z) - 3 * z;
  }
  write_dicom_series(folder / "s", stored, [](std::size_t z, DicomSlice& slice) {
    slice.slope = 0.5 + static_cast<double>(z);
    slice.intercept = -3.0 * static_cast<double>(z);
  });
  expect_same_volume(read_folder(folder / "s").image, values, 1e-5);
}

/// Replaces the value of an element of two bytes (VR US) in a file.
void set_number(const fs::path& path, std::uint16_t group, std::uint16_t element,
                std::uint16_t value) {
  std::string bytes = core::read_text(path);
  const auto two = [](std::uint16_t number) {
    return std::string{static_cast<char>(number & 0xffU), static_cast<char>(number >> 8U)};
  };
  const std::string start = two(group) + two(element) + "US" + two(2);
  const std::size_t at = bytes.find(start);
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at + start.size(), 2, two(value));
  core::write_text(path, bytes);
}

TEST(Dicom, BitsThatAreNotUsedAreNoPartOfTheNumber) {
  const TemporaryFolder folder;
  Volume<float> words(small_grid());  // 16 bits, of which 2 to 13 are the number
  Volume<float> values(small_grid());
  for (std::size_t i = 0; i < words.voxels.size(); ++i) {
    const auto stored = static_cast<int>(i * 37 % 4096);
    words.voxels[i] = static_cast<float>(stored * 4 + 3 + 0x4000);
    values.voxels[i] = static_cast<float>(stored < 2048 ? stored : stored - 4096);
  }
  write_dicom_series(folder / "s", words);
  for (const auto& entry : fs::directory_iterator(folder / "s")) {
    set_number(entry.path(), 0x0028, 0x0101, 12);
    set_number(entry.path(), 0x0028, 0x0102, 13);
    set_number(entry.path(), 0x0028, 0x0103, 1);
  }
  expect_same_volume(read_folder(folder / "s").image, values, 1e-5);
  set_number(folder / "s/IM0002", 0x0028, 0x0101, 17);
  expect_error<core::InputError>([&] { read_folder(folder / "s"); },
                                 {"IM0002", "16 bits, 17 of them", "dcm2niix"});
}

TEST(Dicom, DamagedBytesNeverEndTheProgram) {
  const TemporaryFolder folder;
  write_dicom_series(folder / "s", pattern(small_grid()),
                     [](std::size_t z, DicomSlice& slice) { slice.slope = z == 2 ? 1.5 : 1; });
  const fs::path victim = folder / "s/IM0002";
  const std::string whole = core::read_text(victim);
  core::Random random(7);
  int refused = 0;
  constexpr int kTrials = 600;
  const auto header_end = static_cast<std::int64_t>(whole.size()) - 84;  // 42 pixels follow
  for (int trial = 0; trial < kTrials; ++trial) {
    std::string bytes = whole;
    const std::int64_t changes = random.integer(1, 3);
    for (std::int64_t i = 0; i < changes; ++i) {
      const auto at = random.integer(132, header_end - 1);
      bytes[static_cast<std::size_t>(at)] = static_cast<char>(random.integer(0, 255));
    }
    core::write_text(victim, bytes);
    try {
      read_folder(folder / "s");
    } catch (const core::Error&) {
      ++refused;
    }
  }
  // Many bytes are text that nobody needs; lengths, tags and positions are most of the others.
  EXPECT_GT(refused, kTrials / 10);
  EXPECT_LT(refused, kTrials);
}

TEST(Dicom, CompressedPixelsAreRead) {
  Volume<float> volume(centred_grid({40, 36, 3}, {1, 1, 3}));
  for (std::size_t i = 0; i < volume.voxels.size(); ++i) {
    volume.voxels[i] = static_cast<float>(i % 40 * 3 + i / 40 * 5);
  }
  for (const auto syntax :
       {gdcm::TransferSyntax::RLELossless, gdcm::TransferSyntax::JPEGLosslessProcess14_1,
        gdcm::TransferSyntax::JPEG2000Lossless, gdcm::TransferSyntax::ImplicitVRLittleEndian}) {
    const TemporaryFolder folder;
    write_dicom_series(folder / "s", volume);
    for (const auto& entry : fs::directory_iterator(folder / "s")) {
      gdcm::ImageReader reader;
      reader.SetFileName(entry.path().c_str());
      ASSERT_TRUE(reader.Read());
      gdcm::ImageChangeTransferSyntax change;
      change.SetTransferSyntax(syntax);
      change.SetInput(reader.GetImage());
      ASSERT_TRUE(change.Change());
      gdcm::ImageWriter writer;
      writer.SetFile(reader.GetFile());
      writer.SetImage(change.GetOutput());
      writer.SetFileName(entry.path().c_str());
      ASSERT_TRUE(writer.Write());
    }
    expect_same_volume(read_folder(folder / "s").image, volume, 1e-5);
  }
}

TEST(Dicom, ALeaningStackGivesASkewedGridAndAWord) {
  const TemporaryFolder folder;
  Geometry grid = small_grid();
  const Volume<float> volume = pattern(grid);
  write_dicom_series(folder / "s", volume, [](std::size_t z, DicomSlice& slice) {
    slice.position[1] += 0.4 * static_cast<double>(z);  // LPS: to the back
  });
  const Scan scan = read_folder(folder / "s");
  Volume<float> wanted = volume;
  wanted.geometry.affine(1, 2) = -0.4;
  expect_same_volume(scan.image, wanted, 1e-5);
  ASSERT_EQ(scan.header.warnings.size(), 2U);  // atan(0.4 / 3.3) = 6.91 degrees
  EXPECT_NE(scan.header.warnings[0].find("leans by 6.91 degrees"), std::string::npos);
  EXPECT_NE(scan.header.warnings[1].find("shear"), std::string::npos);
}

TEST(Dicom, SeriesAreListedAndChosen) {
  const TemporaryFolder folder;
  const Volume<float> volume = pattern(small_grid());
  write_dicom_series(folder / "a", volume);
  write_dicom_series(folder / "b", volume, [](std::size_t, DicomSlice& slice) {
    slice.series_uid = "1.2.3.2";
    slice.series_number = "12";
    slice.description = "T1 MPRAGE";
  });
  // PD and T2 of one acquisition, in one series.
  for (const char* echo : {"95", "15"}) {
    write_dicom_series(folder / ("c" + std::string(echo)), volume,
                       [&](std::size_t z, DicomSlice& slice) {
                         slice.series_uid = "1.2.3.3";
                         slice.series_number = "7";
                         slice.description = "PD+T2 TSE";
                         slice.echo_time = echo;
                         slice.instance_uid = fmt::format("1.2.3.3.{}.{}", echo, z);
                         if (std::string(echo) == "15") slice.pixels[0] = 4095;
                       });
  }
  write_dicom_series(folder / "p", volume, [](std::size_t, DicomSlice& slice) {
    slice.image_type = "ORIGINAL\\PRIMARY\\P\\ND";
  });
  core::write_text(folder / "notes.txt", "nothing that matters");
  const DicomFolder found = list_dicom(folder.path());
  std::vector<std::string> ids;
  for (const DicomSeries& series : found.series) ids.push_back(series.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"5", "5phase", "7e1", "7e2", "12"}));
  EXPECT_EQ(found.others, 1U);
  EXPECT_EQ(found.series[2].echo_time_ms, 15);
  EXPECT_EQ(found.series[2].matrix(), "7x6x5");
  EXPECT_EQ(found.series[2].spacing(), "0.700x0.900x3.300");
  EXPECT_EQ(found.series[2].problem, "");

  EXPECT_EQ(choose_series(found, "12").description, "T1 MPRAGE");
  EXPECT_EQ(choose_series(found, "mprage").id, "12");
  EXPECT_EQ(choose_series(found, "1.2.3.2").id, "12");
  EXPECT_EQ(choose_series(found, "5").id, "5");
  EXPECT_EQ(choose_series(found, "7e2").echo_time_ms, 95);
  EXPECT_EQ(read_dicom(choose_series(found, "7e1")).image.at(0, 0, 0), 4095);
  expect_error<core::InputError>([&] { choose_series(found, ""); },
                                 {"has 5 series to choose from", "5 'T2 TSE' MR 7x6x5",
                                  "0.700x0.900x3.300 mm", "7e1 'PD+T2 TSE'", "--series"});
  expect_error<core::InputError>([&] { choose_series(found, "7"); },
                                 {"2 series to choose from that fit '7'", "7e1", "7e2"});
  expect_error<core::InputError>([&] { choose_series(found, "t2 tse"); },
                                 {"4 series to choose from that fit 't2 tse'"});
  expect_error<core::InputError>([&] { choose_series(found, "FLAIR"); },
                                 {"no series 'FLAIR'; it has", "12 'T1 MPRAGE'"});
}

/// A series of which each slice is spoiled before it is written; reading it must fail with these
/// words.
void expect_refused(const std::function<void(std::size_t, DicomSlice&)>& spoil,
                    const std::vector<std::string>& texts) {
  const TemporaryFolder folder;
  write_dicom_series(folder / "s", pattern(small_grid()), spoil);
  expect_error<core::InputError>([&] { read_folder(folder / "s"); }, texts);
}

TEST(Dicom, WhatIsNoVolumeIsRefused) {
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.rows = z == 2 ? 0 : slice.rows; },
                 {"between IM0001 and IM0003 is 6.600 mm, the others are 3.300 mm",
                  "1 slice is missing", "completely"});
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.position[2] += z == 3 ? 0.5 : 0; },
                 {"is 3.800 mm, the others are 3.300 mm", "equal distances were expected"});
  expect_refused(
      [](std::size_t z, DicomSlice& slice) { slice.position[2] += z == 3 ? -3.3 : 0; },
      {"two slices lie at the same position", "IM0002", "IM0003", "several time points"});
  expect_refused(
      [](std::size_t z, DicomSlice& slice) {
        slice.position[2] += z == 3 ? -3.3 : 0;
        slice.instance_uid = z == 3 || z == 2 ? "1.2.9" : "";
      },
      {"two slices lie at the same position", "the same image twice"});
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.position[0] += z == 3 ? 2.0 : 0; },
                 {"IM0003 lies 2.00 mm beside the line"});
  expect_refused(
      [](std::size_t z, DicomSlice& slice) {
        if (z == 4) slice.along_row = Eigen::Vector3d(0.99, 0.141067, 0);
        if (z == 4) slice.along_column = Eigen::Vector3d(-0.141067, 0.99, 0);
      },
      {"the orientation of the slices differs", "IM0000", "IM0004", "localiser"});
  expect_refused(
      [](std::size_t z, DicomSlice& slice) {
        if (z != 1) return;
        slice.rows = 5;
        slice.pixels.resize(35);
      },
      {"the size of the slices differs: IM0000 has 7x6 pixels, IM0001 has 7x5"});
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.spacing[0] += z == 1 ? 0.1 : 0; },
                 {"the pixel spacing of the slices differs", "IM0001 has 0.8x0.9 mm"});
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.has_position = z != 1; },
                 {"IM0001: no position, orientation or pixel spacing"});
  expect_refused([](std::size_t, DicomSlice& slice) { slice.along_column *= 2; },
                 {"is damaged: two unit vectors"});
  expect_refused([](std::size_t, DicomSlice& slice) { slice.photometric = "MONOCHROME1"; },
                 {"MONOCHROME1 with 1 numbers per pixel"});
  expect_refused(
      [](std::size_t, DicomSlice& slice) { slice.image_type = "ORIGINAL\\PRIMARY\\M\\MOSAIC"; },
      {"a mosaic (several slices in one picture)", "dcm2niix"});
  // Values for which GDCM would abort the program.
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.slope = z == 1 ? 0 : 1; },
                 {"IM0001: its RescaleSlope is 0"});
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.slope_text = z == 1 ? "0q" : ""; },
                 {"IM0001: its RescaleSlope is no number"});
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.extra_cosine = z == 1; },
                 {"IM0001: its ImageOrientationPatient is not six numbers"});
  expect_refused([](std::size_t z, DicomSlice& slice) { slice.rows = z == 0 ? slice.rows : 0; },
                 {"one image (IM0000); a stack of slices was expected"});
  expect_refused([](std::size_t, DicomSlice& slice) { slice.modality = "CT"; },
                 {"of modality 'CT'; MR was expected"});
}

TEST(Dicom, MixedSeriesOfOneFolderAreToldApart) {
  const TemporaryFolder folder;
  const Volume<float> volume = pattern(small_grid());
  // Every other slice is of another series: both have gaps of two slices, and neither is guessed.
  write_dicom_series(folder / "s", volume, [](std::size_t z, DicomSlice& slice) {
    if (z % 2 == 0) slice.series_uid = "1.2.3.9";
  });
  expect_error<core::InputError>([&] { read_folder(folder / "s"); },
                                 {"has 2 series to choose from", "7x6x3", "7x6x2"});
  // Two series of one number, from two studies: only the UID tells them apart.
  expect_error<core::InputError>([&] { read_folder(folder / "s", "5"); }, {"2 series"});
  EXPECT_EQ(read_folder(folder / "s", "1.2.3.9").image.geometry.shape[2], 3);
}

TEST(Dicom, MissingSlicesAtAnEndAreSuspected) {
  const TemporaryFolder folder;
  write_dicom_series(folder / "s", pattern(small_grid()), [](std::size_t z, DicomSlice& slice) {
    slice.acquisition_images = "5";
    if (z == 4) slice.rows = 0;
  });
  const Scan scan = read_folder(folder / "s");
  ASSERT_EQ(scan.header.warnings.size(), 1U);
  EXPECT_NE(scan.header.warnings[0].find("names 5 images in the acquisition, 4 are here"),
            std::string::npos);
}

TEST(Dicom, CutOffFilesAreNamed) {
  const TemporaryFolder folder;
  write_dicom_series(folder / "s", pattern(small_grid()));
  const fs::path last = folder / "s/IM0004";
  const std::uintmax_t size = fs::file_size(last);
  // 7 x 6 pixels of 2 bytes, after a header of twelve bytes.
  for (const std::uintmax_t missing : {1U, 60U, 84U}) {
    fs::resize_file(last, size - missing);
    expect_error<core::InputError>([&] { read_folder(folder / "s"); },
                                   {"1 damaged or cut off DICOM file", "IM0004",
                                    fmt::format("(7fe0,0010) has 84 bytes, {} are", 84 - missing)});
  }
  for (std::uintmax_t bytes = size - 85; bytes > 140; bytes -= 7) {
    fs::resize_file(last, bytes);
    expect_error<core::InputError>([&] { read_folder(folder / "s"); }, {"IM0004: ", "cut off"});
  }
  EXPECT_FALSE(holds_dicom(folder / "nowhere"));
  fs::create_directory(folder / "text");
  core::write_text(folder / "text/README", "no DICOM here");
  EXPECT_FALSE(holds_dicom(folder / "text"));
  expect_error<core::InputError>([&] { list_dicom(folder / "text"); }, {"holds no DICOM image"});
  expect_error<core::InputError>([&] { list_dicom(folder / "nowhere"); }, {"does not exist"});
  EXPECT_TRUE(holds_dicom(folder / "s"));
}

TEST(Dicom, AFolderNamedLikeThePersonIsNoticed) {
  const TemporaryFolder folder;
  write_dicom_series(folder / "somebody_secret/s", pattern(small_grid()));
  write_dicom_series(folder / "p17/s", pattern(small_grid()));
  EXPECT_TRUE(list_dicom(folder / "somebody_secret").has_name);
  EXPECT_FALSE(list_dicom(folder / "p17").has_name);
}

}  // namespace
}  // namespace epvs::data
