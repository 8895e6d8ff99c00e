// `epvs inspect --characteristics` against NumPy, and what it says of a cohort's history.
#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "data/cohort/cohort.h"
#include "tests/support/test_support.h"

namespace epvs::models {
namespace {

using tests::run_epvs;
using tests::TemporaryFolder;

/// The scans of a table in two regions (the second lacks the first scan), with facts.
void write_cohort(const std::filesystem::path& path, const core::Table& scans,
                  core::Json provenance) {
  std::vector<data::PreprocessingOptions> options(2);
  options[0].crop_voxels = options[1].crop_voxels = {2, 2, 2};
  options[1].region = "hippocampi";
  if (scans.has("facts")) {
    provenance["scan_facts"] = core::Json::array();
    for (std::size_t row = 0; row < scans.rows(); ++row) {
      core::Json facts = {
          {"participant_id", scans.cell(row, "participant_id")},
          {"session_id",
           scans.missing(row, scans.index("session_id")) ? "" : scans.cell(row, "session_id")}};
      facts.update(core::Json::parse(scans.cell(row, "facts")));
      provenance["scan_facts"].push_back(facts);
    }
  }
  data::CohortWriter writer(path, options, provenance);
  for (std::size_t row = 0; row < scans.rows(); ++row) {
    data::CohortRow scan;
    scan.participant_id = scans.cell(row, "participant_id");
    if (!scans.missing(row, scans.index("session_id"))) {
      scan.session_id = scans.cell(row, "session_id");
    }
    scan.roi.shape = {2, 2, 2};
    scan.source.shape = {100, 110, 120};
    scan.source.affine.diagonal() << -scans.number(row, "x"), scans.number(row, "y"),
        scans.number(row, "z"), 1;
    data::CohortVolumes volumes;
    volumes.roi.assign(8, 0.5F);
    volumes.hard.assign(8, 1);
    volumes.soft.assign(8, 1.0F);
    writer.append("bg", scan, volumes);
    if (row > 0) writer.append("hippocampi", scan, volumes);
  }
  writer.finish();
}

core::Table characteristics(const std::vector<std::string>& extra) {
  std::vector<std::string> all = {"inspect"};
  all.insert(all.end(), extra.begin(), extra.end());
  all.emplace_back("--characteristics");
  const auto result = run_epvs(all);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return core::Table::parse(result.out, "characteristics");
}

std::size_t find(const core::Table& table, const std::string& name, const std::string& level) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.cell(row, "characteristic") == name && table.cell(row, "level") == level) return row;
  }
  ADD_FAILURE() << "no " << name << " " << level << " in\n" << table.to_text();
  return 0;
}

TEST(Characteristics, EqualNumPy) {
  const TemporaryFolder folder;
  const auto golden = [](const char* name) {
    return tests::golden("models/characteristics") / name;
  };
  write_cohort(folder / "c.h5", core::Table::read(golden("scans.tsv")), core::Json::object());
  const core::Table table = characteristics(
      {(folder / "c.h5").string(), "--participants", golden("participants.tsv").string()});
  const core::Table expected = core::Table::read(golden("expected.tsv"));
  ASSERT_GT(expected.rows(), 10U);
  for (std::size_t row = 0; row < expected.rows(); ++row) {
    const std::string& name = expected.cell(row, "characteristic");
    const std::size_t at = find(table, name, expected.cell(row, "level"));
    EXPECT_EQ(table.cell(at, "n"), expected.cell(row, "n")) << name;
    EXPECT_EQ(table.cell(at, "count"), expected.cell(row, "count")) << name;
    for (const char* column : {"minimum", "maximum", "mean", "sd"}) {
      if (expected.missing(row, expected.index(column))) {
        EXPECT_EQ(table.cell(at, column), "n/a") << name;
      } else {
        EXPECT_NEAR(table.number(at, column), expected.number(row, column), 1e-9) << name;
      }
    }
  }
  EXPECT_EQ(table.integer(find(table, "participants", "n/a"), "count"), 17);
  EXPECT_EQ(table.integer(find(table, "scans", "n/a"), "count"), 21);
  EXPECT_EQ(table.cell(find(table, "age", "n/a"), "unit"), "years");
}

TEST(Characteristics, WithoutTableAndFactsTheyAreUnknown) {
  const TemporaryFolder folder;
  const core::Table scans =
      core::Table::parse("participant_id\tsession_id\tx\ty\tz\nsub-1\tn/a\t0.5\t0.4\t4\n", "scans");
  write_cohort(folder / "c.h5", scans, core::Json::object());
  const core::Table table = characteristics({(folder / "c.h5").string()});
  for (const char* name : {"age", "sex", "scanner", "slice_thickness", "slice_spacing",
                           "field_strength", "manufacturer", "scanner_model", "scans_found"}) {
    EXPECT_EQ(table.cell(find(table, name, "n/a"), "n"), "0") << name;
  }
  const std::size_t row = find(table, "in_plane_voxel_size", "n/a");
  EXPECT_NEAR(table.number(row, "mean"), 0.45, 1e-12);
  EXPECT_EQ(table.cell(row, "sd"), "n/a") << "one scan has none";
}

TEST(Characteristics, SayHowManyScansWereExcludedAndWhy) {
  const TemporaryFolder folder;
  const core::Table scans = core::Table::parse(
      "participant_id\tsession_id\tx\ty\tz\nsub-1\tn/a\t1\t1\t4\nsub-2\tn/a\t1\t1\t4\n", "scans");
  const auto entry = [](const char* id, const char* region, const char* reason) {
    return core::Json{
        {"participant_id", id}, {"session_id", ""}, {"region", region}, {"reason", reason}};
  };
  core::Json provenance;
  provenance["scans_found"] = 5;
  provenance["failed"] = {{{"participant_id", "sub-5"}}};
  provenance["excluded"] = {entry("sub-1", "hippocampi", "cut"), entry("sub-3", "bg", "motion"),
                            entry("sub-3", "hippocampi", "motion"), entry("sub-4", "bg", "motion"),
                            entry("sub-4", "hippocampi", "infarct")};
  write_cohort(folder / "c.h5", scans, provenance);
  const core::Table table = characteristics({(folder / "c.h5").string()});
  const auto count = [&](const char* name, const char* level) {
    return table.integer(find(table, name, level), "count");
  };
  EXPECT_EQ(count("scans_found", "n/a"), 5);
  EXPECT_EQ(count("scans", "n/a"), 2);
  EXPECT_EQ(count("scans_failed", "n/a"), 1);
  EXPECT_EQ(count("scans_excluded", "from all regions"), 2);
  EXPECT_EQ(count("excluded", "bg: motion"), 2);
  EXPECT_EQ(count("excluded", "hippocampi: motion"), 1);
  EXPECT_EQ(count("excluded", "hippocampi: cut"), 1);
  EXPECT_EQ(count("excluded", "hippocampi: infarct"), 1);
  const auto json =
      run_epvs({"inspect", (folder / "c.h5").string(), "--characteristics", "--json"});
  EXPECT_EQ(core::Json::parse(json.out)[0]["characteristic"], "scans_found");
}

TEST(Characteristics, BadInputIsNamed) {
  const TemporaryFolder folder;
  const core::Table scans =
      core::Table::parse("participant_id\tsession_id\tx\ty\tz\nsub-1\tn/a\t1\t1\t4\n", "scans");
  write_cohort(folder / "c.h5", scans, core::Json::object());
  const auto fails = [&](int code, std::vector<std::string> arguments, const char* text) {
    arguments.insert(arguments.begin(), "inspect");
    const auto result = run_epvs(arguments, folder.path());
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  };
  core::write_text(folder / "p.tsv", "participant_id\tage\nsub-2\t70\n");
  fails(3, {"c.h5", "--characteristics", "--participants", "p.tsv"},
        "participant sub-1 of the cohort is not in p.tsv");
  core::write_text(folder / "p.tsv", "participant_id\tage\n1\t70\nsub-1\t70\n");
  fails(3, {"c.h5", "--characteristics", "--participants", "p.tsv"}, "sub-1 is there twice");
  core::write_text(folder / "p.tsv", "participant_id\tage\nsub-1\told\n");
  fails(3, {"c.h5", "--characteristics", "--participants", "p.tsv"}, "'old'");
  fails(2, {"p.tsv", "--characteristics"}, "describes a cohort file");
  fails(2, {"c.h5", "--participants", "p.tsv"}, "--participants belongs to --characteristics");
}

}  // namespace
}  // namespace epvs::models
