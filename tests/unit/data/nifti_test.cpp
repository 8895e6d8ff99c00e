#include "data/formats/nifti.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "core/table.h"
#include "core/text.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::expect_error;
using tests::golden;
using tests::TemporaryFolder;

std::vector<double> numbers(const std::string& text) {
  std::vector<double> result;
  for (const std::string& part : core::split(text, ',')) {
    result.push_back(core::parse_number(part).value());
  }
  return result;
}

Eigen::Matrix4d matrix(const std::string& text) {
  const std::vector<double> values = numbers(text);
  Eigen::Matrix4d m;
  for (int i = 0; i < 16; ++i) m(i / 4, i % 4) = values[static_cast<std::size_t>(i)];
  return m;
}

Geometry some_geometry() {
  Geometry geometry;
  geometry.shape = {4, 3, 2};
  geometry.affine << -2, 0, 0, 10, 0, 3, 0, -20, 0, 0, 4, 30, 0, 0, 0, 1;
  return geometry;
}

Volume<float> some_volume(const Geometry& geometry = some_geometry()) {
  core::Random random(3);
  Volume<float> volume(geometry);
  for (float& value : volume.voxels) value = static_cast<float>(random.normal());
  return volume;
}

std::string raw_bytes(const fs::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  std::string bytes(100000, '\0');
  bytes.resize(static_cast<std::size_t>(gzread(file, bytes.data(), 100000)));
  gzclose(file);
  return bytes;
}

void patch(const fs::path& path, std::size_t offset, const std::string& bytes) {
  std::string text = core::read_text(path);
  text.replace(offset, bytes.size(), bytes);
  core::write_text(path, text);
}

template <class T>
std::string little(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

TEST(ReadScan, EqualsNibabelForEveryTypeAndFormat) {
  const core::Table table = core::Table::read(golden("data/nifti/expected.tsv"));
  ASSERT_GT(table.rows(), 25U);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string& name = table.cell(row, "name");
    SCOPED_TRACE(name);
    const Scan scan = read_scan(golden("data/nifti/" + name));
    const std::vector<double> shape = numbers(table.cell(row, "shape"));
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(static_cast<double>(scan.image.geometry.shape[i]), shape[i]);
    }
    const Eigen::Matrix4d affine = matrix(table.cell(row, "affine"));
    EXPECT_LT((scan.image.geometry.affine - affine).cwiseAbs().maxCoeff(), 2e-5)
        << scan.image.geometry.affine << "\n"
        << affine;
    const std::vector<double> values = numbers(table.cell(row, "values"));
    ASSERT_EQ(values.size(), scan.image.voxels.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(scan.image.voxels[i], static_cast<float>(values[i])) << "voxel " << i;
    }
    EXPECT_TRUE(read_header(golden("data/nifti/" + name)).geometry.same_as(scan.image.geometry));
  }
}

TEST(ReadScan, EqualsNibabelOnTheRealScans) {
  EPVS_REQUIRE_TEST_DATA(folder, ".");
  const core::Table table = core::Table::read(golden("data/real_scans.tsv"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string& name = table.cell(row, "name");
    // One of each kind; the whole list takes a minute.
    if (name.find("ms01") == std::string::npos && name.find(".mgz") == std::string::npos &&
        name.find("2mm") == std::string::npos && name.find("Avgwmparc") == std::string::npos &&
        name.find("mni_space_patient/T2") == std::string::npos) {
      continue;
    }
    if (!fs::exists(folder / name)) continue;
    SCOPED_TRACE(name);
    const Scan scan = read_scan(folder / name);
    const Eigen::Matrix4d affine = matrix(table.cell(row, "affine"));
    EXPECT_LT((scan.image.geometry.affine - affine).cwiseAbs().maxCoeff(), 1e-4);
    double sum = 0;
    double squares = 0;
    for (const float value : scan.image.voxels) {
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    EXPECT_NEAR(sum, table.number(row, "sum"), 1e-9 * std::abs(sum));
    EXPECT_NEAR(squares, table.number(row, "sum_of_squares"), 1e-6 * squares);
    const std::vector<double> probes = numbers(table.cell(row, "probes"));
    const double fractions[4][3] = {{.5, .5, .5}, {.3, .6, .4}, {.7, .35, .55}, {.45, .3, .6}};
    const Shape& shape = scan.image.geometry.shape;
    for (std::size_t i = 0; i < 4; ++i) {
      std::array<std::int64_t, 3> voxel{};
      for (std::size_t a = 0; a < 3; ++a) {
        voxel[a] = static_cast<std::int64_t>(fractions[i][a] * static_cast<double>(shape[a]));
      }
      EXPECT_EQ(scan.image.at(voxel[0], voxel[1], voxel[2]), static_cast<float>(probes[i]));
    }
  }
}

TEST(ReadScan, HeaderSaysWhatWasStored) {
  const ScanHeader header = read_header(golden("data/nifti/n1_big_i2.nii"));
  EXPECT_EQ(header.format, "nifti1");
  EXPECT_EQ(header.stored_type, "int16");
  EXPECT_EQ(header.sform_code, 1);
  EXPECT_EQ(header.qform_code, 1);
  EXPECT_TRUE(header.warnings.empty());
  EXPECT_EQ(read_header(golden("data/nifti/n2_gz.nii.gz")).format, "nifti2");
  EXPECT_EQ(read_header(golden("data/nifti/mgh_i4.mgz")).format, "mgh");
  EXPECT_EQ(read_header(golden("data/nifti/mgh_i4.mgz")).stored_type, "int32");
}

TEST(ReadScan, WarnsOfDoubtfulGeometry) {
  const auto warning = [](const fs::path& path) {
    const ScanHeader header = read_header(path);
    return header.warnings.empty() ? std::string() : core::join(header.warnings, "; ");
  };
  EXPECT_NE(warning(golden("data/nifti/forms_disagree.nii")).find("disagree"), std::string::npos);
  EXPECT_NE(warning(golden("data/nifti/sform_only_sheared.nii")).find("shear"), std::string::npos);
  const TemporaryFolder folder;
  const fs::path path = folder / "a.nii";
  write_nifti(path, some_volume());
  EXPECT_EQ(warning(path), "");
  patch(path, 252, little<std::int16_t>(0) + little<std::int16_t>(0));
  EXPECT_NE(warning(path).find("left and right"), std::string::npos);
  EXPECT_EQ(read_header(path).geometry.affine.diagonal(), Eigen::Vector4d(2, 3, 4, 1));
  write_nifti(path, some_volume());
  patch(path, 123, std::string(1, '\1'));
  EXPECT_NE(warning(path).find("lengths in m"), std::string::npos);
  write_nifti(path, some_volume());
  patch(path, 80, little(5.0F));
  EXPECT_NE(warning(path).find("pixdim says 5 mm along axis 1"), std::string::npos);
  // An MGH header without its orientation flag gets FreeSurfer's default directions.
  const fs::path mgh = folder / "a.mgh";
  fs::copy_file(golden("data/nifti/mgh_f4.mgh"), mgh);
  patch(mgh, 28, std::string(2, '\0'));
  EXPECT_NE(warning(mgh).find("goodRASFlag"), std::string::npos);
  Eigen::Matrix4d expected;
  expected << -1, 0, 0, 2.5, 0, 0, 1, -1.5, 0, -1, 0, 2, 0, 0, 0, 1;
  EXPECT_EQ(read_header(mgh).geometry.affine, expected);
}

TEST(ReadScan, RefusesWhatIsNotOneVolumeOfNumbers) {
  expect_error<core::InputError>([] { read_scan("absent.nii.gz"); }, {"absent.nii.gz"});
  const TemporaryFolder folder;
  expect_error<core::InputError>([&] { read_scan(folder.path()); }, {"folder"});
  core::write_text(folder / "text.nii", std::string(1000, 'x'));
  expect_error<core::InputError>([&] { read_scan(folder / "text.nii"); },
                                 {"text.nii", "not an image", "converted by dcm2niix"});
  core::write_text(folder / "empty.nii.gz", "");
  expect_error<core::InputError>([&] { read_scan(folder / "empty.nii.gz"); }, {"not an image"});
  expect_error<core::InputError>([] { read_scan(golden("data/nifti/bad_4d.nii")); },
                                 {"bad_4d.nii", "axis 4 has 2", "3-D"});
  expect_error<core::InputError>([] { read_scan(golden("data/nifti/bad_complex.nii")); },
                                 {"complex"});
  expect_error<core::InputError>([] { read_scan(golden("data/nifti/bad_rgb.nii")); }, {"colours"});
  expect_error<core::InputError>([] { read_scan(golden("data/nifti/bad_analyze.hdr")); },
                                 {"ANALYZE", "orientation"});
  expect_error<core::InputError>([] { read_scan(golden("data/nifti/bad_frames.mgh")); },
                                 {"2 frames"});
  core::write_text(folder / "text.mgh", std::string(1000, 'x'));
  expect_error<core::InputError>([&] { read_scan(folder / "text.mgh"); }, {"not an MGH"});
  core::write_text(folder / "short.mgh", "abc");
  expect_error<core::InputError>([&] { read_scan(folder / "short.mgh"); }, {"truncated", "284"});
}

TEST(ReadScan, RefusesDamagedHeaders) {
  const TemporaryFolder folder;
  const fs::path path = folder / "a.nii";
  const auto damage = [&](std::size_t offset, const std::string& bytes) {
    write_nifti(path, some_volume());
    patch(path, offset, bytes);
  };
  damage(280, std::string(48, '\0'));
  expect_error<core::InputError>([&] { read_header(path); }, {"a.nii", "singular"});
  damage(280, little(std::numeric_limits<float>::quiet_NaN()));
  expect_error<core::InputError>([&] { read_header(path); }, {"singular or not finite"});
  damage(40, little<std::int16_t>(9));
  expect_error<core::InputError>([&] { read_header(path); }, {"damaged", "9 dimensions"});
  damage(42, little<std::int16_t>(0));
  expect_error<core::InputError>([&] { read_header(path); }, {"axis 1 has 0 voxels"});
  damage(70, little<std::int16_t>(1));
  expect_error<core::InputError>([&] { read_header(path); }, {"voxel type 1", "not supported"});
  damage(108, little(-5.0F));
  expect_error<core::InputError>([&] { read_header(path); }, {"start at byte -5"});
  write_nifti(path, some_volume());
  fs::resize_file(path, 200);
  expect_error<core::InputError>([&] { read_header(path); }, {"truncated", "348", "200"});
  const fs::path pair = folder / "pair.hdr";
  fs::copy_file(golden("data/nifti/pair.hdr"), pair);
  expect_error<core::InputError>([&] { read_scan(pair); }, {".img is missing"});
  fs::copy_file(golden("data/nifti/mgh_f4.mgh"), folder / "a.mgh");
  patch(folder / "a.mgh", 20, std::string("\0\0\0\7", 4));
  expect_error<core::InputError>([&] { read_scan(folder / "a.mgh"); }, {"MGH voxel type 7"});
}

TEST(ReadScan, NoticesCutFiles) {
  const TemporaryFolder folder;
  Geometry geometry = some_geometry();
  geometry.shape = {40, 30, 20};
  const Volume<float> volume = some_volume(geometry);
  for (const char* name : {"a.nii", "a.nii.gz"}) {
    const fs::path path = folder / name;
    write_nifti(path, volume);
    const auto size = static_cast<double>(fs::file_size(path));
    for (const double part : {0.9999, 0.5}) {
      write_nifti(path, volume);
      fs::resize_file(path, static_cast<std::uintmax_t>(part * size));
      expect_error<core::InputError>([&] { read_scan(path); },
                                     {name, "truncated", "96352 bytes expected", "found"});
    }
  }
  // Only the checksum of the gzip stream is cut off: all voxels are there, the file is still
  // damaged.
  const fs::path path = folder / "a.nii.gz";
  write_nifti(path, volume);
  fs::resize_file(path, fs::file_size(path) - 4);
  expect_error<core::InputError>([&] { read_scan(path); }, {"truncated"});
  write_nifti(path, volume);
  std::string bytes = core::read_text(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
  core::write_text(path, bytes);
  expect_error<core::InputError>([&] { read_scan(path); }, {"a.nii.gz", "damaged"});
  const fs::path mgh = folder / "a.mgh";
  fs::copy_file(golden("data/nifti/mgh_f4.mgh"), mgh);
  fs::resize_file(mgh, 400);
  expect_error<core::InputError>([&] { read_scan(mgh); }, {"524 bytes expected, 400 found"});
}

TEST(ReadLabels, WantsWholeNumbers) {
  const TemporaryFolder folder;
  Volume<float> volume(some_geometry(), 7.0F);
  volume.at(3, 2, 1) = 3005.0F;
  write_nifti(folder / "labels.nii.gz", volume);
  const Volume<std::int32_t> labels = read_labels(folder / "labels.nii.gz");
  EXPECT_EQ(labels.at(0, 0, 0), 7);
  EXPECT_EQ(labels.at(3, 2, 1), 3005);
  EXPECT_EQ(read_labels(golden("data/nifti/n1_i8.nii")).voxels.size(), 60U);
  for (const float bad : {0.5F, std::numeric_limits<float>::quiet_NaN(), 1e12F}) {
    volume.at(1, 2, 0) = bad;
    write_nifti(folder / "labels.nii.gz", volume);
    expect_error<core::InputError>([&] { read_labels(folder / "labels.nii.gz"); },
                                   {"labels.nii.gz", "not a label map", "(1, 2, 0)", "nearest"});
  }
}

TEST(CountNonFinite, FindsTheFirst) {
  Volume<float> volume = some_volume();
  EXPECT_EQ(count_non_finite(volume).count, 0);
  volume.at(2, 1, 1) = std::numeric_limits<float>::infinity();
  volume.at(3, 2, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(count_non_finite(volume).count, 2);
  EXPECT_EQ(count_non_finite(volume).first, (Shape{2, 1, 1}));
}

TEST(WriteNifti, RoundTripsVoxelsAndGeometry) {
  const TemporaryFolder folder;
  Geometry geometry = some_geometry();
  geometry.affine = read_header(golden("data/nifti/n1_f4.nii")).geometry.affine;
  const Volume<float> volume = some_volume(geometry);
  for (const char* name : {"a.nii", "a.nii.gz"}) {
    write_nifti(folder / name, volume);
    const Scan scan = read_scan(folder / name);
    EXPECT_EQ(scan.image.voxels, volume.voxels);
    EXPECT_EQ(scan.header.geometry.affine, geometry.affine) << "float32 already: no rounding";
    EXPECT_EQ(scan.header.qform_code, 1);
    EXPECT_TRUE(scan.header.warnings.empty()) << "qform and sform agree";
  }
  Volume<std::uint8_t> mask(geometry, 3);
  write_nifti(folder / "mask.nii.gz", mask);
  EXPECT_EQ(read_header(folder / "mask.nii.gz").stored_type, "uint8");
  EXPECT_EQ(read_labels(folder / "mask.nii.gz").at(1, 1, 1), 3);
  Volume<std::int16_t> labels(geometry, -77);
  write_nifti(folder / "labels.nii.gz", labels);
  EXPECT_EQ(read_header(folder / "labels.nii.gz").stored_type, "int16");
  EXPECT_EQ(read_labels(folder / "labels.nii.gz").at(1, 1, 1), -77);
}

TEST(WriteNifti, ShearHasNoQform) {
  const TemporaryFolder folder;
  const ScanHeader header = read_header(golden("data/nifti/sform_only_sheared.nii"));
  write_nifti(folder / "a.nii", some_volume(header.geometry));
  const ScanHeader again = read_header(folder / "a.nii");
  EXPECT_EQ(again.qform_code, 0);
  EXPECT_EQ(again.geometry.affine, header.geometry.affine);
}

// Bytes 76..91 (pixdim 0..3) and 252..327 (codes, quaternion, offsets, sform) are the orientation.
TEST(WriteNifti, LikeCopiesTheOrientationBitByBit) {
  const TemporaryFolder folder;
  for (const char* name : {"n1_f4.nii", "n1_gz.nii.gz", "forms_disagree.nii", "qform_only.nii"}) {
    SCOPED_TRACE(name);
    const fs::path source = golden(std::string("data/nifti/") + name);
    const ScanHeader header = read_header(source);
    const fs::path path = folder / "copy.nii.gz";
    write_nifti(path, Volume<float>(header.geometry, 1.0F), &header, "attention");
    const std::string before = raw_bytes(source);
    const std::string after = raw_bytes(path);
    EXPECT_EQ(before.substr(76, 16), after.substr(76, 16));
    EXPECT_EQ(before.substr(252, 28), after.substr(252, 28));
    if (header.sform_code > 0) {
      EXPECT_EQ(before.substr(280, 48), after.substr(280, 48));
    }
    EXPECT_EQ(after.substr(148, 9), "attention");
    const ScanHeader again = read_header(path);
    EXPECT_EQ(again.geometry.affine, header.geometry.affine);
    EXPECT_EQ(again.qform, header.qform);
  }
  // NIfTI-2 has orientations in double: float32 would round them.
  const ScanHeader nifti2 = read_header(golden("data/nifti/n2_gz.nii.gz"));
  write_nifti(folder / "n2.nii", Volume<float>(nifti2.geometry), &nifti2);
  EXPECT_EQ(read_header(folder / "n2.nii").geometry.affine, nifti2.geometry.affine);
  EXPECT_EQ(read_header(folder / "n2.nii").qform_fields, nifti2.qform_fields);
  // A scan of another kind gives its geometry.
  const ScanHeader mgh = read_header(golden("data/nifti/mgh_f4.mgh"));
  write_nifti(folder / "m.nii", Volume<float>(mgh.geometry), &mgh);
  EXPECT_TRUE(read_header(folder / "m.nii").geometry.same_as(mgh.geometry, 1e-4));
  Geometry other = mgh.geometry;
  other.shape[0] += 1;
  expect_error<core::InputError>([&] { write_nifti(folder / "m.nii", Volume<float>(other), &mgh); },
                                 {"6x4x3", "5x4x3"});
}

TEST(WriteNifti, LikeCopiesTheRealScansOrientation) {
  EPVS_REQUIRE_TEST_DATA(source, "clinical_bids/sub-ms01/anat/sub-ms01_T2w.nii.gz");
  const TemporaryFolder folder;
  const ScanHeader header = read_header(source);
  write_nifti(folder / "map.nii", Volume<std::uint8_t>(header.geometry), &header);
  const std::string before = raw_bytes(source);
  const std::string after = raw_bytes(folder / "map.nii");
  EXPECT_EQ(before.substr(40, 8), after.substr(40, 8)) << "shape";
  EXPECT_EQ(before.substr(76, 16), after.substr(76, 16));
  EXPECT_EQ(before.substr(252, 76), after.substr(252, 76));
}

TEST(WriteNifti, LongAxesNeedNifti2) {
  const TemporaryFolder folder;
  Geometry geometry = some_geometry();
  geometry.shape = {40000, 1, 1};
  Volume<std::int16_t> volume(geometry);
  volume.at(39999, 0, 0) = 12;
  write_nifti(folder / "long.nii.gz", volume);
  EXPECT_EQ(read_header(folder / "long.nii.gz").format, "nifti2");
  EXPECT_EQ(read_labels(folder / "long.nii.gz").at(39999, 0, 0), 12);
  EXPECT_TRUE(read_header(folder / "long.nii.gz").geometry.same_as(geometry));
}

TEST(WriteNifti, RefusesOtherEndings) {
  const TemporaryFolder folder;
  expect_error<core::UsageError>([&] { write_nifti(folder / "a.mgz", some_volume()); },
                                 {"a.mgz", ".nii.gz"});
}

TEST(WriteNifti, FailingDiskGivesAnErrorAndLeavesNothing) {
  const TemporaryFolder folder;
  Geometry geometry = some_geometry();
  geometry.shape = {64, 64, 64};
  const Volume<float> volume = some_volume(geometry);
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {100000, 100000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int code = 0;
    for (const char* name : {"a.nii", "a.nii.gz"}) {
      try {
        write_nifti(folder / name, volume);
      } catch (const core::RunError& error) {
        if (std::string(error.what()).find("File too large") != std::string::npos) code += 1;
      }
    }
    const bool empty = fs::directory_iterator(folder.path()) == fs::directory_iterator();
    std::_Exit(empty ? code : 99);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

TEST(ToCanonical, EveryVoxelKeepsItsWorldPoint) {
  for (const char* name :
       {"order_PIR.nii", "order_LSA.nii", "order_IPL.nii", "n1_f4.nii", "sform_only_sheared.nii"}) {
    SCOPED_TRACE(name);
    const Scan scan = read_scan(golden(std::string("data/nifti/") + name));
    const Volume<float> canonical = to_canonical(scan.image);
    EXPECT_EQ(canonical.geometry.voxels(), scan.image.geometry.voxels());
    for (int axis = 0; axis < 3; ++axis) {
      Eigen::Index largest = 0;
      canonical.geometry.affine.col(axis).head<3>().cwiseAbs().maxCoeff(&largest);
      EXPECT_EQ(largest, axis);
      EXPECT_GT(canonical.geometry.affine(axis, axis), 0);
    }
    const Shape& shape = canonical.geometry.shape;
    for (std::int64_t z = 0; z < shape[2]; ++z) {
      for (std::int64_t y = 0; y < shape[1]; ++y) {
        for (std::int64_t x = 0; x < shape[0]; ++x) {
          const Eigen::Vector3d world = canonical.geometry.to_world(
              {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
          const Eigen::Vector3d stored = scan.image.geometry.to_voxel(world);
          const Eigen::Vector3d voxel = stored.array().round();
          ASSERT_LT((stored - voxel).norm(), 1e-6);
          ASSERT_EQ(canonical.at(x, y, z), scan.image.at(static_cast<std::int64_t>(voxel[0]),
                                                         static_cast<std::int64_t>(voxel[1]),
                                                         static_cast<std::int64_t>(voxel[2])));
        }
      }
    }
    EXPECT_EQ(to_canonical(canonical).voxels, canonical.voxels) << "idempotent";
  }
}

}  // namespace
}  // namespace epvs::data
