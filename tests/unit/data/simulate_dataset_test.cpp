// Phantom datasets on disk: what is written, what is refused, what survives a kill.
#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <queue>

#include "core/error.h"
#include "core/files.h"
#include "core/scores.h"
#include "core/table.h"
#include "data/cohort/cohort.h"
#include "data/formats/nifti.h"
#include "data/phantom/dataset.h"
#include "data/phantom/simulate_command.h"
#include "data/prepare/prepare_options.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::expect_error;
using tests::TemporaryFolder;

SimulationJob small_job(const fs::path& folder) {
  SimulationJob job;
  job.options = SimulationOptions::preset(PhantomPreset::kDemo);
  job.options.participants = 4;
  job.options.voxel_scale = 4;
  job.options.max_slice_mm = 3;
  job.options.anatomy_grid_mm = 2;
  job.folder = folder;
  job.seed = 12;
  return job;
}

SimulationSummary simulate(const SimulationJob& job) {
  core::Log log(core::LogLevel::kWarning);
  core::Provenance provenance("simulate", {"OUT", "--preset", "demo"});
  const core::StopSignals signals;
  return simulate_dataset(job, log, provenance, signals);
}

/// Content of every table and image below a folder.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".tsv" || extension == ".gz") {
      files[fs::relative(entry.path(), folder).string()] = core::read_text(entry.path());
    }
  }
  return files;
}

TEST(SimulateDataset, WritesBidsTablesAndTruthThatAgree) {
  const TemporaryFolder folder;
  SimulationJob job = small_job(folder / "bids");
  job.options.rescans = 2;
  simulate(job);
  const core::Table participants = core::Table::read(job.folder / "participants.tsv");
  EXPECT_EQ(participants.rows(), 4U);
  const auto scores = core::ScoresTable::read(job.folder / "phenotype" / "visual_scores.tsv");
  EXPECT_THAT(scores.scorers, testing::ElementsAre("rater1", "rater2"));
  EXPECT_EQ(scores.keys.size(), 6U);  // four participants, two of them twice
  const auto truth = core::ScoresTable::read(job.folder / "truth" / "truth_counts.tsv");
  EXPECT_THAT(truth.scorers, testing::ElementsAre("true_count", "true_count_slice"));
  EXPECT_EQ(truth.keys, scores.keys);

  const core::Table epvs = core::Table::read(job.folder / "truth" / "truth_epvs.tsv");
  std::map<std::string, int> listed;
  for (std::size_t row = 0; row < epvs.rows(); ++row) {
    ++listed[epvs.cell(row, "participant_id") + epvs.cell(row, "session_id")];
  }
  for (std::size_t row = 0; row < truth.keys.size(); ++row) {
    const core::ScoreKey& key = truth.keys[row];
    EXPECT_EQ(listed[key.participant_id + key.session_id], truth.values[row][0]);
    const fs::path anat = job.folder / key.participant_id / key.session_id / "anat";
    const std::string stem = key.participant_id + "_" + key.session_id;
    const Scan scan = read_scan(anat / (stem + "_T2w.nii.gz"));
    EXPECT_TRUE(fs::exists(anat / (stem + "_T2w.json")));
    const auto labels = read_labels(job.folder / "derivatives" / "labels" / key.participant_id /
                                    key.session_id / "anat" / (stem + "_dseg.nii.gz"));
    EXPECT_TRUE(labels.geometry.same_as(scan.image.geometry));
    EXPECT_TRUE(scan.header.warnings.empty());
  }
  for (const char* name :
       {"README.md", "participants.json", "phenotype/visual_scores.json", "truth/truth_epvs.json",
        "dataset_description.json", "derivatives/labels/dataset_description.json"}) {
    EXPECT_TRUE(fs::exists(job.folder / name)) << name;
  }
}

double pearson(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  const double ma = std::accumulate(a.begin(), a.end(), 0.0) / n;
  const double mb = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / std::sqrt(aa * bb);
}

/// Counts of one region by raters 1, 2 and 2 again, of a preset's cohort without scans.
using Ratings = std::array<std::vector<double>, kRatings>;
std::map<Region, Ratings> ratings_of(PhantomPreset preset, int participants) {
  const TemporaryFolder folder;
  SimulationJob job;
  job.options = SimulationOptions::preset(preset);
  job.options.participants = participants;
  job.options.rescans = 0;
  job.folder = folder / "bids";
  job.write_scans = false;
  job.threads = 2;
  std::map<Region, Ratings> ratings;
  for (const ParticipantRecord& record : simulate(job).participants) {
    for (const RegionScore& score : record.scans.front().scores) {
      for (std::size_t i = 0; i < kRatings; ++i) {
        ratings[score.region][i].push_back(score.raters[i]);
      }
    }
  }
  return ratings;
}

/// P2 Tables 2 and 3. A cohort of 76 has a correlation within about .1 (standard deviation) and a
/// mean error within 12% of the preset's own; three together within .06 and 7%.
TEST(SimulateDataset, RatersOfP2AgreeAsPublished) {
  const std::map<Region, std::pair<double, double>> published = {
      {Region::kCentrumSemiovale, {0.75, 4.67}},
      {Region::kBasalGanglia, {0.56, 3.78}},
      {Region::kHippocampi, {0.64, 2.08}}};
  for (const auto& [region, ratings] : ratings_of(PhantomPreset::kP2, 3 * 76)) {
    const auto& [r, mae] = published.at(region);
    EXPECT_NEAR(pearson(ratings[0], ratings[1]), r, 0.15) << region_name(region);
    double error = 0;
    for (std::size_t i = 0; i < ratings[0].size(); ++i) {
      error += std::abs(ratings[0][i] - ratings[1][i]) / static_cast<double>(ratings[0].size());
    }
    EXPECT_NEAR(error, mae, 0.2 * mae) << region_name(region);
  }
}

/// P1 Table 2, from 40 scans; the standard error of 400 is below .04.
TEST(SimulateDataset, RatersOfP1AgreeAsPublished) {
  const Ratings ratings = ratings_of(PhantomPreset::kP1, 400).at(Region::kBasalGanglia);
  EXPECT_NEAR(pearson(ratings[0], ratings[1]), 0.70, 0.1);
  EXPECT_NEAR(pearson(ratings[0], ratings[2]), 0.68, 0.1);
  EXPECT_NEAR(pearson(ratings[1], ratings[2]), 0.80, 0.1);
}

TEST(SimulateDataset, RaterOneMarksWhatHeCountsInTheRatedSlice) {
  const TemporaryFolder folder;
  SimulationJob job = small_job(folder / "bids");
  job.write_scans = false;
  job.options.participants = 8;
  job.options.mean_count = {20};
  job.options.rescans = 2;
  job.options.rating = Rating::kSlice;
  job.options.lacune_confusion = 0;
  job.options.marked_scans = 5;
  const SimulationSummary summary = simulate(job);
  const core::Table marks = core::Table::read(job.folder / "phenotype" / "dot_marks.tsv");
  std::map<std::string, int> dots;
  for (std::size_t row = 0; row < marks.rows(); ++row) {
    const auto index = std::stoul(marks.cell(row, "participant_id").substr(4)) - 1;
    const ScanRecord& scan = summary.participants[index].scans.front();
    ++dots[marks.cell(row, "participant_id")];
    const Eigen::Vector3d voxel = scan.plan.geometry.to_voxel(
        {marks.number(row, "x"), marks.number(row, "y"), marks.number(row, "z")});
    EXPECT_NEAR(voxel.z(), static_cast<double>(scan.plan.commissure_slice()), 0.8);
  }
  EXPECT_EQ(dots.count("sub-0001") + dots.count("sub-0002"), 0U);  // scanned twice
  EXPECT_EQ(dots.count("sub-0008"), 0U);                           // beyond the fifth
  int marked = 0;
  for (const auto& [id, count] : dots) {
    const auto index = std::stoul(id.substr(4)) - 1;
    const RegionScore& score = summary.participants[index].scans.front().scores.front();
    EXPECT_EQ(static_cast<std::size_t>(count), score.marked.size());
    EXPECT_LE(count, score.raters[0]);  // the rest is imagined
    marked += count;
  }
  EXPECT_GT(marked, 10);
}

TEST(SimulateDataset, EpvsOfTheTruthTableAreBrightInTheScanOnDisk) {
  const TemporaryFolder folder;
  SimulationJob job = small_job(folder / "bids");
  job.options.voxel_scale = 2.2;
  job.options.max_slice_mm = 1.8;
  job.options.mean_count = {15};
  job.options.scanners = {"philips-3t"};  // stored right to left
  simulate(job);
  const core::Table epvs = core::Table::read(job.folder / "truth" / "truth_epvs.tsv");
  int bright = 0;
  for (std::size_t row = 0; row < epvs.rows(); ++row) {
    const std::string id = epvs.cell(row, "participant_id");
    const Scan scan = read_scan(job.folder / id / "anat" / (id + "_T2w.nii.gz"));
    const Eigen::Vector3d voxel = scan.image.geometry.to_voxel(
        {epvs.number(row, "x"), epvs.number(row, "y"), epvs.number(row, "z")});
    const auto at = [&](double dx, double dy) {
      return scan.image.at(std::llround(voxel.x() + dx), std::llround(voxel.y() + dy),
                           std::llround(voxel.z()));
    };
    const float around = 0.25F * (at(-4, 0) + at(4, 0) + at(0, -4) + at(0, 4));
    bright += at(0, 0) > 1.25F * around ? 1 : 0;
  }
  ASSERT_GT(epvs.rows(), 20U);
  EXPECT_GT(bright, 0.75 * static_cast<double>(epvs.rows()));
}

TEST(SimulateDataset, ThreadsDoNotMatterAndTheSeedDoes) {
  const TemporaryFolder folder;
  SimulationJob one = small_job(folder / "one");
  SimulationJob many = small_job(folder / "many");
  many.threads = 3;
  SimulationJob other = small_job(folder / "other");
  other.seed = 13;
  for (const SimulationJob& job : {one, many, other}) simulate(job);
  const auto expected = contents(one.folder);
  EXPECT_GT(expected.size(), 12U);
  EXPECT_EQ(contents(many.folder), expected);
  EXPECT_NE(contents(other.folder), expected);
}

TEST(SimulateDataset, GoesOnAfterAKillAndKeepsWhatIsThere) {
  const TemporaryFolder folder;
  const SimulationJob job = small_job(folder / "bids");
  simulate(job);
  const auto expected = contents(job.folder);
  // As a kill leaves it: no tables, one scan without its sidecar.
  fs::remove(job.folder / "dataset_description.json");
  fs::remove_all(job.folder / "truth");
  fs::remove(job.folder / "sub-0003" / "anat" / "sub-0003_T2w.json");
  const SimulationSummary summary = simulate(job);
  EXPECT_EQ(summary.scans_kept, 3U);
  EXPECT_EQ(summary.scans_written, 1U);
  EXPECT_EQ(contents(job.folder), expected);
}

TEST(SimulateDataset, RefusesWhatItWouldDestroy) {
  const TemporaryFolder folder;
  SimulationJob job = small_job(folder / "bids");
  job.options.participants = 3;
  simulate(job);
  expect_error<core::UsageError>([&] { simulate(job); }, {"finished", "--force"});
  fs::remove(job.folder / "dataset_description.json");
  SimulationJob other = job;
  other.seed = 99;
  expect_error<core::UsageError>([&] { simulate(other); },
                                 {"unfinished", "another seed", "--force"});
  // --force leaves nothing of a larger cohort behind.
  other.force = true;
  other.options.participants = 2;
  simulate(other);
  EXPECT_FALSE(fs::exists(job.folder / "sub-0003"));
  EXPECT_FALSE(fs::exists(job.folder / "derivatives" / "labels" / "sub-0003"));

  fs::create_directories(folder / "mine");
  core::write_text(folder / "mine" / "thesis.txt", "do not touch");
  SimulationJob mine = small_job(folder / "mine");
  mine.force = true;
  expect_error<core::UsageError>([&] { simulate(mine); }, {"not empty", "no simulated dataset"});
  expect_error<core::UsageError>([&] { simulate(small_job(folder / "mine" / "thesis.txt")); },
                                 {"is not a folder"});
}

TEST(SimulateDataset, ACohortFileFitsTheScansAndTheOrderOfParticipants) {
  const TemporaryFolder folder;
  SimulationJob job = small_job(folder / "bids");
  job.threads = 3;
  CohortRequest request;
  request.path = folder / "cohort.h5";
  PrepareOptions prepare;
  prepare.spacing_mm = {2, 2, 2};
  request.regions = prepare.resolve();
  job.cohort = request;
  simulate(job);
  const CohortReader cohort(request.path);
  const PreprocessingOptions& options = cohort.options("bg");
  EXPECT_THAT(options.crop_voxels, testing::ElementsAre(44, 32, 24));  // 84 x 64 x 42 mm, up to 4
  ASSERT_EQ(cohort.rows("bg").size(), 4U);
  for (std::size_t row = 0; row < 4; ++row) {
    const CohortRow& one = cohort.rows("bg")[row];
    EXPECT_EQ(one.participant_id, participant_name(static_cast<int>(row)));
    const ScanHeader header = read_header(one.source_path);
    EXPECT_TRUE(one.source.same_as(header.geometry));
    EXPECT_EQ(one.region_cut_fraction, 0);
    EXPECT_GE(one.ac_slice, 0);
    const std::vector<float> roi = cohort.read_roi("bg", row);
    const std::vector<float> soft = cohort.read_soft("bg", row);
    for (std::size_t i = 0; i < roi.size(); ++i) {
      ASSERT_GE(roi[i], 0.0F);
      ASSERT_LE(roi[i], soft[i] * 1.00001F);
    }
  }
}

TEST(SimulateCommand, OptionsOverrideThePreset) {
  const TemporaryFolder folder;
  const std::string out = (folder / "bids").string();
  const std::vector<const char*> arguments = {
      "epvs-simulate", out.c_str(), "--preset",   "demo",       "--participants", "3",
      "--mean-count",  "2.5",       "--scanners", "philips-1t", "--no-scans",     "--quiet"};
  SimulateCommand command;
  testing::internal::CaptureStdout();
  const int code = core::run_command(command, static_cast<int>(arguments.size()), arguments.data());
  const std::string text = testing::internal::GetCapturedStdout();
  ASSERT_EQ(code, 0);
  EXPECT_NE(text.find("r_rater1_true"), std::string::npos);
  const core::Json plan =
      core::read_json(folder / "bids" / "simulation.json").at("plan").at("options");
  EXPECT_EQ(plan.at("epvs").at("mean_count").at(0), 2.5);
  EXPECT_EQ(plan.at("scan").at("field_of_view"), "basal-ganglia");  // of the preset
  EXPECT_EQ(plan.at("sample").at("scanners").at(0), "philips-1t");
  EXPECT_FALSE(fs::exists(folder / "bids" / "sub-0001"));
  EXPECT_TRUE(fs::exists(folder / "bids" / "truth" / "truth_epvs.tsv"));

  const std::vector<const char*> wrong = {"epvs-simulate", "x", "--prepare", "preset=p1"};
  SimulateCommand again;
  testing::internal::CaptureStderr();
  EXPECT_EQ(core::run_command(again, 4, wrong.data()), 2);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("without --cohort"), std::string::npos);
}

}  // namespace
}  // namespace epvs::data
