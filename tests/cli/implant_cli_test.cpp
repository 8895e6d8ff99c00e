// `epvs implant` as a user runs it: what is written, what is the same, what is refused.
#include <algorithm>
#include <cmath>
#include <map>

#include "core/files.h"
#include "core/json.h"
#include "core/scores.h"
#include "core/table.h"
#include "data/formats/nifti.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using data::Volume;
using tests::centred_grid;
using tests::CommandResult;
using tests::run_epvs;

/// People with scans of block_labels: white matter 300, ventricle 1000, elsewhere 200, uneven.
class Implant : public testing::Test {
 protected:
  void SetUp() override {
    add("sub-01", 1000);
    add("sub-02", 1100);
    core::write_text(folder_ / "bids/participants.tsv",
                     "participant_id\tage\nsub-01\t70\nsub-02\t75\n");
    core::write_text(folder_ / "bids/dataset_description.json",
                     R"({"Name": "blocks", "BIDSVersion": "1.8.0", "License": "CC0"})");
    core::write_text(folder_ / "bids/T2w.json", R"({"MagneticFieldStrength": 1.5})");
    core::write_text(folder_ / "bids/sub-01/anat/sub-01_T2w.json", R"({"SliceThickness": 1.0})");
  }
  fs::path scan_path(const std::string& id) const {
    return folder_ / ("bids/" + id + "/anat/" + id + "_T2w.nii.gz");
  }
  void add(const std::string& id, std::int16_t csf, std::int32_t without_label = -1) const {
    const data::Geometry grid = centred_grid({40, 40, 50}, {1, 1, 1});
    const Volume<std::int32_t> labels = tests::block_labels(grid);
    Volume<std::int16_t> map(grid);
    Volume<std::int16_t> scan(grid);
    for (std::size_t i = 0; i < map.voxels.size(); ++i) {
      const auto label = static_cast<std::int16_t>(labels.voxels[i]);
      map.voxels[i] = label == without_label ? std::int16_t{0} : label;
      const int value = label == 2 ? 300 : label == 4 ? csf : label > 0 ? 350 : 200;
      scan.voxels[i] = static_cast<std::int16_t>(value + static_cast<int>(i * 7919 % 17) - 8);
    }
    fs::create_directories(scan_path(id).parent_path());
    fs::create_directories(folder_ / "labels");
    data::write_nifti(scan_path(id), scan, nullptr, "made for a test");
    data::write_nifti(folder_ / ("labels/" + id + ".nii.gz"), map);
  }
  CommandResult implant(const std::string& out, const std::vector<std::string>& extra = {}) const {
    std::vector<std::string> all = {
        "implant",       "bids", out, "--labels", "labels/{participant_id}.nii.gz",
        "--diameter-mm", "1.5,3"};
    const std::vector<std::pair<std::string, std::string>> defaults = {{"--counts", "0,3,6"},
                                                                       {"--regions", "cso"}};
    for (const auto& [name, value] : defaults) {
      if (std::find(extra.begin(), extra.end(), name) == extra.end()) {
        all.insert(all.end(), {name, value});
      }
    }
    all.insert(all.end(), extra.begin(), extra.end());
    return run_epvs(all, folder_.path());
  }
  fs::path session(const std::string& out, const std::string& id, const std::string& name) const {
    return folder_ / out / id / name / "anat" / (id + "_" + name + "_T2w.nii.gz");
  }
  /// Content of every table and image below a folder.
  std::map<std::string, std::string> contents(const std::string& out) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / out)) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".tsv" || extension == ".gz") {
        files[fs::relative(entry.path(), folder_ / out).string()] = core::read_text(entry.path());
      }
    }
    return files;
  }

  tests::TemporaryFolder folder_;
};

TEST_F(Implant, WritesASeriesWhoseFirstScanIsTheSource) {
  const CommandResult result = implant("out");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("cso"), std::string::npos);
  for (const std::string id : {"sub-01", "sub-02"}) {
    EXPECT_EQ(core::read_text(session("out", id, "ses-k00")), core::read_text(scan_path(id)));
    const data::ScanHeader source = data::read_header(scan_path(id));
    const data::ScanHeader filled = data::read_header(session("out", id, "ses-k06"));
    EXPECT_EQ(filled.stored_type, source.stored_type);
    EXPECT_EQ(filled.sform, source.sform);
    EXPECT_EQ(filled.qform_fields, source.qform_fields);
  }
  EXPECT_EQ(core::read_text(folder_ / "out/participants.tsv"),
            core::read_text(folder_ / "bids/participants.tsv"));
  EXPECT_EQ(core::read_text(folder_ / "out/T2w.json"), core::read_text(folder_ / "bids/T2w.json"));
  EXPECT_EQ(core::read_text(folder_ / "out/sub-01/ses-k03/anat/sub-01_ses-k03_T2w.json"),
            core::read_text(folder_ / "bids/sub-01/anat/sub-01_T2w.json"));
  const core::Json description = core::read_json(folder_ / "out/dataset_description.json");
  EXPECT_EQ(description.at("License"), "CC0");
  EXPECT_EQ(description.at("GeneratedBy")[0].at("Name"), "epvs implant");
  EXPECT_EQ(description.at("SourceDatasets")[0].at("Name"), "blocks");

  const auto truth = core::ScoresTable::read(folder_ / "out/truth/truth_counts.tsv");
  ASSERT_EQ(truth.keys.size(), 6U);
  EXPECT_EQ(truth.scorers, std::vector<std::string>{"true_count"});
  for (std::size_t row = 0; row < 6; ++row) {
    EXPECT_EQ(truth.values[row][0], std::vector<double>({0, 3, 6})[row % 3]);
  }
}

TEST_F(Implant, TheTruthIsWhereTheScanChanged) {
  ASSERT_EQ(implant("out").exit_code, 0);
  const core::Table epvs = core::Table::read(folder_ / "out/truth/truth_epvs.tsv");
  std::map<std::string, std::vector<Eigen::Vector3d>> centres;
  std::map<std::string, double> volumes;
  for (std::size_t row = 0; row < epvs.rows(); ++row) {
    const std::string key = epvs.cell(row, "participant_id") + epvs.cell(row, "session_id");
    centres[key].emplace_back(epvs.number(row, "x"), epvs.number(row, "y"), epvs.number(row, "z"));
    const double r = epvs.number(row, "diameter_mm") / 2;
    volumes[key] += epvs.number(row, "contrast") * M_PI * r * r *
                    (0.75 * epvs.number(row, "length_mm") + r / 6);
  }
  const core::Table scans = core::Table::read(folder_ / "out/truth/truth_scans.tsv");
  const double csf_over_white = scans.number(0, "csf") - scans.number(0, "white_matter");
  EXPECT_NEAR(csf_over_white, 700, 15);
  const Volume<float> source = data::read_scan(scan_path("sub-01")).image;
  const Volume<std::int32_t> labels = tests::block_labels(source.geometry);
  const Volume<float> three = data::read_scan(session("out", "sub-01", "ses-k03")).image;
  const Volume<float> six = data::read_scan(session("out", "sub-01", "ses-k06")).image;
  for (const auto& [name, filled] : {std::pair{"ses-k03", &three}, std::pair{"ses-k06", &six}}) {
    const std::string key = std::string("sub-01") + name;
    double sum = 0;
    data::for_each_voxel(source.geometry.shape, [&](auto x, auto y, auto z) {
      const double added = static_cast<double>(filled->at(x, y, z) - source.at(x, y, z));
      sum += added;
      if (added == 0) return;
      const Eigen::Vector3d at = source.geometry.to_world(x, y, z);
      // Half the length, a radius, half a voxel's box and 4 sigma.
      EXPECT_TRUE(std::any_of(centres[key].begin(), centres[key].end(),
                              [&](const auto& centre) { return (centre - at).norm() < 13; }));
    });
    EXPECT_NEAR(sum / (volumes[key] * csf_over_white), 1.0, 0.04) << name;
    for (const Eigen::Vector3d& centre : centres[key]) {
      const Eigen::Vector3d voxel = source.geometry.to_voxel(centre);
      EXPECT_EQ(
          labels.at(std::llround(voxel.x()), std::llround(voxel.y()), std::llround(voxel.z())), 2);
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {  // nested
    EXPECT_EQ(centres["sub-01ses-k03"][i], centres["sub-01ses-k06"][i]);
  }
  for (std::size_t i = 0; i < source.voxels.size(); ++i) {
    EXPECT_GE(six.voxels[i], three.voxels[i]);
  }
}

TEST_F(Implant, ContentDependsOnTheSeedAndNotOnThreads) {
  ASSERT_EQ(implant("one", {"--threads", "1"}).exit_code, 0);
  ASSERT_EQ(implant("two", {"--threads", "2"}).exit_code, 0);
  ASSERT_EQ(implant("other", {"--seed", "2"}).exit_code, 0);
  EXPECT_EQ(contents("one"), contents("two"));
  EXPECT_NE(contents("one").at("truth/truth_epvs.tsv"),
            contents("other").at("truth/truth_epvs.tsv"));
  EXPECT_EQ(contents("one").at("truth/truth_counts.tsv"),
            contents("other").at("truth/truth_counts.tsv"));
}

TEST_F(Implant, PrepareReadsTheSeriesAsSessions) {
  ASSERT_EQ(implant("out").exit_code, 0);
  const CommandResult result = run_epvs(
      {"prepare", "out", "out.h5", "--dry-run", "--labels", "labels/{participant_id}.nii.gz"},
      folder_.path());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* key : {"sub-01_ses-k00", "sub-01_ses-k06", "sub-02_ses-k03"}) {
    EXPECT_NE(result.out.find(key), std::string::npos) << result.out;
  }
}

TEST_F(Implant, SessionsOfTheSourceKeepTheirNames) {
  fs::create_directories(folder_ / "bids/sub-01/ses-2");
  fs::rename(folder_ / "bids/sub-01/anat", folder_ / "bids/sub-01/ses-2/anat");
  fs::rename(folder_ / "bids/sub-01/ses-2/anat/sub-01_T2w.nii.gz",
             folder_ / "bids/sub-01/ses-2/anat/sub-01_ses-2_acq-tse_T2w.nii.gz");
  ASSERT_EQ(implant("out").exit_code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "out/sub-01/ses-2k03/anat/sub-01_ses-2k03_acq-tse_T2w.nii.gz"));
}

TEST_F(Implant, ABadScanDoesNotStopTheOthersAndIsDoneWhenMended) {
  add("sub-03", 320);
  const CommandResult result = implant("out");
  tests::expect_result(result, 4, {"sub-03", "times as bright as white matter", "failed.tsv"});
  const core::Table failed = core::Table::read(folder_ / "out/failed.tsv");
  ASSERT_EQ(failed.rows(), 1U);
  EXPECT_EQ(failed.cell(0, "participant_id"), "sub-03");
  EXPECT_TRUE(fs::exists(session("out", "sub-02", "ses-k06")));
  EXPECT_FALSE(fs::exists(folder_ / "out/sub-03"));
  const auto before = fs::last_write_time(session("out", "sub-02", "ses-k06"));
  add("sub-03", 900);
  tests::expect_result(implant("out"), 0, {"2 scans of an earlier run were kept"});
  EXPECT_EQ(fs::last_write_time(session("out", "sub-02", "ses-k06")), before);
  EXPECT_FALSE(fs::exists(folder_ / "out/failed.tsv"));
  EXPECT_FALSE(fs::exists(folder_ / "out/truth/parts"));
  EXPECT_EQ(core::Table::read(folder_ / "out/truth/truth_counts.tsv").rows(), 9U);
}

TEST_F(Implant, MissingStructuresAreNamedWithTheirLabels) {
  const CommandResult midbrain = implant("out", {"--regions", "cso,midbrain"});
  tests::expect_result(midbrain, 4, {"region 'midbrain' is empty", "173"});
  EXPECT_EQ(core::Table::read(folder_ / "out/failed.tsv").cell(0, "region"), "midbrain");
  EXPECT_EQ(core::Table::read(folder_ / "out/truth/truth_counts.tsv").rows(), 6U);  // cso
  add("sub-01", 1000, 4);
  add("sub-02", 1000, 4);
  tests::expect_result(implant("none"), 3,
                       {"none of 2 scans", "lateral ventricles", "labels 4,43", "sub-01.nii.gz"});
  EXPECT_FALSE(fs::exists(folder_ / "none/dataset_description.json"));
}

TEST_F(Implant, ARegionWithLittleRoomTakesWhatFits) {
  const CommandResult result =
      implant("out", {"--regions", "bg", "--counts", "0,60", "--gap-mm", "3"});
  tests::expect_result(result, 0, {"sub-01 bg: room for ", "of 60 EPVS", "truth_counts.tsv"});
  const auto truth = core::ScoresTable::read(folder_ / "out/truth/truth_counts.tsv");
  EXPECT_GT(truth.values[1][0], 0);
  EXPECT_LT(truth.values[1][0], 60);
  const core::Table epvs = core::Table::read(folder_ / "out/truth/truth_epvs.tsv");
  std::size_t listed = 0;
  for (std::size_t row = 0; row < epvs.rows(); ++row) {
    listed += epvs.cell(row, "participant_id") == "sub-01" ? 1U : 0U;
  }
  EXPECT_EQ(static_cast<double>(listed), truth.values[1][0]);
  tests::expect_result(implant("full", {"--regions", "bg", "--length-mm", "28,30"}), 3,
                       {"no room for a single EPVS in region 'bg'", "--length-mm"});
}

TEST_F(Implant, TheOutputFolderIsGuarded) {
  ASSERT_EQ(implant("out").exit_code, 0);
  tests::expect_result(implant("out"), 2, {"holds a finished dataset", "--force"});
  fs::remove(folder_ / "out/dataset_description.json");
  tests::expect_result(implant("out", {"--seed", "5"}), 2,
                       {"unfinished dataset of epvs implant with other options", "--force"});
  ASSERT_EQ(implant("out").exit_code, 0);
  ASSERT_EQ(implant("out", {"--force", "--counts", "0,2"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(session("out", "sub-01", "ses-k06")));
  core::write_text(folder_ / "mine/letter.txt", "dear");
  tests::expect_result(implant("mine", {"--force"}), 2, {"holds no dataset of epvs implant"});
  core::write_text(folder_ / "file", "");
  tests::expect_result(implant("file"), 2, {"is not a folder"});
}

TEST_F(Implant, WrongUseIsExplained) {
  tests::expect_result(run_epvs({"implant", "bids", "out"}, folder_.path()), 2,
                       {"nothing says where the regions are", "--labels", "--atlas"});
  tests::expect_result(
      run_epvs({"implant", "bids/participants.tsv", "out", "--labels", "x"}, folder_.path()), 2,
      {"is a file", "BIDS folder"});
  tests::expect_result(implant("out", {"--counts", "5,0"}), 2, {"--counts has 0 after 5"});
  tests::expect_result(implant("out", {"--regions", "bgg"}), 2, {"bgg", "bg"});
  const CommandResult dry = implant("out", {"--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_NE(dry.out.find("sub-02\tses-k06"), std::string::npos) << dry.out;
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

/// Four people, of which one has slices of 4 mm and one of 3.3 mm.
TEST(ImplantRealScans, FillsClinicalScansByAnAtlas) {
  EPVS_REQUIRE_TEST_DATA(bids, "clinical_bids");
  EPVS_REQUIRE_TEST_DATA(atlases, "mni152");
  EPVS_REQUIRE_ELASTIX();
  const tests::TemporaryFolder folder;
  const CommandResult result =
      run_epvs({"implant", bids.string(), (folder / "out").string(), "--regions",
                "bg,hippocampi,cso", "--participant-label", "ms01,ms04", "--template",
                (atlases / "MNI152_T2_2mm.nii.gz").string(), "--atlas",
                (atlases / "Atlas_ROIs.2.nii.gz").string(), "--atlas",
                (atlases / "Avgwmparc.nii.gz").string(), "--counts", "0,15"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto truth = core::ScoresTable::read(folder / "out/truth/truth_counts.tsv");
  ASSERT_EQ(truth.keys.size(), 12U);
  const core::Table scans = core::Table::read(folder / "out/truth/truth_scans.tsv");
  for (std::size_t row = 0; row < scans.rows(); ++row) {
    EXPECT_EQ(scans.number(row, "placed"), scans.number(row, "wanted"));
    EXPECT_GT(scans.number(row, "csf_to_white_matter"), 2.5);
    EXPECT_LT(scans.number(row, "csf_to_white_matter"), 6);
    EXPECT_GT(scans.number(row, "blur_x_mm"), 0.05);
    EXPECT_LT(scans.number(row, "blur_x_mm"), 0.6);
  }
  EXPECT_EQ(core::read_text(folder / "out/sub-ms01/ses-k00/anat/sub-ms01_ses-k00_T2w.nii.gz"),
            core::read_text(bids / "sub-ms01/anat/sub-ms01_T2w.nii.gz"));
  EXPECT_TRUE(fs::exists(folder / "out/derivatives/transforms" /
                         "sub-ms04_ses-k15_from-T2w_to-template_affine_xfm.txt"));
}

}  // namespace
}  // namespace epvs
