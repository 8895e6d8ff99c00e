// `epvs prepare` and inputs that need a choice: DICOM folders, doubtful orientations, label numbers.
#include <algorithm>
#include <cstring>

#include "core/files.h"
#include "core/table.h"
#include "data/cohort/cohort.h"
#include "data/formats/nifti.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using data::Geometry;
using data::Volume;
using tests::CommandResult;

class PrepareInputs : public testing::Test {
 protected:
  PrepareInputs() {
    const Volume<std::int32_t> blocks = tests::block_labels(grid_);
    Volume<std::int16_t> labels(grid_);
    std::copy(blocks.voxels.begin(), blocks.voxels.end(), labels.voxels.begin());
    data::write_nifti(folder_ / "labels.nii.gz", labels);
  }
  static Volume<float> noise(const Geometry& geometry) {
    Volume<float> scan(geometry);
    for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
      scan.voxels[i] = static_cast<float>(100 + (i * 7919) % 1009);
    }
    return scan;
  }
  CommandResult prepare(const std::string& source,
                        const std::vector<std::string>& extra = {}) const {
    std::vector<std::string> all = {"prepare",
                                    source,
                                    "out.h5",
                                    "--labels",
                                    "labels.nii.gz",
                                    "--spacing-mm",
                                    "1,1,1",
                                    "--crop-voxels",
                                    "28,20,16",
                                    "--dilation-voxels",
                                    "2",
                                    "--force"};
    all.insert(all.end(), extra.begin(), extra.end());
    return tests::run_epvs(all, folder_.path());
  }
  static void expect(const CommandResult& result, int exit_code,
                     const std::vector<std::string>& texts) {
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    for (const std::string& text : texts) {
      EXPECT_NE((result.out + result.err).find(text), std::string::npos)
          << "no '" << text << "' in\n"
          << result.out << result.err;
    }
  }
  std::string qc_reason() const {
    return core::Table::read(folder_ / "out_qc/qc.tsv").cell(0, "reason");
  }
  template <class T>
  static void patch(const fs::path& path, std::size_t offset, T value) {
    std::string bytes = core::read_text(path);
    std::memcpy(bytes.data() + offset, &value, sizeof(T));
    core::write_text(path, bytes);
  }

  const Geometry grid_ = tests::centred_grid({40, 40, 50}, {1, 1, 1});
  tests::TemporaryFolder folder_;
};

TEST_F(PrepareInputs, ADicomFolderIsToldToConvert) {
  core::write_text(folder_ / "dicom/p1/IM0001", std::string(128, '\0') + "DICM rest");
  expect(prepare("dicom"), 3, {"dicom holds DICOM files", "dcm2niix"});
  expect(tests::run_epvs({"prepare", "dicom"}, folder_.path()), 2, {"OUT is missing"});
}

TEST_F(PrepareInputs, DoubtfulOrientationsAreRefusedUntilTheyAreSettled) {
  const fs::path scan = folder_ / "scan.nii";
  data::write_nifti(scan, noise(grid_));
  core::write_text(folder_ / "scans.tsv", "participant_id\tt2w\na\tscan.nii\n");
  expect(prepare("scans.tsv"), 0, {});
  EXPECT_EQ(qc_reason(), "n/a");
  const std::vector<float> plain = data::CohortReader(folder_ / "out.h5").read_roi("bg", 0);

  patch<std::int16_t>(scan, 252, 0);
  patch<std::int16_t>(scan, 254, 0);
  expect(prepare("scans.tsv"), 3, {"left and right are ambiguous", "--assume-orientation RAS"});
  expect(prepare("scans.tsv", {"--assume-orientation", "sform"}), 3, {"are ambiguous"});
  expect(prepare("scans.tsv", {"--assume-orientation", "up"}), 2, {"'up' is no orientation"});
  expect(prepare("scans.tsv", {"--assume-orientation", "RAS"}), 0, {});
  EXPECT_NE(qc_reason().find("as told by --assume-orientation RAS"), std::string::npos);
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").read_roi("bg", 0), plain);
  // The other way round is another scan.
  expect(prepare("scans.tsv", {"--assume-orientation", "LAS"}), 0, {});
  EXPECT_NE(data::CohortReader(folder_ / "out.h5").read_roi("bg", 0), plain);

  // The same for a label map.
  data::write_nifti(scan, noise(grid_));
  fs::remove(folder_ / "labels.nii.gz");
  Volume<std::int16_t> labels(grid_);
  const Volume<std::int32_t> blocks = tests::block_labels(grid_);
  std::copy(blocks.voxels.begin(), blocks.voxels.end(), labels.voxels.begin());
  data::write_nifti(folder_ / "labels.nii", labels);
  patch<std::int16_t>(folder_ / "labels.nii", 252, 0);
  patch<std::int16_t>(folder_ / "labels.nii", 254, 0);
  core::write_text(folder_ / "scans.tsv", "participant_id\tt2w\tlabels\na\tscan.nii\tlabels.nii\n");
  expect(prepare("scans.tsv"), 3, {"labels.nii: no orientation in the header"});
  expect(prepare("scans.tsv", {"--assume-orientation", "RAS"}), 0, {});
  EXPECT_NE(qc_reason().find("labels.nii: orientation as told"), std::string::npos);
}

TEST_F(PrepareInputs, ForeignLabelNumbersAreNamed) {
  Volume<std::int16_t> labels(grid_);
  const Volume<std::int32_t> blocks = tests::block_labels(grid_);
  std::copy(blocks.voxels.begin(), blocks.voxels.end(), labels.voxels.begin());
  labels.at(0, 0, 0) = 9;
  labels.at(1, 0, 0) = 1;
  data::write_nifti(folder_ / "labels.nii.gz", labels);
  data::write_nifti(folder_ / "scan.nii", noise(grid_));
  core::write_text(folder_ / "scans.tsv", "participant_id\tt2w\na\tscan.nii\n");
  expect(prepare("scans.tsv"), 0, {});
  EXPECT_EQ(qc_reason(), "labels.nii.gz has 2 label numbers that 'freesurfer' does not have: 1, 9");
  core::write_text(folder_ / "own.toml", "[regions]\nbg = [11, 50]\n");
  expect(prepare("scans.tsv", {"--lut", "own.toml"}), 0, {});
  EXPECT_EQ(qc_reason(), "n/a");
}

}  // namespace
}  // namespace epvs
