// Quality control of `epvs prepare`: numbers, table, page, picture, a person's exclusions.
#include <cmath>
#include <random>

#include "core/error.h"
#include "core/files.h"
#include "data/formats/volume.h"
#include "data/prepare/inputs/exclusions.h"
#include "data/prepare/qc/qc.h"
#include "data/prepare/qc/qc_page.h"
#include "data/prepare/qc/qc_picture.h"
#include "data/prepare/stages/read_scan.h"
#include "data/prepare/stages/smooth_roi.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::centred_grid;
using tests::expect_error;
using tests::TemporaryFolder;

VoxelBox whole(const Geometry& geometry) {
  return {{0, 0, 0}, geometry.shape};
}

TEST(Sharpness, OfAWaveIsKnown) {
  constexpr double kPi = 3.14159265358979323846;
  Volume<float> scan(centred_grid({80, 60, 7}, {0.5, 0.6, 3}));
  for (const double length_mm : {4.0, 8.0}) {  // whole numbers of periods in 40 mm
    for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
      const double x = 0.5 * static_cast<double>(i % 80);
      scan.voxels[i] = static_cast<float>(100 + 30 * std::sin(2 * kPi * x / length_mm));
    }
    const double expected = 2 * std::sin(kPi * 0.5 / length_mm) / 0.5;
    EXPECT_NEAR(sharpness_per_mm(scan, whole(scan.geometry)), expected, 0.01 * expected);
  }
}

TEST(Sharpness, FallsWithBlurAndIgnoresScaleAndOffset) {
  Volume<float> scan(centred_grid({40, 44, 20}, {0.5, 0.5, 3}));
  std::mt19937 random(3);
  std::normal_distribution<float> normal(500, 100);
  for (float& value : scan.voxels) value = normal(random);
  const VoxelBox box = {{6, 6, 4}, {34, 38, 16}};
  double last = sharpness_per_mm(scan, box);
  Volume<float> other = scan;
  for (float& value : other.voxels) value = 0.01F * value + 7;
  EXPECT_NEAR(sharpness_per_mm(other, box), last, 1e-4 * last);
  for (const double sigma : {0.4, 0.6, 0.8, 1.0, 1.4, 2.0}) {
    const double blurred = sharpness_per_mm(gaussian_smooth(scan, sigma), box);
    EXPECT_LT(blurred, 0.98 * last) << sigma;
    last = blurred;
  }
}

TEST(Sharpness, LooksWithinTheSlicesAndOnlyIntoTheBox) {
  // Slices along stored y: only x and z count, so a stripe pattern along y has no gradient.
  Volume<float> scan(centred_grid({12, 9, 12}, {1, 4, 1}));
  for (std::int64_t z = 0; z < 12; ++z) {
    for (std::int64_t y = 0; y < 9; ++y) {
      for (std::int64_t x = 0; x < 12; ++x) {
        scan.at(x, y, z) = static_cast<float>(x + z + 100 * (y % 2));
      }
    }
  }
  EXPECT_EQ(slice_axis(scan.geometry), 1U);
  const VoxelBox slice = {{0, 3, 0}, {12, 4, 12}};
  // Slope 1 along both axes; variance of x + z with 12 values each: 2 (144 - 1) / 12.
  EXPECT_NEAR(sharpness_per_mm(scan, slice), std::sqrt(2.0 / (2 * 143.0 / 12)), 1e-9);
  scan.at(0, 0, 0) = 1e6F;
  EXPECT_NEAR(sharpness_per_mm(scan, slice), std::sqrt(2.0 / (2 * 143.0 / 12)), 1e-9);
  EXPECT_TRUE(std::isnan(sharpness_per_mm(scan, VoxelBox{})));
  EXPECT_TRUE(std::isnan(sharpness_per_mm(scan, {{3, 0, 3}, {4, 9, 4}})));
  EXPECT_TRUE(std::isnan(sharpness_per_mm(Volume<float>(scan.geometry, 5.0F), slice)));
}

TEST(Sharpness, TheBoxGrowsWithinTheSlices) {
  Volume<std::uint8_t> mask(centred_grid({30, 30, 9}, {0.5, 1, 4}));
  EXPECT_TRUE(box_around(mask, 3).empty());
  mask.at(10, 12, 4) = 1;
  mask.at(12, 28, 5) = 1;
  const VoxelBox box = box_around(mask, 3);
  EXPECT_EQ(box.begin, (Shape{4, 9, 4}));
  EXPECT_EQ(box.end, (Shape{19, 30, 6}));
}

QcRow qc_row(int number, double volume, double sharpness = std::nan("")) {
  QcRow row;
  row.participant_id = "sub-" + std::to_string(number);
  row.region = "bg";
  row.volume_mm3 = volume;
  row.sharpness_per_mm = sharpness;
  return row;
}

TEST(Qc, ValuesFarFromTheCohortAreFlagged) {
  std::vector<QcRow> rows;
  for (int i = 0; i < 7; ++i) rows.push_back(qc_row(i, 10000 + 100 * i, 1.0 + 0.01 * i));
  rows.push_back(qc_row(7, 30000, 1.03));
  rows[0].reasons = {"looks <odd>"};
  rows[2].sharpness_per_mm = 0.4;
  rows[3].sharpness_per_mm = 2.0;
  const core::Table table = qc_table(rows);
  EXPECT_EQ(table.cell(7, "flag"), "check");
  EXPECT_NE(table.cell(7, "reason").find("median"), std::string::npos);
  EXPECT_EQ(table.cell(5, "flag"), "ok");
  EXPECT_EQ(table.cell(5, "reason"), "n/a");
  EXPECT_EQ(table.cell(0, "flag"), "check");
  EXPECT_NE(table.cell(2, "reason").find("blurred or moved"), std::string::npos);
  EXPECT_NE(table.cell(3, "reason").find("noisy or filtered"), std::string::npos);
  // Volumes 10000..10600 and 30000: median 10350, MAD 200 (0.6745 x 250 / 200 for 10600).
  EXPECT_NEAR(table.number(6, "volume_robust_z"), 0.6745 * 250 / 200, 0.006);
  // Sharpness .4 1.00 1.01 1.03 1.04 1.05 1.06 2: median 1.035, MAD .025 (.005 .005 .015 .025 ...).
  EXPECT_NEAR(table.number(6, "sharpness_robust_z"), 0.6745 * 0.025 / 0.025, 0.006);
}

TEST(Qc, FourScansAreNoCohort) {
  std::vector<QcRow> rows;
  for (int i = 0; i < 4; ++i) rows.push_back(qc_row(i, i == 3 ? 90000 : 10000 + i, 1));
  const core::Table table = qc_table(rows);
  EXPECT_EQ(table.cell(3, "volume_robust_z"), "n/a");
  EXPECT_EQ(table.cell(3, "flag"), "ok");
}

TEST(Qc, RowsComeBackFromJson) {
  QcRow row = qc_row(1, 123.25);
  row.mi_before = std::nan("");
  row.mi_after = 0.5;
  row.reasons = {"a", "b"};
  const QcRow back = QcRow::from_json(row.to_json());
  EXPECT_EQ(back.volume_mm3, 123.25);
  EXPECT_TRUE(std::isnan(back.mi_before));
  EXPECT_TRUE(std::isnan(back.sharpness_per_mm));
  EXPECT_EQ(back.mi_after, 0.5);
  EXPECT_EQ(back.reasons, row.reasons);
}

TEST(Qc, ExclusionsOfAPersonAreRead) {
  const TemporaryFolder folder;
  core::write_text(folder / "qc.tsv",
                   "participant_id\tsession_id\tregion\tflag\treason\texclude\texclude_reason\n"
                   "sub-1\tn/a\tbg\tcheck\tcut\tyes\tmotion\nsub-1\tn/a\tcso\tok\tn/a\tno\tn/a\n"
                   "sub-2\tses-1\tn/a\tok\tnoise\tYes\tn/a\nsub-3\tn/a\tn/a\tok\tn/a\tyes\tn/a\n");
  const Exclusions exclusions(folder / "qc.tsv");
  EXPECT_EQ(exclusions.size(), 3U);
  ScanInput one;
  one.participant_id = "sub-1";
  ASSERT_TRUE(exclusions.excludes(one, "bg"));
  EXPECT_EQ(exclusions.find(one, "bg")->reason, "motion");
  EXPECT_FALSE(exclusions.excludes(one, "cso"));
  ScanInput two;
  two.participant_id = "sub-2";
  two.session_id = "ses-1";
  ASSERT_TRUE(exclusions.excludes(two, "cso"));
  EXPECT_EQ(exclusions.find(two, "cso")->reason, "noise");
  two.session_id = "ses-2";
  EXPECT_FALSE(exclusions.excludes(two, "cso"));
  EXPECT_EQ(exclusions.unknown({one, two}, {"bg", "cso"}),
            (std::vector<std::string>{"sub-2 ses-1", "sub-3"}));
  core::write_text(folder / "bad.tsv", "participant_id\texclude\nsub-1\tperhaps\n");
  expect_error<core::InputError>([&] { Exclusions(folder / "bad.tsv"); },
                                 {"bad.tsv line 2", "'perhaps'", "yes or no"});
  core::write_text(folder / "none.tsv", "participant_id\nsub-1\n");
  expect_error<core::InputError>([&] { Exclusions(folder / "none.tsv"); }, {"exclude"});
}

TEST(Qc, ExcludedRowsComeBackWithTheirNumbers) {
  const TemporaryFolder folder;
  core::Table table = qc_table({qc_row(1, 100), qc_row(2, 200)});
  std::string text = table.to_text();
  const std::string ending = "no\tn/a\n";
  text.replace(text.rfind(ending), ending.size(), "yes\tmotion\n");
  core::write_text(folder / "qc.tsv", text);
  const Exclusions exclusions(folder / "qc.tsv");
  ScanInput two;
  two.participant_id = "sub-2";
  const std::optional<ExcludedScan> found = exclusions.find(two, "bg");
  ASSERT_TRUE(found);
  const core::Table again = qc_table({qc_row(1, 100)}, {*found}, exclusions);
  ASSERT_EQ(again.rows(), 2U);
  EXPECT_EQ(again.cell(1, "participant_id"), "sub-2");
  EXPECT_EQ(again.number(1, "volume_mm3"), 200);
  EXPECT_EQ(again.cell(1, "flag"), "excluded");
  EXPECT_EQ(again.cell(1, "exclude"), "yes");
  EXPECT_EQ(again.cell(1, "exclude_reason"), "motion");
  // Given to --exclude again, it excludes the same.
  again.write(folder / "again.tsv");
  EXPECT_EQ(Exclusions(folder / "again.tsv").find(two, "bg")->reason, "motion");
}

TEST(QcPage, ShowsFlaggedScansFirstAndCountsThemAll) {
  const TemporaryFolder folder;
  std::vector<QcRow> rows;
  for (int i = 0; i < 120; ++i) rows.push_back(qc_row(i, 10000 + 10 * i, 1 + 0.001 * i));
  rows[77].reasons = {"looks <odd>"};
  ExcludedScan excluded{"sub-x", "ses 1", "bg", "motion & blur"};
  core::write_text(folder / "qc.tsv", "participant_id\texclude\nsub-x\tyes\n");
  const core::Table table = qc_table(rows, {excluded}, Exclusions(folder / "qc.tsv"));
  QcPage page;
  page.title = "Quality control of c.h5";
  page.scans_found = 123;
  page.failures = {{"sub-bad", "truncated <file>"}};
  for (int i = 0; i < 119; ++i) page.pictures.insert("sub-" + std::to_string(i));
  page.pictures.insert("sub-x_ses 1");
  const std::string html = qc_page(page, table);
  for (const char* text :
       {"<b>123</b>scans found", "<b>120</b>in the cohort", "<b>1</b>to check", "<b>1</b>excluded",
        "<b>1</b>failed", "looks &lt;odd&gt;", "truncated &lt;file&gt;", "motion &amp; blur",
        "src=\"sub-x_ses%201_qc.png\"", "href=\"failed.tsv\"", "<title>sub-77: 10770</title>"}) {
    EXPECT_NE(html.find(text), std::string::npos) << text;
  }
  EXPECT_LT(html.find("src=\"sub-77_qc.png\""), html.find("src=\"sub-0_qc.png\""));
  EXPECT_LT(html.find("src=\"sub-0_qc.png\""), html.find("src=\"sub-x_ses%201_qc.png\""));
  EXPECT_EQ(html.find("src=\"sub-119_qc.png\""), std::string::npos);
  EXPECT_NE(html.find("no picture"), std::string::npos);
  // Nothing is run and nothing is fetched from elsewhere.
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("http"), std::string::npos);
}

TEST(QcPicture, TheContoursMoveWithTheRegistration) {
  const Geometry grid = centred_grid({60, 60, 20}, {1, 1, 3});
  Volume<float> scan(grid);
  for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
    scan.voxels[i] = static_cast<float>(100 + i % 97);
  }
  QcRegion region{"bg", 1500, Volume<std::uint8_t>(grid)};
  for (std::int64_t z = 8; z < 13; ++z) {
    for (std::int64_t y = 20; y < 30; ++y) {
      for (std::int64_t x = 35; x < 45; ++x) region.mask.at(x, y, z) = 1;
    }
  }
  QcPicture what;
  what.key = "sub-01";
  const Picture plain = draw_qc_picture(what, scan, {region});
  Eigen::Matrix4d away = Eigen::Matrix4d::Identity();
  away(0, 3) = 500;  // the headers lay the labels far from the scan
  what.scan_to_labels = away;
  const Picture far = draw_qc_picture(what, scan, {region});
  Eigen::Matrix4d near = Eigen::Matrix4d::Identity();
  near(0, 3) = 12;
  what.scan_to_labels = near;
  const Picture moved = draw_qc_picture(what, scan, {region});
  const auto coloured = [](const Picture& picture, int from, int to, double& mean_x) {
    int count = 0;
    mean_x = 0;
    for (int y = from; y < to; ++y) {
      for (int x = 0; x < picture.width / 3; ++x) {  // the axial panel
        if (picture.get(x, y) == qc_colour(0)) {
          mean_x += x;
          ++count;
        }
      }
    }
    mean_x /= std::max(count, 1);
    return count;
  };
  // One more row of planes of equal height than without registration, after legend and scan.
  const int row = far.height - plain.height;
  ASSERT_EQ(moved.height, far.height);
  ASSERT_GT(row, 100);
  constexpr int kAbove = 26 + 24;
  double mean_after = 0;
  double mean_before = 0;
  EXPECT_EQ(coloured(far, kAbove, kAbove + row, mean_before), 0) << "the plain scan";
  EXPECT_EQ(coloured(far, kAbove + row, kAbove + 2 * row, mean_before), 0);
  EXPECT_GT(coloured(far, kAbove + 2 * row, kAbove + 3 * row, mean_after), 50);
  EXPECT_GT(coloured(moved, kAbove + row, kAbove + 2 * row, mean_before), 50);
  // A scan point p has the label that lies at p + 12 mm in the labels' world after registration;
  // before it, the region lies 12 mm further to the right of the participant: left in the picture.
  const double mm_per_pixel = 180.0 / 900;
  EXPECT_NEAR((mean_after - mean_before) * mm_per_pixel, 12, 1);
  EXPECT_NE(qc_colour(0), qc_colour(1));
}

TEST(Sidecar, TheNearestOneWinsAndOthersDoNotApply) {
  const TemporaryFolder folder;
  core::write_text(folder / "dataset_description.json", "{}");
  const std::filesystem::path anat = folder / "sub-01/ses-1/anat";
  const std::filesystem::path scan = anat / "sub-01_ses-1_acq-thick_T2w.nii.gz";
  EXPECT_TRUE(sidecar_facts(scan).empty());
  core::write_text(folder / "T2w.json",
                   R"({"MagneticFieldStrength": 3, "Manufacturer": "A", "SliceThickness": 9})");
  core::write_text(folder / "T1w.json", R"({"ManufacturersModelName": "not of a T2w"})");
  core::write_text(folder / "acq-thin_T2w.json", R"({"SliceThickness": 1})");
  core::write_text(folder / "sub-01/ses-1/sub-01_ses-1_T2w.json", R"({"SliceThickness": 5.5})");
  core::write_text(anat / "sub-01_ses-1_acq-thick_T2w.json",
                   R"({"Manufacturer": "B", "SpacingBetweenSlices": 6, "PatientName": "x"})");
  EXPECT_EQ(sidecar_facts(scan), core::Json::parse(R"({"SliceThickness": 5.5,
      "MagneticFieldStrength": 3, "Manufacturer": "B", "SpacingBetweenSlices": 6})"));
  // Outside a dataset only the folder of the scan counts.
  std::filesystem::remove(folder / "dataset_description.json");
  EXPECT_EQ(sidecar_facts(scan).size(), 2U);

  core::write_text(anat / "T2w.json", R"({"SliceThickness": "thick"})");
  expect_error<core::InputError>([&] { sidecar_facts(scan); },
                                 {"T2w.json", "SliceThickness is \"thick\"", "a number"});
  core::write_text(anat / "T2w.json", "[1]");
  expect_error<core::InputError>([&] { sidecar_facts(scan); }, {"is not a JSON object"});
  core::write_text(anat / "T2w.json", "{");
  expect_error<core::InputError>([&] { sidecar_facts(scan); }, {"T2w.json"});
}

}  // namespace
}  // namespace epvs::data
