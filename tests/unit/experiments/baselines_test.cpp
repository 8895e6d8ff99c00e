#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/json.h"
#include "core/random.h"
#include "experiments/baselines/bright_voxels.h"
#include "experiments/baselines/sift_forest.h"
#include "experiments/baselines/vesselness.h"
#include "tests/support/test_support.h"

namespace epvs::experiments {
namespace {

using tests::expect_error;

TEST(BrightVoxels, CountsEqualThoseOfScipy) {
  const core::Json golden = core::read_json(tests::golden("experiments/components.json"));
  const auto values = golden["values"].get<std::vector<float>>();
  const auto shape = golden["shape_xyz"].get<data::Shape>();
  const auto thresholds = golden["thresholds"].get<std::vector<float>>();
  EXPECT_EQ(components_above(values, shape, thresholds),
            golden["components"].get<std::vector<double>>());
  EXPECT_EQ(voxels_above(values, thresholds), golden["voxels"].get<std::vector<double>>());
  EXPECT_TRUE(components_above(values, shape, {}).empty());
}

TEST(BrightVoxels, ComponentsDoNotReachAroundTheEdges) {
  // The last voxel of a row and the first of the next are neighbours in memory alone.
  const std::vector<float> values = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
  EXPECT_EQ(components_above(values, {4, 4, 1}, std::vector<float>{0.5F}).front(), 2);
  EXPECT_EQ(components_above(values, {4, 2, 2}, std::vector<float>{0.5F}).front(), 2);
}

TEST(BrightVoxels, TheNormalisationIsTakenBack) {
  data::CohortRow row;
  row.intensity_offset = 100;
  row.intensity_scale = 1.0 / 400;
  const std::vector<float> soft = {1, 0.5F, 0, 0.25F};
  const std::vector<float> scan = {300, 500, 900, 100};
  std::vector<float> roi;
  std::vector<float> expected;
  for (std::size_t i = 0; i < soft.size(); ++i) {
    roi.push_back(soft[i] * (scan[i] - 100) / 400);
    expected.push_back(soft[i] * scan[i]);
  }
  const std::vector<float> result = unnormalised_roi(row, roi, soft);
  for (std::size_t i = 0; i < soft.size(); ++i) EXPECT_NEAR(result[i], expected[i], 1e-4);
  EXPECT_NEAR(mean_intensity(roi, soft), (0.5 + 0.5 + 0) / 3, 1e-7);
  EXPECT_EQ(mean_intensity({1, 2}, {0, 0}), 0);
}

TEST(BrightVoxels, CandidatesReachFromTheMedianToTheBrightest) {
  std::vector<float> sample;
  for (int i = 0; i <= 100'000; ++i) sample.push_back(static_cast<float>((i * 7919) % 100'001));
  const std::vector<float> thresholds = candidate_thresholds(sample);
  EXPECT_EQ(thresholds.size(), 64U);
  EXPECT_EQ(thresholds.front(), 50'000);
  EXPECT_EQ(thresholds.back(), 99'990);
  EXPECT_TRUE(std::ranges::is_sorted(thresholds));
  expect_error<core::InputError>([] { candidate_thresholds({2, 2, 2}); }, {"no threshold"});
}

TEST(BrightVoxels, TheThresholdThatFollowsTheLabelsIsChosen) {
  const std::vector<double> labels = {1, 2, 3, 4};
  const TunedThreshold best =
      tune_threshold({{7, 9, 1, 0}, {7, 7, 2, 0}, {7, 5, 3, 1}, {7, 3, 5, 0}}, labels);
  EXPECT_EQ(best.index, 2U) << "not the one with r = -1";
  EXPECT_NEAR(best.pearson, 6.5 / std::sqrt(5 * 8.75), 1e-12);
  expect_error<core::InputError>(
      [&] {
        tune_threshold({{7}, {7}, {7}, {7}}, labels);
      },
      {"constant"});
}

/// Spots of 2 voxels' radius at known places on a noisy slice.
SliceStack spots(std::size_t scan, int count) {
  constexpr int kSize = 64;
  core::Random random(core::mix_seed(5, {scan}));
  SliceStack stack{kSize, kSize, {}};
  for (int slice = 0; slice < 3; ++slice) {
    std::vector<double> values(kSize * kSize, 60);
    for (double& value : values) value += random.normal(0, 2);
    for (int spot = 0; spot < count; ++spot) {
      const double cx = random.uniform(8, kSize - 8);
      const double cy = random.uniform(8, kSize - 8);
      for (int y = 0; y < kSize; ++y) {
        for (int x = 0; x < kSize; ++x) {
          const double d2 = (x - cx) * (x - cx) + (y - cy) * (y - cy);
          values[static_cast<std::size_t>(y * kSize + x)] += 120 * std::exp(-d2 / 4);
        }
      }
    }
    std::vector<std::uint8_t>& pixels = stack.slices.emplace_back();
    for (const double value : values) {
      pixels.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)));
    }
  }
  return stack;
}

class SiftForest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_sift_forest()) EPVS_SKIP_WITHOUT("opencv", "this build has no OpenCV");
  }
  static int count_of(std::size_t scan) { return static_cast<int>(scan * 5 % 13); }
};

TEST_F(SiftForest, CountsSpotsInScansItHasNotSeenWithAnyNumberOfThreads) {
  std::vector<std::size_t> training;
  std::vector<double> labels;
  for (std::size_t scan = 0; scan < 40; ++scan) {
    training.push_back(scan);
    labels.push_back(count_of(scan));
  }
  const SiftForestOptions options{3, 8, 60, 25};
  const auto score = [&](std::uint64_t seed, int threads) {
    return score_by_sift_forest(
        60, [](std::size_t scan) { return spots(scan, count_of(scan)); }, training, labels, options,
        seed, threads);
  };
  const std::vector<double> scores = score(1, 1);
  double error = 0;
  double spread = 0;
  for (std::size_t scan = 40; scan < 60; ++scan) {
    error += std::pow(scores[scan] - count_of(scan), 2);
    spread += std::pow(6 - count_of(scan), 2);
  }
  EXPECT_LT(error, 0.25 * spread);
  EXPECT_EQ(scores, score(1, 3));
  EXPECT_NE(scores, score(2, 1));
}

TEST_F(SiftForest, SlicesWithoutKeypointsAreAnError) {
  const auto flat = [](std::size_t) {
    return SliceStack{16, 16, {3, std::vector<std::uint8_t>(256, 9)}};
  };
  expect_error<core::InputError>(
      [&] {
        score_by_sift_forest(3, flat, {0, 1}, {1, 2}, {3, 8, 5, 25}, 1, 1);
      },
      {"no training scan has a SIFT keypoint", "leave out"});
}

TEST(Vesselness, ABrightTubeStandsOutAndADarkTubeAPlateAndABallDoNot) {
  if (!has_vesselness()) GTEST_SKIP() << "this build has no ITK";
  const auto respond = [&](const std::function<double(double, double, double)>& brightness) {
    std::vector<float> values;
    for (int z = 0; z < 40; ++z) {
      for (int y = 0; y < 40; ++y) {
        for (int x = 0; x < 40; ++x) {
          values.push_back(static_cast<float>(brightness(x - 20, y - 20, z - 20)));
        }
      }
    }
    return vesselness(values, {40, 40, 40}, {0.5, 0.5, 0.5})[(20 * 40 + 20) * 40 + 20];
  };
  const auto blob = [](double squared) { return std::exp(-squared / 8); };
  const float tube =
      respond([&](double x, double y, double) { return 0.3 + 0.3 * blob(x * x + y * y); });
  EXPECT_GT(tube, 0.1);
  EXPECT_EQ(respond([&](double x, double y, double) { return 0.6 - 0.3 * blob(x * x + y * y); }),
            0);
  EXPECT_LT(respond([&](double x, double, double) { return 0.3 + 0.3 * blob(x * x); }), 0.1 * tube);
  EXPECT_LT(respond([&](double x, double y, double z) {
              return 0.3 + 0.3 * blob(x * x + y * y + z * z);
            }),
            0.6 * tube);
}

}  // namespace
}  // namespace epvs::experiments
