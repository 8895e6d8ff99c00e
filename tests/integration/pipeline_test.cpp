// One straight path through all rooms by the real commands: simulate, prepare, split, train, infer,
// eval.
#include <cmath>
#include <set>

#include "core/json.h"
#include "core/scores.h"
#include "core/splits.h"
#include "core/table.h"
#include "core/text.h"
#include "data/formats/nifti.h"
#include "tests/support/test_support.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;

class Pipeline : public testing::Test {
 protected:
  std::string file(const std::string& name) const { return folder_ / name; }

  tests::CommandResult run(const std::vector<std::string>& arguments) {
    auto result = tests::run_epvs(arguments);
    EXPECT_EQ(result.exit_code, 0) << core::join(arguments, " ") << "\n" << result.err;
    return result;
  }

  void simulate_and_prepare() {
    std::vector<std::string> simulate = {"simulate",       file("bids"), "--preset", "demo",
                                         "--participants", "14",         "--seed",   "5"};
#if EPVS_HAS_ITK
    run(simulate);
    run({"prepare", file("bids"), file("cohort.h5"), "--preset", "p2", "--regions", "bg", "--lut",
         "freesurfer", "--labels",
         file("bids/derivatives/labels/{participant_id}/anat/{participant_id}_dseg.nii.gz"),
         "--spacing-mm", "2,2,2", "--crop-voxels", "44,36,28", "--dilation-voxels", "1",
         "--sigma-voxels", "1"});
#else
    simulate.insert(simulate.end(), {"--cohort", file("cohort.h5"), "--prepare", "spacing_mm=2,2,2",
                                     "--prepare", "crop_voxels=44,36,28", "--prepare",
                                     "dilation_voxels=1", "--prepare", "sigma_voxels=1"});
    run(simulate);
#endif
  }

  tests::TemporaryFolder folder_;
};

TEST_F(Pipeline, FromPhantomToMetrics) {
  simulate_and_prepare();
  EXPECT_NE(run({"inspect", file("cohort.h5")}).out.find("14"), std::string::npos);
  run({"split", file("bids/participants.tsv"), "--out", file("splits.tsv"), "--test", "8",
       "--validation", "2", "--seed", "1"});
  run({"train",     tests::source_folder() / "experiments/recipes/demo/gp_unet.toml",
       "--cohort",  file("cohort.h5"),
       "--scores",  file("bids/phenotype/visual_scores.tsv"),
       "--target",  "rater1",
       "--splits",  file("splits.tsv"),
       "--out",     file("run"),
       "--set",     "train.epochs=2",
       "--set",     "network.first_features=4",
       "--seed",    "1",
       "--threads", "1"});
  for (const char* name : {"run/recipe.toml", "run/provenance.json", "run/log.txt",
                           "run/training.tsv", "run/weights.safetensors"}) {
    EXPECT_TRUE(fs::exists(file(name))) << name;
  }
  EXPECT_EQ(core::Table::read(file("run/training.tsv")).rows(), 2U);

  run({"infer", "--run", file("run"), "--cohort", file("cohort.h5"), "--splits", file("splits.tsv"),
       "--split", "test", "--scorer", "net", "--out", file("net.tsv"), "--maps", "attention",
       "--maps-dir", file("maps"), "--threads", "1"});
  const auto held_out =
      core::Splits::read(file("splits.tsv")).participants(0, 0, core::Split::kTest);
  const core::ScoresTable scores = core::ScoresTable::read(file("net.tsv"), {"net"});
  std::set<std::string> scored;
  for (const core::ScoreKey& key : scores.keys) scored.insert(key.participant_id);
  EXPECT_EQ(scored, std::set<std::string>(held_out.begin(), held_out.end()));
  for (const auto& values : scores.values) EXPECT_TRUE(std::isfinite(values[0]));
#if EPVS_HAS_ITK
  // Attention maps overlay the scans: same size, same affine.
  std::size_t maps = 0;
  for (const auto& entry : fs::recursive_directory_iterator(file("maps"))) {
    const std::string name = entry.path().filename().string();
    if (name.find("_desc-attention_epvs.nii.gz") == std::string::npos) continue;
    ++maps;
    const std::string participant = name.substr(0, name.find('_'));
    const data::ScanHeader scan =
        data::read_header(file("bids/" + participant + "/anat/" + participant + "_T2w.nii.gz"));
    const data::ScanHeader map = data::read_header(entry.path());
    EXPECT_EQ(map.geometry.shape, scan.geometry.shape);
    EXPECT_EQ(map.geometry.affine, scan.geometry.affine);
  }
  EXPECT_EQ(maps, held_out.size());
#endif

  const auto eval = run({"eval", "--scores", file("bids/phenotype/visual_scores.tsv"), "--scores",
                         file("net.tsv"), "--reference", "rater1", "--splits", file("splits.tsv"),
                         "--split", "test", "--participants", file("bids/participants.tsv"),
                         "--group-by", "scanner", "--out", file("eval")});
  EXPECT_NE(eval.out.find("net"), std::string::npos);
  const core::Table metrics = core::Table::read(file("eval/metrics.tsv"));
  std::set<std::string> found;
  for (std::size_t row = 0; row < metrics.rows(); ++row) {
    if (metrics.cell(row, "group") == "all" && metrics.cell(row, "scorer") == "net" &&
        metrics.cell(row, "reference") == "rater1") {
      EXPECT_EQ(metrics.cell(row, "n"), "8");
      found.insert(metrics.cell(row, "metric"));
    }
  }
  for (const char* metric : {"pearson", "spearman", "icc1", "icc2", "icc3", "mse", "mae", "bias"}) {
    EXPECT_EQ(found.count(metric), 1U) << metric;
  }
  const core::Table comparisons = core::Table::read(file("eval/comparisons.tsv"));
  EXPECT_GE(comparisons.rows(), 1U);
  EXPECT_EQ(core::read_json(file("net.json"))["command"], "infer");

  // Nothing is overwritten without --force.
  const auto again = tests::run_epvs(
      {"infer", "--run", file("run"), "--cohort", file("cohort.h5"), "--out", file("net.tsv")});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find("--force"), std::string::npos);
}

}  // namespace
}  // namespace epvs
