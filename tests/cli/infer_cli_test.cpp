// `epvs infer` through the real executable, and the ensemble behind it.
#include <algorithm>
#include <cmath>

#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "data/formats/nifti.h"
#include "infer/ensemble.h"
#include "infer/map_writer.h"
#include "tests/cli/infer_fixture.h"
#include "tests/support/damaged_cohort.h"
#include "tests/support/test_support.h"

namespace epvs::infer {
namespace {

using tests::run_epvs;
using tests::TemporaryFolder;

class Infer : public ::testing::Test {
 protected:
  Infer() {
    tests::write_cohort(folder_ / "c.h5", folder_ / "scan.nii.gz");
    tests::write_weights(folder_ / "w.safetensors", tests::small_network(), 1);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// epvs infer --cohort c.h5 --out scores.tsv --threads 1 --device cpu, then `more`.
  tests::CommandResult infer(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"infer", "--cohort", path("c.h5"), "--threads", "1"};
    const auto add_unless_given = [&](const std::string& option, const std::string& value) {
      if (std::find(more.begin(), more.end(), option) != more.end()) return;
      arguments.insert(arguments.end(), {option, value});
    };
    add_unless_given("--out", path("scores.tsv"));
    add_unless_given("--device", "cpu");
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_epvs(arguments);
  }
  void expect_failure(int exit_code, const std::vector<std::string>& more,
                      const std::vector<std::string>& texts) const {
    const auto result = infer(more);
    tests::expect_result(result, exit_code, texts);
  }

  TemporaryFolder folder_;
};

TEST_F(Infer, ScoresEqualTheForwardPassOfTheNetwork) {
  const auto result = infer({"--weights", path("w.safetensors"), "--batch", "3"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table table = core::Table::read(path("scores.tsv"));
  EXPECT_EQ(table.columns(), (std::vector<std::string>{"participant_id", "region", "gp_unet"}));
  ASSERT_EQ(table.rows(), 4U);
  const data::CohortReader cohort(path("c.h5"));
  for (std::size_t row = 0; row < 4; ++row) {
    EXPECT_EQ(table.cell(row, "participant_id"), cohort.rows("bg")[row].participant_id);
    EXPECT_EQ(table.cell(row, "region"), "bg");
    const double expected = tests::score_of(path("w.safetensors"), cohort.read_roi("bg", row));
    EXPECT_NEAR(table.number(row, "gp_unet"), expected, 1e-4 * std::abs(expected));
  }
  const core::Json sidecar = core::read_json(path("scores.json"));
  EXPECT_EQ(sidecar["inputs"][0]["sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(sidecar["cohort"]["fingerprint"], cohort.fingerprint());
  EXPECT_EQ(sidecar["device"], "cpu");
  EXPECT_EQ(sidecar["networks"][0]["target"], "rater1");
}

TEST_F(Infer, Bf16IsNearFloat32) {
  ASSERT_EQ(infer({"--weights", path("w.safetensors")}).exit_code, 0);
  const auto result =
      infer({"--weights", path("w.safetensors"), "--precision", "bf16", "--out", path("bf16.tsv")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const core::Table exact = core::Table::read(path("scores.tsv"));
  const core::Table rough = core::Table::read(path("bf16.tsv"));
  bool differs = false;
  for (std::size_t row = 0; row < exact.rows(); ++row) {
    const double score = exact.number(row, "gp_unet");
    EXPECT_NEAR(rough.number(row, "gp_unet"), score, 0.02 * std::abs(score) + 0.01);
    differs = differs || rough.number(row, "gp_unet") != score;
  }
  EXPECT_TRUE(differs) << "bf16 was not used";
  EXPECT_EQ(core::read_json(path("bf16.json"))["precision"], "bf16");
  const auto fastest =
      infer({"--weights", path("w.safetensors"), "--precision", "auto", "--out", path("auto.tsv")});
  ASSERT_EQ(fastest.exit_code, 0) << fastest.err;
  const auto taken = core::read_json(path("auto.json"))["precision"].get<std::string>();
  EXPECT_NE(fastest.err.find("thread(s), " + taken), std::string::npos) << fastest.err;
  EXPECT_EQ(core::read_text(path("auto.tsv")),
            core::read_text(path(taken == "bf16" ? "bf16.tsv" : "scores.tsv")));
  expect_failure(2, {"--weights", path("w.safetensors"), "--precision", "bf61"}, {"bf61"});
}

TEST_F(Infer, TheProfileCoversTheTime) {
  const auto result = infer({"--weights", path("w.safetensors"), "--maps", "attention,saliency",
                             "--maps-dir", path("maps"), "--profile"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("profile of 4 scans"), std::string::npos) << result.err;
  const core::Json profile = core::read_json(path("scores.json")).at("profile");
  std::vector<std::string> names;
  double seconds = 0;
  for (const core::Json& part : profile.at("parts")) {
    names.push_back(part.at("part"));
    seconds += part.at("seconds").get<double>();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"reading", "forward", "attention", "saliency",
                                             "writing", "other"}));
  EXPECT_NEAR(seconds, profile.at("seconds").get<double>(), 1e-6);
  ASSERT_EQ(infer({"--weights", path("w.safetensors"), "--force"}).exit_code, 0);
  EXPECT_FALSE(core::read_json(path("scores.json")).contains("profile"));
}

TEST_F(Infer, SeveralWeightsGiveMeanAndStandardDeviation) {
  std::filesystem::create_directory(folder_ / "run");
  tests::write_weights(folder_ / "run" / "weights.safetensors", tests::small_network(), 2);
  tests::write_weights(folder_ / "v.safetensors", tests::small_network(), 3);
  ASSERT_EQ(infer({"--weights", path("w.safetensors"), path("v.safetensors"), "--run", path("run"),
                   "--scorer", "trio"})
                .exit_code,
            0);
  const core::Table table = core::Table::read(path("scores.tsv"));
  const data::CohortReader cohort(path("c.h5"));
  for (std::size_t row = 0; row < 4; ++row) {
    const std::vector<float> volume = cohort.read_roi("bg", row);
    const double a = tests::score_of(path("w.safetensors"), volume);
    const double b = tests::score_of(path("v.safetensors"), volume);
    const double c = tests::score_of(path("run/weights.safetensors"), volume);
    const double mean = (a + b + c) / 3;
    const double sd =
        std::sqrt((std::pow(a - mean, 2) + std::pow(b - mean, 2) + std::pow(c - mean, 2)) / 2);
    EXPECT_NEAR(table.number(row, "trio"), mean, 1e-4 * std::abs(mean));
    EXPECT_NEAR(table.number(row, "trio_sd"), sd, 1e-3 * sd + 1e-5);
    EXPECT_GT(sd, 0.01);
  }
}

TEST_F(Infer, SplitsAreScoredAndAMissingParticipantIsAnError) {
  core::write_text(path("splits.tsv"),
                   "repeat\tfold\tparticipant_id\tsplit\n"
                   "0\t1\tsub-03\ttest\n0\t1\tsub-01\ttest\n0\t1\tsub-02\ttrain\n"
                   "0\t0\tsub-09\ttest\n0\t0\tsub-04\ttest\n0\t0\tsub-02\ttrain\n");
  const std::vector<std::string> base = {"--weights", path("w.safetensors"), "--splits",
                                         path("splits.tsv")};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return more;
  };
  ASSERT_EQ(infer(with({"--fold", "1"})).exit_code, 0);
  core::Table table = core::Table::read(path("scores.tsv"));
  EXPECT_EQ(table.columns(),
            (std::vector<std::string>{"participant_id", "region", "fold", "repeat", "gp_unet"}));
  ASSERT_EQ(table.rows(), 2U);
  EXPECT_EQ(table.cell(0, "participant_id"), "sub-01");
  EXPECT_EQ(table.cell(1, "participant_id"), "sub-03");
  EXPECT_EQ(table.cell(1, "fold"), "1");

  // Several splits: what eval --calibrate-on validation needs beside the test scans.
  ASSERT_EQ(infer(with({"--fold", "1", "--split", "train,test", "--force"})).exit_code, 0);
  table = core::Table::read(path("scores.tsv"));
  ASSERT_EQ(table.rows(), 3U);
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_LE(table.cell(row, "gp_unet").size(), 13U) << "more digits than a float has";
  }

  expect_failure(4, with({"--force"}), {"1 of 2", "sub-09", "failed.tsv"});
  table = core::Table::read(path("scores.tsv"));
  ASSERT_EQ(table.rows(), 2U);
  EXPECT_EQ(table.cell(0, "participant_id"), "sub-04");
  EXPECT_TRUE(table.missing(1, table.index("gp_unet")));
  EXPECT_EQ(core::Table::read(path("failed.tsv")).cell(0, "participant_id"), "sub-09");
  expect_failure(3, with({"--force", "--fold", "7"}), {"fold"});
}

TEST_F(Infer, OneBadScanDoesNotStopTheOthers) {
  tests::CohortPlan plan;
  plan.session = "ses-2";
  tests::write_cohort(folder_ / "bad.h5", folder_ / "scan.nii.gz", plan);
  tests::put_nan(folder_ / "bad.h5", "bg", 1);
  for (const char* batch : {"1", "4"}) {
    const auto result =
        run_epvs({"infer", "--cohort", path("bad.h5"), "--weights", path("w.safetensors"), "--out",
                  path("scores.tsv"), "--batch", batch, "--force", "--threads", "1"});
    EXPECT_EQ(result.exit_code, 4) << result.err;
    EXPECT_NE(result.err.find("not finite"), std::string::npos);
    const core::Table table = core::Table::read(path("scores.tsv"));
    ASSERT_EQ(table.rows(), 4U);
    for (std::size_t row = 0; row < 4; ++row) {
      EXPECT_EQ(table.missing(row, table.index("gp_unet")), row == 1) << row;
      EXPECT_EQ(table.cell(row, "session_id"), "ses-2");
    }
    EXPECT_EQ(core::Table::read(path("failed.tsv")).cell(0, "participant_id"), "sub-02");
  }
  plan.participants = {"sub-01"};
  tests::write_cohort(folder_ / "worse.h5", folder_ / "scan.nii.gz", plan);
  tests::put_nan(folder_ / "worse.h5", "bg", 0);
  EXPECT_EQ(run_epvs({"infer", "--cohort", path("worse.h5"), "--weights", path("w.safetensors"),
                      "--out", path("scores.tsv"), "--force"})
                .exit_code,
            3);
}

TEST_F(Infer, AttentionIdentityHoldsThroughTheFileOnTheNetworksGrid) {
  ASSERT_EQ(infer({"--weights", path("w.safetensors"), "--maps", "attention", "--maps-dir",
                   path("maps"), "--maps-grid", "network"})
                .exit_code,
            0);
  const core::Table table = core::Table::read(path("scores.tsv"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string stem = path("maps/" + table.cell(row, "participant_id") +
                                  "_space-roi_label-bg_desc-attention_epvs");
    const data::Scan map = data::read_scan(stem + ".nii.gz");
    EXPECT_EQ(map.image.geometry.shape, (data::Shape{12, 10, 8}));
    const core::Json sidecar = core::read_json(stem + ".json");
    double sum = 0;
    for (const float v : map.image.voxels) sum += v;
    const double mean = sum / static_cast<double>(map.image.voxels.size());
    const double score = table.number(row, "gp_unet");
    EXPECT_EQ(sidecar["pool_scale"], 5.0);
    EXPECT_EQ(sidecar["bias"], 3.0);
    EXPECT_EQ(sidecar["identity_holds_on_network_grid"], true);
    // Relative to the terms: the score of one scan is nearly zero, the sum of 3 and almost -3.
    EXPECT_NEAR(5.0 * mean + 3.0, score, 1e-5 * (std::abs(5.0 * mean) + 3.0));
    EXPECT_GT(std::abs(score - 3.0), 1e-2);
  }
}

TEST_F(Infer, MapsHaveTheGeometryOfTheScanAndTheValuesOfTheNetworksGrid) {
  const std::vector<std::string> base = {"--weights",          path("w.safetensors"), "--maps",
                                         "attention,saliency", "--maps-dir",          path("maps")};
  std::vector<std::string> source = base;
  source.insert(source.end(), {"--out", path("a.tsv")});
  std::vector<std::string> network = base;
  network.insert(network.end(), {"--maps-grid", "network", "--out", path("b.tsv")});
  ASSERT_EQ(infer(source).exit_code, 0);
  ASSERT_EQ(infer(network).exit_code, 0);
  const data::ScanHeader scan = data::read_header(path("scan.nii.gz"));
  for (const char* kind : {"attention", "saliency"}) {
    const std::string rest = std::string("label-bg_desc-") + kind + "_epvs.nii.gz";
    const data::Scan on_scan = data::read_scan(path("maps/sub-02_" + rest));
    const data::Scan on_roi = data::read_scan(path("maps/sub-02_space-roi_" + rest));
    EXPECT_EQ(on_scan.header.geometry.shape, scan.geometry.shape);
    EXPECT_TRUE(on_scan.header.sform.isApprox(scan.sform, 0));
    EXPECT_TRUE(on_scan.header.qform.isApprox(scan.qform, 0));
    EXPECT_EQ(on_scan.header.sform_code, scan.sform_code);
    EXPECT_EQ(on_scan.header.qform_code, scan.qform_code);
    double largest = 0;
    for (std::int64_t z = 0; z < 10; ++z) {
      for (std::int64_t y = 0; y < 18; ++y) {
        for (std::int64_t x = 0; x < 20; ++x) {
          const bool inside = x >= 3 && x < 15 && y >= 2 && y < 12 && z >= 1 && z < 9;
          const float expected = inside ? on_roi.image.at(x - 3, y - 2, z - 1) : 0.0F;
          largest = std::max(largest, static_cast<double>(std::abs(expected)));
          ASSERT_NEAR(on_scan.image.at(x, y, z), expected, 1e-4) << x << " " << y << " " << z;
        }
      }
    }
    EXPECT_GT(largest, 1e-3) << kind;
  }
  EXPECT_EQ(core::read_json(path("maps/dataset_description.json"))["GeneratedBy"][0]["Name"],
            "epvs");
  source.back() = path("c.tsv");
  expect_failure(2, source, {"--force", "sub-01_label-bg_desc-attention"});
}

TEST_F(Infer, SaliencyEqualsFiniteDifferences) {
  for (const auto architecture : {models::Architecture::kGpUnet, models::Architecture::kMedia2019,
                                  models::Architecture::kCnn4}) {
    tests::write_weights(folder_ / "d.safetensors", tests::small_network(architecture), 5, true);
    const Ensemble ensemble({folder_ / "d.safetensors"}, "cpu", 1);
    const data::CohortReader cohort(path("c.h5"));
    InferenceRequest request;
    request.region = "bg";
    request.rows = {2};
    request.saliency = true;
    std::vector<float> saliency;
    ensemble.run(
        cohort, request, [&](const InferenceResult& r) { saliency = r.saliency; },
        [](std::size_t, const std::string& reason) { ADD_FAILURE() << reason; });
    const std::vector<float> volume = cohort.read_roi("bg", 2);
    ASSERT_EQ(saliency.size(), volume.size());
    int smooth = 0;
    for (std::size_t i = 5; i < volume.size(); i += 97) {
      const auto moved = [&](float step) {
        std::vector<float> v = volume;
        v[i] += step;
        return tests::score_of(path("d.safetensors"), v);
      };
      // Exactly representable steps; a ReLU or maximum between them makes the two sides differ.
      const float step = 1.0F / 4096;
      const double left = (moved(0) - moved(-step)) / step;
      const double right = (moved(step) - moved(0)) / step;
      if (std::abs(left - right) > 1e-3 * std::abs(left)) continue;
      ++smooth;
      EXPECT_NEAR(saliency[i], (left + right) / 2, 2e-3 * std::abs(left) + 1e-6)
          << core::to_text(architecture);
    }
    EXPECT_GE(smooth, 4) << core::to_text(architecture);
  }
}

TEST_F(Infer, TestTimeFlipsMakeTheScoreInvariant) {
  tests::CohortPlan plan;
  plan.second_is_flipped = true;
  tests::write_cohort(folder_ / "f.h5", folder_ / "scan.nii.gz", plan);
  const auto difference = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--cohort", path("f.h5"), "--weights", path("w.safetensors"), "--out",
                             path("f.tsv"), "--force", "--threads", "1"});
    more.insert(more.begin(), "infer");
    EXPECT_EQ(run_epvs(more).exit_code, 0);
    const core::Table table = core::Table::read(path("f.tsv"));
    return std::abs(table.number(0, "gp_unet") - table.number(1, "gp_unet"));
  };
  EXPECT_LT(difference({"--flip-axes", "x"}), 1e-4);
  EXPECT_LT(difference({"--flip-axes", "x,z"}), 1e-4);
  EXPECT_GT(difference({}), 1e-3);
  EXPECT_GT(difference({"--flip-axes", "y"}), 1e-3);
}

/// A volume of 12 x 10 x 8 voxels, x fastest, turned round along the axes named.
std::vector<float> turned(const std::vector<float>& volume, const std::string& axes) {
  std::vector<float> out(volume.size());
  const auto at = [&](const char axis, std::size_t i, std::size_t n) {
    return axes.find(axis) == std::string::npos ? i : n - 1 - i;
  };
  for (std::size_t i = 0; i < volume.size(); ++i) {
    const std::size_t x = i % 12, y = i / 12 % 10, z = i / 120;
    out[i] = volume[(at('z', z, 8) * 10 + at('y', y, 10)) * 12 + at('x', x, 12)];
  }
  return out;
}

TEST_F(Infer, MapsOfAnEnsembleWithFlipsBelongToItsScore) {
  // Networks that differ in scale and bias; the score is the mean over both and all four flips.
  std::vector<std::filesystem::path> files;
  for (const std::uint64_t seed : {5, 6}) {
    models::NetworkOptions options = tests::small_network();
    options.pool_scale = static_cast<double>(seed);
    options.bias_init = -static_cast<double>(seed);
    files.push_back(folder_ / (std::to_string(seed) + ".safetensors"));
    tests::write_weights(files.back(), options, seed, true);
  }
  const auto score = [&](const std::vector<float>& volume) {
    double sum = 0;
    for (const std::filesystem::path& file : files) {
      for (const char* axes : {"", "x", "z", "xz"})
        sum += tests::score_of(file, turned(volume, axes));
    }
    return sum / 8;
  };
  const Ensemble ensemble(files, "cpu", 1);
  const data::CohortReader cohort(path("c.h5"));
  InferenceRequest request;
  request.region = "bg";
  request.rows = {1};
  request.attention = true;
  request.saliency = true;
  request.flip_axes = {FlipAxis::kX, FlipAxis::kZ};
  InferenceResult result;
  ensemble.run(
      cohort, request, [&](const InferenceResult& r) { result = r; },
      [](std::size_t, const std::string& reason) { ADD_FAILURE() << reason; });
  const std::vector<float> volume = cohort.read_roi("bg", 1);
  EXPECT_NEAR(result.score, score(volume), 1e-10);

  double mean = 0;
  for (const float v : result.attention) mean += v;
  mean /= static_cast<double>(result.attention.size());
  EXPECT_TRUE(ensemble.identity_holds());
  EXPECT_NEAR(ensemble.identity_scale() * mean + ensemble.identity_bias(), result.score, 1e-5);
  int smooth = 0;
  for (std::size_t i = 7; i < volume.size(); i += 131) {
    const auto moved = [&](float step) {
      std::vector<float> v = volume;
      v[i] += step;
      return score(v);
    };
    const float step = 1.0F / 4096;
    const double left = (moved(0) - moved(-step)) / step;
    const double right = (moved(step) - moved(0)) / step;
    if (std::abs(left - right) > 1e-3 * std::abs(left)) continue;
    ++smooth;
    EXPECT_NEAR(result.saliency[i], (left + right) / 2, 2e-3 * std::abs(left) + 1e-6);
  }
  EXPECT_GE(smooth, 3);
}

TEST_F(Infer, MapsWithFlipsAreTurnedBackBeforeTheyAreAveraged) {
  tests::CohortPlan plan;
  plan.second_is_flipped = true;  // sub-02 is sub-01, flipped along x
  tests::write_cohort(folder_ / "f.h5", folder_ / "scan.nii.gz", plan);
  const data::CohortReader cohort(path("f.h5"));
  const Ensemble ensemble({folder_ / "w.safetensors"}, "cpu", 1);
  struct Maps {
    std::vector<float> attention, saliency;
  };
  const auto maps_of = [&](std::size_t row, const std::vector<FlipAxis>& flips) {
    InferenceRequest request;
    request.region = "bg";
    request.rows = {row};
    request.attention = request.saliency = true;
    request.flip_axes = flips;
    Maps maps;
    ensemble.run(
        cohort, request,
        [&](const InferenceResult& r) {
          maps = {r.attention, r.saliency};
        },
        [](std::size_t, const std::string& reason) { ADD_FAILURE() << reason; });
    return maps;
  };
  const Maps plain = maps_of(0, {}), mirrored = maps_of(1, {}), both = maps_of(0, {FlipAxis::kX});
  const auto expect_mean = [](const std::vector<float>& mean, const std::vector<float>& a,
                              const std::vector<float>& b) {
    const std::vector<float> back = turned(b, "x");
    double wrong = 0;  // if the second were not turned back
    for (std::size_t i = 0; i < mean.size(); ++i) {
      EXPECT_NEAR(mean[i], (a[i] + back[i]) / 2, 1e-5);
      wrong = std::max<double>(wrong, std::abs(mean[i] - (a[i] + b[i]) / 2));
    }
    EXPECT_GT(wrong, 1e-3);
  };
  expect_mean(both.attention, plain.attention, mirrored.attention);
  expect_mean(both.saliency, plain.saliency, mirrored.saliency);
}

TEST_F(Infer, DetectionsAreTheHighestMaximaInTheCoordinatesOfTheScan) {
  // Weights whose map is positive on average: score > bias.
  const std::vector<float> first = data::CohortReader(path("c.h5")).read_roi("bg", 0);
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    tests::write_weights(folder_ / "p.safetensors", tests::small_network(), seed);
    if (tests::score_of(path("p.safetensors"), first) > 4) break;
  }
  ASSERT_EQ(infer({"--weights", path("p.safetensors"), "--maps", "attention", "--maps-dir",
                   path("maps"), "--detections", path("found"), "--detection-radius", "1"})
                .exit_code,
            0);
  const core::Table scores = core::Table::read(path("scores.tsv"));
  const data::Scan map = data::read_scan(path("maps/sub-01_label-bg_desc-attention_epvs.nii.gz"));
  const core::Table found =
      core::Table::read(path("found/sub-01_label-bg_desc-detections_epvs.tsv"));
  EXPECT_LE(found.rows(), detection_count(scores.number(0, "gp_unet")));
  float highest = 0;
  for (const float v : map.image.voxels) highest = std::max(highest, v);
  ASSERT_GE(found.rows(), 1U);
  EXPECT_FLOAT_EQ(static_cast<float>(found.number(0, "weight")), highest);
  for (std::size_t row = 0; row < found.rows(); ++row) {
    const Eigen::Vector3d voxel(found.number(row, "x_voxel"), found.number(row, "y_voxel"),
                                found.number(row, "z_voxel"));
    const Eigen::Vector3d world = map.image.geometry.to_world(voxel);
    EXPECT_NEAR(world[0], found.number(row, "x"), 1e-3);
    EXPECT_NEAR(world[1], found.number(row, "y"), 1e-3);
    EXPECT_NEAR(world[2], found.number(row, "z"), 1e-3);
    EXPECT_NEAR(map.image.at(std::lround(voxel[0]), std::lround(voxel[1]), std::lround(voxel[2])),
                found.number(row, "weight"), 1e-4);
  }
}

TEST_F(Infer, RefusesWeightsThatDoNotFitTheCohort) {
  data::PreprocessingOptions other = tests::small_preprocessing();
  other.spacing_mm = {0.5, 0.5, 0.5};
  other.normalisation = data::Normalisation::kMax;
  tests::write_weights(folder_ / "o.safetensors", tests::small_network(), 1, false, other);
  expect_failure(3, {"--weights", path("o.safetensors")},
                 {"spacing_mm", "0.8", "0.5", "normalisation", "max", "minmax", "--like"});
  EXPECT_FALSE(std::filesystem::exists(path("scores.tsv")));
  other = tests::small_preprocessing();
  other.label_source = "atlas";
  tests::write_weights(folder_ / "l.safetensors", tests::small_network(), 1, false, other);
  const auto result = infer({"--weights", path("l.safetensors")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("'freesurfer', the network was trained on 'atlas'"), std::string::npos)
      << result.err;
}

TEST_F(Infer, WrongUsageIsNamed) {
  const std::string w = path("w.safetensors");
  expect_failure(2, {}, {"--run", "--weights"});
  expect_failure(2, {"--weights", w, "--maps", "attention"}, {"--maps-dir"});
  expect_failure(2, {"--weights", w, "--maps-dir", path("m")}, {"without --maps"});
  expect_failure(2, {"--weights", w, "--fold", "1"}, {"--fold", "--splits"});
  expect_failure(2, {"--weights", w, "--scorer", "fold"}, {"key column"});
  expect_failure(2, {"--weights", w, "--flip-axes", "x,x"}, {"twice"});
  expect_failure(3, {"--weights", w, "--region", "midbrain"}, {"midbrain", "bg"});
  expect_failure(2, {"--weights", w, "--device", "cuda:99"}, {"cuda:99", "not there"});
  expect_failure(2, {"--weights", w, "--device", "gpu"}, {"gpu", "auto, cpu, cuda"});
  expect_failure(3, {"--weights", path("absent.safetensors")}, {"absent.safetensors"});
  expect_failure(3, {"--run", folder_.path().string()}, {"weights.safetensors"});
  tests::write_weights(folder_ / "m.safetensors", tests::small_network(models::Architecture::kCnn4),
                       1);
  expect_failure(
      2, {"--weights", path("m.safetensors"), "--maps", "attention", "--maps-dir", path("m")},
      {"cnn4", "saliency"});
  core::write_text(path("scores.tsv"), "mine");
  expect_failure(2, {"--weights", w}, {"scores.tsv", "--force"});
  EXPECT_EQ(core::read_text(path("scores.tsv")), "mine");
  EXPECT_EQ(infer({"--weights", w, "--force", "--dry-run"}).exit_code, 0);
  EXPECT_EQ(core::read_text(path("scores.tsv")), "mine");
}

}  // namespace
}  // namespace epvs::infer
