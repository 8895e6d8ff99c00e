// Inputs that need a choice: BIDS filters, tables with DICOM folders, DICOM folders of a cohort.
#include "data/prepare/inputs/inputs.h"

#include <algorithm>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "data/prepare/inputs/scan_source.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/dicom_writer.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::DicomSlice;
using tests::expect_error;
using tests::TemporaryFolder;
using tests::write_dicom_series;

void touch(const fs::path& path) {
  core::write_text(path, "x");
}

class BidsFilters : public testing::Test {
 protected:
  BidsFilters() {
    for (const char* session : {"01", "02"}) {
      const std::string stem = fmt::format("bids/sub-a/ses-{0}/anat/sub-a_ses-{0}_", session);
      touch(folder_ / (stem + "acq-tse_T2w.nii.gz"));
      touch(folder_ / (stem + "acq-space_run-01_T2w.nii.gz"));
      touch(folder_ / (stem + "acq-space_run-02_T2w.nii.gz"));
      touch(folder_ / (stem + "echo-1_PDw.nii"));
    }
    touch(folder_ / "bids/sub-a/ses-01/anat/sub-a_ses-01_T1w.nii.gz");
    touch(folder_ / "bids/sub-a/ses-01/anat/sub-a_ses-01_rec-norm_T1w.nii.gz");
  }
  std::vector<ScanInput> find(const std::string& json, InputFilter filter = {}) const {
    core::write_text(folder_ / "filter.json", json);
    filter.bids = BidsFilter(folder_ / "filter.json");
    return find_scans(folder_ / "bids", filter);
  }
  static std::vector<std::string> names(const std::vector<ScanInput>& inputs) {
    std::vector<std::string> all;
    for (const ScanInput& input : inputs) all.push_back(input.scan.filename().string());
    return all;
  }
  TemporaryFolder folder_;
};

using Names = std::vector<std::string>;

TEST_F(BidsFilters, ChooseByEntity) {
  expect_error<core::InputError>([&] { find("{}"); },
                                 {"sub-a_ses-01 has 3 scans", "--bids-filter-file"});
  EXPECT_EQ(names(find(R"({"t2w": {"acquisition": "tse"}})")),
            (Names{"sub-a_ses-01_acq-tse_T2w.nii.gz", "sub-a_ses-02_acq-tse_T2w.nii.gz"}));
  EXPECT_EQ(names(find(R"({"t2w": {"acq": "tse", "session": ["ses-02", "03"]}})")),
            (Names{"sub-a_ses-01_echo-1_PDw.nii", "sub-a_ses-02_acq-tse_T2w.nii.gz"}));
  // The same with --suffix T2w: no fall-back to PDw.
  InputFilter t2w;
  t2w.suffix = "T2w";
  EXPECT_EQ(names(find(R"({"t2w": {"acq": "tse", "session": ["ses-02", "03"]}})", t2w)),
            Names{"sub-a_ses-02_acq-tse_T2w.nii.gz"});
  EXPECT_EQ(names(find(R"({"t2w": {"run": null}})")).front(), "sub-a_ses-01_acq-tse_T2w.nii.gz");
  EXPECT_EQ(names(find(R"({"t2w": {"run": 2}})")).front(),
            "sub-a_ses-01_acq-space_run-02_T2w.nii.gz");
  expect_error<core::InputError>([&] { find(R"({"t2w": {"run": "*"}})"); },
                                 {"2 scans to choose from", "run-01", "run-02"});
  EXPECT_EQ(names(find(R"({"t2w": {"suffix": "PDw", "extension": ".nii"}})")).front(),
            "sub-a_ses-01_echo-1_PDw.nii");
  InputFilter pdw;
  pdw.suffix = "PDw";
  EXPECT_EQ(names(find(R"({"pdw": {"echo": 1}})", pdw)).size(), 2U);
  expect_error<core::InputError>([&] { find(R"({"pdw": {"echo": 2}})", pdw); },
                                 {"no scan to prepare"});
}

TEST_F(BidsFilters, TheT1wScanIsChosenToo) {
  const std::string tse = R"({"t2w": {"acquisition": "tse"})";
  std::vector<ScanInput> inputs = find(tse + "}");
  EXPECT_TRUE(inputs[0].t1w.empty());
  expect_error<core::InputError>([&] { required_t1w(inputs[0]); },
                                 {"sub-a_ses-01 has 2 T1w scans", "rec-norm_T1w", "--bids-filter"});
  expect_error<core::InputError>([&] { required_t1w(inputs[1]); },
                                 {"sub-a_ses-02 has no T1w scan"});
  inputs = find(tse + R"(, "t1w": {"reconstruction": "norm"}})");
  EXPECT_EQ(required_t1w(inputs[0]).filename(), "sub-a_ses-01_rec-norm_T1w.nii.gz");
  EXPECT_TRUE(inputs[1].t1w.empty());
  // The one of the first session serves all.
  inputs = find(tse + R"(, "t1w": {"reconstruction": null, "session": "01"}})");
  EXPECT_EQ(inputs[0].t1w.filename(), "sub-a_ses-01_T1w.nii.gz");
  EXPECT_EQ(inputs[1].t1w.filename(), "sub-a_ses-01_T1w.nii.gz");
}

TEST_F(BidsFilters, MistakesAreNamed) {
  const auto refuse = [&](const std::string& json, const std::vector<std::string>& texts) {
    expect_error<core::UsageError>([&] { find(json); }, texts);
  };
  refuse(R"({"t2": {}})", {"unknown kind of scan 't2'", "t2w"});
  refuse(R"({"t2w": {"aquisition": "x"}})", {"unknown entity 'aquisition'", "acquisition"});
  refuse(R"({"t2w": {"run": 1.5}})", {"'1.5' is no value of an entity"});
  refuse(R"({"t2w": {"datatype": "func"}})", {"datatype of 't2w' is not \"anat\""});
  refuse(R"([1])", {"is no BIDS filter"});
  core::write_text(folder_ / "broken.json", "{\"t2w\": ");
  expect_error<core::InputError>([&] { BidsFilter(folder_ / "broken.json"); }, {"broken.json"});
  core::write_text(folder_ / "fmriprep.json", R"({"bold": {"task": "rest"}, "t2w": {}})");
  std::vector<std::string> ignored;
  const BidsFilter filter(folder_ / "fmriprep.json", &ignored);
  EXPECT_EQ(ignored, Names{"bold"});
}

Volume<float> small_scan(float shift = 0) {
  Volume<float> volume(tests::centred_grid({6, 5, 4}, {1, 1, 2}));
  for (std::size_t i = 0; i < volume.voxels.size(); ++i) {
    volume.voxels[i] = static_cast<float>(i) + shift;
  }
  return volume;
}

/// A series of a study; `description` is its own.
void add_series(const fs::path& folder, const std::string& study, const std::string& number,
                const std::string& description) {
  write_dicom_series(folder, small_scan(static_cast<float>(number.size())),
                     [&](std::size_t, DicomSlice& slice) {
                       slice.study_uid = study;
                       slice.series_uid = study + "." + number;
                       slice.series_number = number;
                       slice.description = description;
                     });
}

TEST(DicomInputs, AFolderPerParticipant) {
  const TemporaryFolder folder;
  add_series(folder / "dicom/p1/a", "1.2.1", "3", "T2 TSE");
  add_series(folder / "dicom/p1/b", "1.2.1", "14", "T1 MPRAGE");
  add_series(folder / "dicom/p2/ses-x/a", "1.2.2", "3", "T2 TSE");
  add_series(folder / "dicom/p2/ses-y/a", "1.2.3", "3", "T2 TSE");
  touch(folder / "dicom/readme.txt");
  touch(folder / "dicom/empty/notes.txt");
  InputFilter filter;
  filter.series = "t2 tse";
  filter.t1w_series = "mprage";
  const std::vector<ScanInput> inputs = find_scans(folder / "dicom", filter);
  ASSERT_EQ(inputs.size(), 3U);
  EXPECT_EQ(inputs[0].key(), "p1");
  EXPECT_EQ(inputs[1].key(), "p2_ses-x");
  EXPECT_EQ(inputs[2].scan, folder / "dicom/p2/ses-y");
  const Scan scan = read_image(counted_scan(inputs[0]), {});
  EXPECT_EQ(scan.image.voxels.front(), 1);
  EXPECT_EQ(read_image(t1w_scan(inputs[0]), {}).image.voxels.front(), 2);
  EXPECT_EQ(name_of(counted_scan(inputs[0])), (folder / "dicom/p1").string() + "#1.2.1.3");
  expect_error<core::InputError>([&] { read_image(t1w_scan(inputs[1]), {}); },
                                 {"no series 'mprage'"});

  // The hash is that of the series alone, and of all its files.
  const std::string before = sha256_of(counted_scan(inputs[0]));
  EXPECT_NE(before, sha256_of(t1w_scan(inputs[0])));
  touch(folder / "dicom/p1/b/notes.txt");
  EXPECT_EQ(before, sha256_of(counted_scan(inputs[0])));
  add_series(folder / "dicom/p1/a", "1.2.1", "3", "T2 TSE again");
  EXPECT_NE(before, sha256_of(counted_scan(inputs[0])));

  const core::Table table = series_table(inputs);
  ASSERT_EQ(table.rows(), 4U);
  EXPECT_EQ(table.cell(1, "participant_id"), "p1");
  EXPECT_EQ(table.cell(1, "series"), "14");
  EXPECT_EQ(table.cell(1, "matrix"), "6x5x4");
  EXPECT_EQ(table.cell(3, "session_id"), "ses-y");
  EXPECT_EQ(table.to_text().find("Secret"), std::string::npos);

  filter.participants = {"p3"};
  expect_error<core::UsageError>([&] { find_scans(folder / "dicom", filter); },
                                 {"participant 'p3' is not in"});
  filter = {};
  filter.sessions = {"x"};
  EXPECT_EQ(find_scans(folder / "dicom", filter).size(), 2U);  // p1 has no sessions
}

TEST(DicomInputs, AFolderOfOneParticipant) {
  const TemporaryFolder folder;
  add_series(folder / "p7/a", "1.2.1", "3", "T2 TSE");
  add_series(folder / "p7/b", "1.2.1", "14", "T1 MPRAGE");
  const std::vector<ScanInput> inputs = find_scans(folder.path().string() + "/p7/", {});
  ASSERT_EQ(inputs.size(), 1U);
  EXPECT_EQ(inputs[0].participant_id, "p7");
  expect_error<core::InputError>([&] { read_image(counted_scan(inputs[0]), {}); },
                                 {"2 series to choose from", "3 'T2 TSE'", "14 'T1 MPRAGE'"});
  expect_error<core::InputError>([&] { required_t1w(inputs[0]); },
                                 {"which DICOM series is the T1w scan", "--t1w-series"});
  EXPECT_EQ(find_scans(folder / "p7/a", {}).at(0).participant_id, "a");
  // A third folder of another study: two of them cannot be participants of their own.
  add_series(folder / "p7/c", "1.2.9", "3", "T2 TSE");
  expect_error<core::InputError>([&] { find_scans(folder / "p7", {}); },
                                 {"p7/a and", "p7/b hold the same study", "PARTICIPANT/"});
}

TEST(DicomInputs, ATableWithFolders) {
  const TemporaryFolder folder;
  add_series(folder / "scans/p1", "1.2.1", "3", "T2 TSE");
  add_series(folder / "scans/p1/more", "1.2.1", "14", "T1 MPRAGE");
  touch(folder / "scans/file.nii");
  const auto table = [&](const std::string& text) {
    core::write_text(folder / "scans.tsv", text);
    return find_scans(folder / "scans.tsv", {});
  };
  ScanInput input =
      table("participant_id\tt2w\tt2w_series\tt1w_series\na\tscans/p1\t3\tmprage\n").at(0);
  EXPECT_EQ(read_image(counted_scan(input), {}).image.voxels.front(), 1);
  EXPECT_EQ(read_image(t1w_scan(input), {}).image.voxels.front(), 2);
  input = table("participant_id\tt2w\tt1w\na\tscans/file.nii\tscans/p1/more\n").at(0);
  EXPECT_EQ(read_image(t1w_scan(input), {}).image.voxels.front(), 2);
  fs::create_directory(folder / "none");
  expect_error<core::InputError>([&] { table("participant_id\tt2w\na\tnone\n"); },
                                 {"line 2", "none' is a folder without a DICOM file"});
  expect_error<core::InputError>(
      [&] { table("participant_id\tt2w\tlabels\na\tscans/file.nii\tscans/p1\n"); },
      {"labels", "is a folder", "give an image file"});
  expect_error<core::InputError>(
      [&] { table("participant_id\tt2w\tt2w_series\na\tscans/file.nii\t3\n"); },
      {"t2w_series is '3', but its scan is no DICOM folder"});
  expect_error<core::InputError>([&] { table("participant_id\tt2w\tsesion_id\na\tx\t1\n"); },
                                 {"unknown column 'sesion_id'", "did you mean 'session_id'"});
}

TEST(TableInputs, PdwIsTakenWhereItIsAskedForOrAllThereIs) {
  const TemporaryFolder folder;
  touch(folder / "t2.nii");
  touch(folder / "pd.nii");
  core::write_text(folder / "s.tsv",
                   "participant_id\tt2w\tpdw\na\tt2.nii\tpd.nii\nb\tn/a\tpd.nii\n");
  const auto names = [&](const std::string& suffix) {
    InputFilter filter;
    filter.suffix = suffix;
    std::vector<std::string> all;
    for (const ScanInput& input : find_scans(folder / "s.tsv", filter)) {
      all.push_back(input.scan.filename().string());
    }
    return all;
  };
  EXPECT_EQ(names("auto"), (Names{"t2.nii", "pd.nii"}));
  EXPECT_EQ(names("PDw"), (Names{"pd.nii", "pd.nii"}));
  expect_error<core::InputError>([&] { names("T2w"); },
                                 {"s.tsv line 3", "t2w must not be missing", "--suffix"});
  core::write_text(folder / "s.tsv", "participant_id\tpdw\nb\tpd.nii\n");
  EXPECT_EQ(names("auto"), Names{"pd.nii"});
  core::write_text(folder / "s.tsv", "participant_id\tage\nb\t7\n");
  expect_error<core::InputError>([&] { names("auto"); }, {"t2w"});
}

TEST(Inputs, SeriesOptionsMeanNothingWithoutDicom) {
  const TemporaryFolder folder;
  touch(folder / "sub-01/anat/sub-01_T2w.nii.gz");
  InputFilter filter;
  filter.series = "3";
  expect_error<core::UsageError>([&] { find_scans(folder.path(), filter); },
                                 {"--series and --t1w-series choose from DICOM folders", "sub-01"});
  expect_error<core::InputError>([&] { series_table(find_scans(folder.path(), {})); },
                                 {"no DICOM folder whose series"});
}

}  // namespace
}  // namespace epvs::data
