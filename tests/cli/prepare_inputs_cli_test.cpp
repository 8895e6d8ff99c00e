// `epvs prepare` and inputs that need a choice: DICOM folders, filters, doubtful orientations.
#include <algorithm>
#include <cstring>

#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "core/text.h"
#include "data/cohort/cohort.h"
#include "data/formats/nifti.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/dicom_writer.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using data::Geometry;
using data::Volume;
using tests::CommandResult;
using tests::DicomSlice;

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
  void add_series(const std::string& place, const std::string& number,
                  const std::string& description) const {
    tests::write_dicom_series(folder_ / place, noise(grid_), [&](std::size_t, DicomSlice& slice) {
      slice.study_uid = "1.2." + std::to_string(std::hash<std::string>{}(place.substr(0, 10)));
      slice.series_uid = slice.study_uid + "." + number;
      slice.series_number = number;
      slice.description = description;
    });
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

TEST_F(PrepareInputs, DicomFoldersOfACohort) {
  add_series("dicom/p1/t2", "3", "T2 TSE");
  add_series("dicom/p1/t1", "4", "T1 MPRAGE");
  add_series("dicom/p2/t2", "7", "T2 TSE");
  add_series("dicom/p3/t2", "3", "FLAIR");
  CommandResult result = tests::run_epvs({"prepare", "dicom", "--list-series"}, folder_.path());
  expect(result, 0, {});
  const core::Table table = core::Table::parse(result.out, "out");
  ASSERT_EQ(table.rows(), 4U);
  EXPECT_EQ(table.cell(1, "series"), "4");
  EXPECT_EQ(table.cell(1, "description"), "T1 MPRAGE");
  EXPECT_EQ(table.cell(2, "participant_id"), "p2");
  EXPECT_EQ(table.cell(2, "matrix"), "40x40x50");

  result = prepare("dicom", {"--series", "t2 tse"});
  expect(result, 4, {"1 of 3 scans failed: p3"});
  EXPECT_NE(result.err.find("no series 't2 tse'; it has: 3 'FLAIR'"), std::string::npos);
  const data::CohortReader reader(folder_ / "out.h5");
  ASSERT_EQ(reader.rows("bg").size(), 2U);
  const data::CohortRow& row = reader.rows("bg")[0];
  EXPECT_EQ(row.participant_id, "p1");
  EXPECT_TRUE(row.source.same_as(grid_));
  EXPECT_EQ(row.region_volume_mm3, 2 * 6 * 12 * 8);
  EXPECT_NE(row.source_path.find("dicom/p1#1.2."), std::string::npos);

  // The same scan as NIfTI gives the same cohort, to the last bit.
  data::write_nifti(folder_ / "same.nii.gz", noise(grid_));
  core::write_text(folder_ / "scans.tsv", "participant_id\tt2w\np1\tsame.nii.gz\n");
  const std::vector<float> from_dicom = reader.read_roi("bg", 0);
  expect(prepare("scans.tsv"), 0, {});
  EXPECT_EQ(data::CohortReader(folder_ / "out.h5").read_roi("bg", 0), from_dicom);

  expect(prepare("dicom"), 4, {"p1 has 2 series to choose from", "1 of 3 scans failed: p1"});
  expect(prepare("scans.tsv", {"--series", "3"}), 2,
         {"--series and --t1w-series choose from DICOM"});
  expect(prepare("scans.tsv", {"--list-series"}), 3, {"no DICOM folder whose series"});
  expect(tests::run_epvs({"prepare", "dicom"}, folder_.path()), 2, {"OUT is missing"});
  expect(tests::run_epvs({"inspect", "dicom"}, folder_.path()), 3,
         {"for a folder of DICOM: epvs prepare FOLDER --list-series"});
}

TEST_F(PrepareInputs, NoOutputNamesThePatient) {
  add_series("dicom/p1/t2", "3", "T2 TSE");
  add_series("dicom/p2/t2", "3", "T2 TSE");
  fs::resize_file(folder_ / "dicom/p2/t2/IM0007", 1500);
  const CommandResult result = prepare("dicom");
  expect(result, 4, {"IM0007", "damaged or cut off"});
  std::vector<std::string> texts = {result.out, result.err};
  for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
    const bool is_input = entry.path().string().find("dicom/") != std::string::npos;
    if (entry.is_regular_file() && !is_input) texts.push_back(core::read_text(entry.path()));
  }
  EXPECT_GT(texts.size(), 6U);
  for (const std::string& text : texts) {
    EXPECT_EQ(text.find("Secret"), std::string::npos);
    EXPECT_EQ(text.find("secret-id"), std::string::npos);
  }
  // A folder that is named like the person would do it: a word about that.
  add_series("named/secret_somebody/t2", "3", "T2 TSE");
  expect(prepare("named"), 0, {"bears the name of the person"});
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

TEST_F(PrepareInputs, AFilterFileChooses) {
  for (const char* name : {"sub-1_acq-a_T2w.nii.gz", "sub-1_acq-b_T2w.nii.gz"}) {
    fs::create_directories(folder_ / "bids/sub-1/anat");
    data::write_nifti(folder_ / ("bids/sub-1/anat/" + std::string(name)), noise(grid_));
  }
  expect(prepare("bids"), 3, {"2 scans to choose from", "--bids-filter-file"});
  core::write_text(folder_ / "f.json", R"({"t2w": {"acquisition": "b"}, "bold": {}})");
  expect(prepare("bids", {"--bids-filter-file", "f.json"}), 0, {"'bold' is not read here"});
  EXPECT_NE(data::CohortReader(folder_ / "out.h5").rows("bg")[0].source_path.find("acq-b"),
            std::string::npos);
}

}  // namespace
}  // namespace epvs
