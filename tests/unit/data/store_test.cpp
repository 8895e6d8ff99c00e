#include <gtest/gtest.h>
#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <thread>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "data/cohort/chunk_codec.h"
#include "data/cohort/cohort.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::expect_error;
using tests::TemporaryFolder;

PreprocessingOptions small_options(const std::string& region = "bg") {
  PreprocessingOptions options;
  options.region = region;
  options.crop_voxels = {7, 5, 3};
  options.labels = {11, 50};
  options.label_source = "freesurfer";
  return options;
}

CohortRow row_of(const std::string& participant, const PreprocessingOptions& options, int seed) {
  core::Random random(static_cast<std::uint64_t>(seed));
  const auto matrix = [&random] {
    Eigen::Matrix4d m;
    for (int i = 0; i < 16; ++i) m.data()[i] = random.normal();
    return m;
  };
  CohortRow row;
  row.participant_id = participant;
  row.roi.shape = options.crop_voxels;
  row.roi.affine = matrix();
  row.network_to_source = matrix();
  row.source.shape = {400, 448, 36};
  row.source.affine = matrix();
  row.source_sform_code = 1;
  row.source_qform_code = 2;
  row.source_sform = matrix();
  row.source_qform = matrix();
  for (double& field : row.source_qform_fields) field = random.normal();
  row.crop_origin = {-3, 12, 5};
  row.intensity_offset = random.uniform();
  row.intensity_scale = random.uniform();
  row.ac_slice = seed;
  row.label_source = "freesurfer";
  row.source_path = "sub-ü/anat/T2w.nii.gz";
  row.source_sha256 = "abc" + std::to_string(seed);
  row.region_volume_mm3 = 1234.5;
  row.region_cut_fraction = 0.25;
  row.region_outside_crop_fraction = 0.125;
  return row;
}

CohortVolumes volumes_of(const PreprocessingOptions& options, int seed) {
  core::Random random(static_cast<std::uint64_t>(1000 + seed));
  const auto voxels = static_cast<std::size_t>(options.crop_voxels[0] * options.crop_voxels[1] *
                                               options.crop_voxels[2]);
  CohortVolumes volumes;
  for (std::size_t i = 0; i < voxels; ++i) {
    volumes.roi.push_back(static_cast<float>(random.uniform()));
    volumes.hard.push_back(random.flip(0.3) ? 1 : 0);
    volumes.soft.push_back(static_cast<float>(random.uniform()));
  }
  return volumes;
}

void write_cohort(const fs::path& path, const std::vector<std::string>& participants,
                  bool float16 = false, const PreprocessingOptions& options = small_options()) {
  CohortWriter writer(path, {options}, {{"command", "test"}}, float16);
  int seed = 0;
  for (const std::string& participant : participants) {
    writer.append(options.region, row_of(participant, options, seed), volumes_of(options, seed));
    ++seed;
  }
  writer.finish();
}

void expect_equal(const CohortRow& a, const CohortRow& b) {
  EXPECT_EQ(a.participant_id, b.participant_id);
  EXPECT_EQ(a.session_id, b.session_id);
  EXPECT_EQ(a.roi.shape, b.roi.shape);
  EXPECT_EQ(a.roi.affine, b.roi.affine);
  EXPECT_EQ(a.network_to_source, b.network_to_source);
  EXPECT_EQ(a.source.shape, b.source.shape);
  EXPECT_EQ(a.source.affine, b.source.affine);
  EXPECT_EQ(a.source_sform_code, b.source_sform_code);
  EXPECT_EQ(a.source_qform_code, b.source_qform_code);
  EXPECT_EQ(a.source_sform, b.source_sform);
  EXPECT_EQ(a.source_qform, b.source_qform);
  EXPECT_EQ(a.source_qform_fields, b.source_qform_fields);
  EXPECT_EQ(a.crop_origin, b.crop_origin);
  EXPECT_EQ(a.intensity_offset, b.intensity_offset);
  EXPECT_EQ(a.intensity_scale, b.intensity_scale);
  EXPECT_EQ(a.ac_slice, b.ac_slice);
  EXPECT_EQ(a.label_source, b.label_source);
  EXPECT_EQ(a.source_path, b.source_path);
  EXPECT_EQ(a.source_sha256, b.source_sha256);
  EXPECT_EQ(a.region_volume_mm3, b.region_volume_mm3);
  EXPECT_EQ(a.region_cut_fraction, b.region_cut_fraction);
  EXPECT_EQ(a.region_outside_crop_fraction, b.region_outside_crop_fraction);
}

bool folder_is_empty(const TemporaryFolder& folder) {
  return fs::directory_iterator(folder.path()) == fs::directory_iterator();
}

TEST(ChunkCodec, RoundTripsCompressibleAndRandomBytes) {
  core::Random random(5);
  for (const std::size_t width : {1U, 2U, 4U}) {
    std::vector<unsigned char> noise(width * 101);
    for (auto& byte : noise) byte = static_cast<unsigned char>(random.integer(0, 255));
    const EncodedChunk raw = encode_chunk(noise, width);
    EXPECT_EQ(raw.filter_mask, width == 1 ? 1U : 2U) << "noise cannot be compressed";
    EXPECT_EQ(decode_chunk(raw, width, noise.size()), noise);
    const std::vector<unsigned char> zeros(width * 1000, 0);
    const EncodedChunk packed = encode_chunk(zeros, width);
    EXPECT_EQ(packed.filter_mask, 0U);
    EXPECT_LT(packed.bytes.size(), 100U);
    EXPECT_EQ(decode_chunk(packed, width, zeros.size()), zeros);
    EXPECT_FALSE(decode_chunk(packed, width, zeros.size() + width)) << "another size";
  }
}

TEST(ChunkCodec, DamagedBytesAreNoticed) {
  std::vector<unsigned char> data(4000);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<unsigned char>(i % 7);
  EncodedChunk chunk = encode_chunk(data, 4);
  ASSERT_EQ(chunk.filter_mask, 0U);
  chunk.bytes[chunk.bytes.size() / 2] ^= 0x20;
  EXPECT_FALSE(decode_chunk(chunk, 4, data.size()));
}

TEST(ChunkCodec, Float16RoundsToNearestEven) {
  // Spacing of half precision at 1 is 2^-10; ties go to the even neighbour.
  const std::vector<float> values = {0.0F,     1.0F,  1.0F + 0x1p-11F, 1.0F + 3 * 0x1p-11F,
                                     65504.0F, -0.5F, 0x1p-24F};
  const std::vector<float> expected = {0.0F, 1.0F, 1.0F, 1.0F + 0x1p-9F, 65504.0F, -0.5F, 0x1p-24F};
  EXPECT_EQ(from_float16(to_float16(values)), expected);
  EXPECT_EQ(to_float16(std::vector<float>{1.0F}).front(), 0x3C00);
}

TEST(Cohort, RoundTripKeepsEveryFieldBitByBit) {
  const TemporaryFolder folder;
  const fs::path path = folder / "cohort.h5";
  const PreprocessingOptions options = small_options();
  write_cohort(path, {"sub-01", "sub-02", "sub-03"});
  const CohortReader reader(path);
  EXPECT_EQ(reader.path(), path);
  EXPECT_EQ(reader.regions(), std::vector<std::string>{"bg"});
  EXPECT_EQ(reader.options("bg").to_json(), options.to_json());
  EXPECT_EQ(reader.provenance()["command"], "test");
  ASSERT_EQ(reader.rows("bg").size(), 3U);
  for (int i = 0; i < 3; ++i) {
    const auto index = static_cast<std::size_t>(i);
    expect_equal(reader.rows("bg")[index], row_of("sub-0" + std::to_string(i + 1), options, i));
    const CohortVolumes volumes = volumes_of(options, i);
    EXPECT_EQ(reader.read_roi("bg", index), volumes.roi);
    EXPECT_EQ(reader.read_hard("bg", index), volumes.hard);
    EXPECT_EQ(reader.read_soft("bg", index), volumes.soft);
  }
}

TEST(Cohort, Float16IsNearToHalfPrecision) {
  const TemporaryFolder folder;
  write_cohort(folder / "cohort.h5", {"sub-01"}, true);
  const CohortReader reader(folder / "cohort.h5");
  const CohortVolumes volumes = volumes_of(small_options(), 0);
  const std::vector<float> roi = reader.read_roi("bg", 0);
  ASSERT_EQ(roi.size(), volumes.roi.size());
  for (std::size_t i = 0; i < roi.size(); ++i) EXPECT_NEAR(roi[i], volumes.roi[i], 0x1p-12);
  EXPECT_EQ(reader.read_hard("bg", 0), volumes.hard);
}

TEST(Cohort, SeveralRegionsHaveTheirOwnRows) {
  const TemporaryFolder folder;
  PreprocessingOptions hippocampi = small_options("hippocampi");
  hippocampi.crop_voxels = {2, 3, 4};
  {
    CohortWriter writer(folder / "c.h5", {small_options(), hippocampi}, {});
    writer.append("hippocampi", row_of("sub-01", hippocampi, 1), volumes_of(hippocampi, 1));
    writer.append("bg", row_of("sub-01", small_options(), 2), volumes_of(small_options(), 2));
    writer.append("bg", row_of("sub-02", small_options(), 3), volumes_of(small_options(), 3));
    writer.finish();
  }
  const CohortReader reader(folder / "c.h5");
  EXPECT_EQ(reader.rows("bg").size(), 2U);
  EXPECT_EQ(reader.rows("hippocampi").size(), 1U);
  EXPECT_EQ(reader.read_roi("hippocampi", 0), volumes_of(hippocampi, 1).roi);
  expect_error<core::UsageError>([&] { reader.rows("hipocampi"); },
                                 {"hipocampi", "did you mean 'hippocampi'"});
  expect_error<core::UsageError>([&] { reader.read_roi("bg", 2); }, {"row 2", "2 rows"});
}

TEST(Cohort, EmptyRegionIsReadable) {
  const TemporaryFolder folder;
  write_cohort(folder / "c.h5", {});
  EXPECT_TRUE(CohortReader(folder / "c.h5").rows("bg").empty());
}

TEST(Cohort, MoreRowsThanOneMetadataChunk) {
  const TemporaryFolder folder;
  std::vector<std::string> participants;
  for (int i = 0; i < 150; ++i) participants.push_back("sub-" + std::to_string(i));
  write_cohort(folder / "c.h5", participants);
  const CohortReader reader(folder / "c.h5");
  ASSERT_EQ(reader.rows("bg").size(), 150U);
  expect_equal(reader.rows("bg")[149], row_of("sub-149", small_options(), 149));
  EXPECT_EQ(reader.read_roi("bg", 149), volumes_of(small_options(), 149).roi);
}

TEST(Cohort, ManyThreadsReadTheSame) {
  const TemporaryFolder folder;
  std::vector<std::string> participants;
  for (int i = 0; i < 16; ++i) participants.push_back("sub-" + std::to_string(i));
  write_cohort(folder / "c.h5", participants);
  const CohortReader reader(folder / "c.h5");
  std::vector<std::thread> threads;
  std::array<bool, 4> same{};
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      bool equal = true;
      for (int repeat = 0; repeat < 20; ++repeat) {
        for (int i = 0; i < 16; ++i) {
          equal = equal && reader.read_roi("bg", static_cast<std::size_t>(i)) ==
                               volumes_of(small_options(), i).roi;
        }
      }
      same[t] = equal;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, (std::array<bool, 4>{true, true, true, true}));
}

TEST(Cohort, ManyThreadsAppend) {
  const TemporaryFolder folder;
  {
    CohortWriter writer(folder / "c.h5", {small_options()}, {});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&writer, t] {
        for (int i = t; i < 40; i += 4) {
          writer.append("bg", row_of("sub-" + std::to_string(i), small_options(), i),
                        volumes_of(small_options(), i));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    writer.finish();
  }
  const CohortReader reader(folder / "c.h5");
  ASSERT_EQ(reader.rows("bg").size(), 40U);
  for (std::size_t i = 0; i < 40; ++i) {
    const int seed = static_cast<int>(reader.rows("bg")[i].ac_slice);
    EXPECT_EQ(reader.read_roi("bg", i), volumes_of(small_options(), seed).roi);
  }
}

TEST(Cohort, WithoutFinishNothingStays) {
  const TemporaryFolder folder;
  {
    CohortWriter writer(folder / "c.h5", {small_options()}, {});
    writer.append("bg", row_of("sub-01", small_options(), 1), volumes_of(small_options(), 1));
  }
  EXPECT_TRUE(folder_is_empty(folder));
}

TEST(Cohort, WriterRefusesWrongRows) {
  const TemporaryFolder folder;
  const PreprocessingOptions options = small_options();
  CohortWriter writer(folder / "c.h5", {options}, {});
  CohortRow row = row_of("sub-01", options, 1);
  writer.append("bg", row, volumes_of(options, 1));
  expect_error<core::InputError>([&] { writer.append("bg", row, volumes_of(options, 1)); },
                                 {"sub-01", "already", "session_id"});
  row.session_id = "ses-2";
  writer.append("bg", row, volumes_of(options, 1));
  expect_error<core::UsageError>([&] { writer.append("bgg", row, volumes_of(options, 1)); },
                                 {"no region 'bgg'", "bg"});
  row.participant_id = "sub-02";
  row.roi.shape = {7, 5, 4};
  expect_error<core::InputError>([&] { writer.append("bg", row, volumes_of(options, 1)); },
                                 {"sub-02", "7x5x4", "7x5x3"});
  row.roi.shape = options.crop_voxels;
  CohortVolumes volumes = volumes_of(options, 1);
  volumes.soft.pop_back();
  expect_error<core::InputError>([&] { writer.append("bg", row, volumes); }, {"104", "105"});
  volumes = volumes_of(options, 1);
  volumes.roi[17] = std::numeric_limits<float>::quiet_NaN();
  expect_error<core::InputError>([&] { writer.append("bg", row, volumes); },
                                 {"voxel 17", "smooth ROI", "nan"});
  row.participant_id.clear();
  expect_error<core::InputError>([&] { writer.append("bg", row, volumes_of(options, 1)); },
                                 {"without participant_id"});
  expect_error<core::UsageError>(
      [&] {
        CohortWriter(folder / "d.h5", {options, options}, {});
      },
      {"'bg'", "once"});
  PreprocessingOptions flat = options;
  flat.crop_voxels[1] = 0;
  expect_error<core::UsageError>([&] { CohortWriter(folder / "d.h5", {flat}, {}); },
                                 {"crop_voxels"});
}

TEST(Cohort, ReaderRefusesOtherFiles) {
  const TemporaryFolder folder;
  expect_error<core::InputError>([&] { CohortReader(folder / "absent.h5"); }, {"absent.h5"});
  expect_error<core::InputError>([&] { CohortReader reader(folder.path()); }, {"folder"});
  core::write_text(folder / "text.h5", "not HDF5");
  expect_error<core::InputError>([&] { CohortReader(folder / "text.h5"); },
                                 {"text.h5", "not an HDF5 file"});
  const std::string other = (folder / "other.h5").string();
  H5Fclose(H5Fcreate(other.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  expect_error<core::InputError>([&] { CohortReader{fs::path(other)}; }, {"another kind"});
}

TEST(Cohort, ReaderNoticesAFileCutShort) {
  const TemporaryFolder folder;
  const fs::path path = folder / "c.h5";
  write_cohort(path, {"sub-01", "sub-02"});
  const auto size = fs::file_size(path);
  for (const double part : {0.99, 0.5, 0.1}) {
    write_cohort(path, {"sub-01", "sub-02"});
    fs::resize_file(path, static_cast<std::uintmax_t>(part * static_cast<double>(size)));
    expect_error<core::InputError>([&] { CohortReader reader(path); },
                                   {"c.h5", "cut short or damaged", "bytes"});
  }
}

TEST(Cohort, ReaderWantsTheCompletionMarkAndAKnownSchema) {
  const TemporaryFolder folder;
  const fs::path path = folder / "c.h5";
  write_cohort(path, {"sub-01"});
  hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  H5Adelete(file, "complete");
  H5Fclose(file);
  expect_error<core::InputError>([&] { CohortReader reader(path); }, {"no completion mark"});
  write_cohort(path, {"sub-01"});
  file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t attribute = H5Aopen(file, "schema_version", H5P_DEFAULT);
  const std::int64_t version = 2;
  H5Awrite(attribute, H5T_NATIVE_INT64, &version);
  H5Aclose(attribute);
  H5Fclose(file);
  expect_error<core::InputError>([&] { CohortReader reader(path); },
                                 {"schema version 2", "up to 1", "newer"});
}

TEST(Cohort, DamagedVolumeIsNamed) {
  const TemporaryFolder folder;
  const fs::path path = folder / "c.h5";
  write_cohort(path, {"sub-01"});
  hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(file, "regions/bg/roi", H5P_DEFAULT);
  const std::array<hsize_t, 4> offset = {0, 0, 0, 0};
  const std::array<unsigned char, 6> junk = {1, 2, 3, 4, 5, 6};
  H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, offset.data(), junk.size(), junk.data());
  H5Dclose(dataset);
  H5Fclose(file);
  const CohortReader reader(path);
  expect_error<core::InputError>([&] { reader.read_roi("bg", 0); },
                                 {"damaged", "smooth ROI", "sub-01"});
}

// A file-size limit gives the same failure inside HDF5 as a full disk: write() fails.
TEST(Cohort, FailingDiskGivesAnErrorAndLeavesNothing) {
  const TemporaryFolder folder;
  PreprocessingOptions options = small_options();
  options.crop_voxels = {40, 40, 40};
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {600000, 600000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int code = 1;
    try {
      CohortWriter writer(folder / "c.h5", {options}, {});
      for (int i = 0; i < 20; ++i) {
        writer.append("bg", row_of("sub-" + std::to_string(i), options, i), volumes_of(options, i));
      }
      writer.finish();
    } catch (const core::RunError& error) {
      code = std::string(error.what()).find("c.h5") != std::string::npos &&
                     std::string(error.what()).find("File too large") != std::string::npos
                 ? 42
                 : 2;
    }
    std::_Exit(folder_is_empty(folder) ? code : 3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(Cohort, FingerprintNamesTheContent) {
  const TemporaryFolder folder;
  write_cohort(folder / "a.h5", {"sub-01", "sub-02"});
  write_cohort(folder / "b.h5", {"sub-01", "sub-02"});
  write_cohort(folder / "c.h5", {"sub-01", "sub-03"});
  const std::string a = CohortReader(folder / "a.h5").fingerprint();
  EXPECT_EQ(a.size(), 64U);
  EXPECT_EQ(a, CohortReader(folder / "b.h5").fingerprint());
  EXPECT_NE(a, CohortReader(folder / "c.h5").fingerprint());
}

TEST(MergeCohorts, EqualsOneCohortWrittenAtOnce) {
  const TemporaryFolder folder;
  const PreprocessingOptions options = small_options();
  for (const bool float16 : {false, true}) {
    write_cohort(folder / "all.h5", {"sub-0", "sub-1", "sub-2"}, float16);
    std::vector<fs::path> parts;
    for (int i = 0; i < 3; ++i) {
      parts.push_back(folder / ("part" + std::to_string(i) + ".h5"));
      CohortWriter writer(parts.back(), {options}, {}, float16);
      writer.append("bg", row_of("sub-" + std::to_string(i), options, i), volumes_of(options, i));
      writer.finish();
    }
    merge_cohorts(parts, folder / "merged.h5", {{"command", "merge"}});
    const CohortReader all(folder / "all.h5");
    const CohortReader merged(folder / "merged.h5");
    EXPECT_EQ(all.fingerprint(), merged.fingerprint());
    EXPECT_EQ(merged.provenance()["command"], "merge");
    for (std::size_t i = 0; i < 3; ++i) {
      expect_equal(all.rows("bg")[i], merged.rows("bg")[i]);
      EXPECT_EQ(all.read_roi("bg", i), merged.read_roi("bg", i));
      EXPECT_EQ(all.read_hard("bg", i), merged.read_hard("bg", i));
      EXPECT_EQ(all.read_soft("bg", i), merged.read_soft("bg", i));
    }
  }
}

TEST(MergeCohorts, PartsMayLackARegion) {
  const TemporaryFolder folder;
  const PreprocessingOptions hippocampi = small_options("hippocampi");
  write_cohort(folder / "a.h5", {"sub-01"});
  write_cohort(folder / "b.h5", {"sub-02"}, false, hippocampi);
  merge_cohorts({folder / "a.h5", folder / "b.h5"}, folder / "m.h5", {});
  const CohortReader merged(folder / "m.h5");
  EXPECT_EQ(merged.regions(), (std::vector<std::string>{"bg", "hippocampi"}));
  EXPECT_EQ(merged.rows("hippocampi").front().participant_id, "sub-02");
}

TEST(MergeCohorts, RefusesPartsThatDoNotFit) {
  const TemporaryFolder folder;
  write_cohort(folder / "a.h5", {"sub-01"});
  write_cohort(folder / "twice.h5", {"sub-01"});
  expect_error<core::InputError>(
      [&] {
        merge_cohorts({folder / "a.h5", folder / "twice.h5"}, folder / "m.h5", {});
      },
      {"twice.h5", "sub-01", "already"});
  PreprocessingOptions other = small_options();
  other.sigma_voxels = 3;
  write_cohort(folder / "sigma.h5", {"sub-02"}, false, other);
  expect_error<core::InputError>(
      [&] {
        merge_cohorts({folder / "a.h5", folder / "sigma.h5"}, folder / "m.h5", {});
      },
      {"sigma.h5", "sigma_voxels", "2", "3"});
  write_cohort(folder / "half.h5", {"sub-02"}, true);
  expect_error<core::InputError>(
      [&] {
        merge_cohorts({folder / "a.h5", folder / "half.h5"}, folder / "m.h5", {});
      },
      {"half.h5", "4-byte", "2-byte"});
  expect_error<core::UsageError>([&] { merge_cohorts({}, folder / "m.h5", {}); }, {"no cohorts"});
  EXPECT_FALSE(fs::exists(folder / "m.h5"));
}

}  // namespace
}  // namespace epvs::data
