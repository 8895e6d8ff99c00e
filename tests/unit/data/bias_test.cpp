// N4 on a head whose bias field is known.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "data/cohort/preprocessing.h"
#include "data/prepare/prepare_options.h"
#include "data/prepare/prepare_scan.h"
#include "data/prepare/registration/bias.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::centred_grid;
using tests::expect_error;
using tests::scan_head;

/// A coil above the right temple: 1.5 times as bright there as on the other side.
double known_field(const Eigen::Vector3d& at) {
  return std::exp(0.25 * std::sin((at[0] + 0.5 * at[2]) / 60.0) + 0.1 * std::cos(at[1] / 70.0));
}

Volume<float> biased(const Volume<float>& scan) {
  Volume<float> result = scan;
  for (std::int64_t z = 0; z < scan.geometry.shape[2]; ++z) {
    for (std::int64_t y = 0; y < scan.geometry.shape[1]; ++y) {
      for (std::int64_t x = 0; x < scan.geometry.shape[0]; ++x) {
        const Eigen::Vector3d at = scan.geometry.to_world(
            {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
        result.at(x, y, z) *= static_cast<float>(known_field(at));
      }
    }
  }
  return result;
}

/// Standard deviation over the head of log(a / b): 0 when the two differ by a factor only.
double log_spread(const Volume<float>& a, const Volume<float>& b) {
  double sum = 0;
  double squares = 0;
  double n = 0;
  for (std::size_t i = 0; i < a.voxels.size(); ++i) {
    if (b.voxels[i] < 20) continue;
    const double ratio = std::log(static_cast<double>(a.voxels[i] / b.voxels[i]));
    sum += ratio;
    squares += ratio * ratio;
    n += 1;
  }
  return std::sqrt(squares / n - sum * sum / (n * n));
}

class Bias : public testing::Test {
 protected:
  const Volume<float> clean_ =
      scan_head(centred_grid({30, 34, 22}, {6, 6, 8}), Eigen::Matrix4d::Identity(), true);
};

TEST_F(Bias, AKnownFieldIsRemoved) {
  const Volume<float> scan = biased(clean_);
  const Volume<float> corrected = correct_bias(scan);
  const double before = log_spread(scan, clean_);
  const double after = log_spread(corrected, clean_);
  RecordProperty("spread_before", std::to_string(before));
  RecordProperty("spread_after", std::to_string(after));
  EXPECT_GT(before, 0.1);
  EXPECT_LT(after, 0.4 * before);
  // The level stays: the field has geometric mean 1 over the head.
  double log_change = 0;
  double n = 0;
  for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
    if (clean_.voxels[i] < 40) continue;
    log_change += std::log(static_cast<double>(corrected.voxels[i] / scan.voxels[i]));
    n += 1;
  }
  EXPECT_NEAR(log_change / n, 0, 0.02);
  // It is the same each time.
  EXPECT_EQ(correct_bias(scan).voxels, corrected.voxels);
}

TEST_F(Bias, AScanWithoutAFieldHardlyChanges) {
  EXPECT_LT(log_spread(correct_bias(clean_), clean_), 0.03);
}

TEST_F(Bias, AScanWithoutAHeadIsRefused) {
  Volume<float> empty(clean_.geometry);
  for (std::size_t i = 0; i < 10; ++i) empty.voxels[i] = 100;
  expect_error<core::InputError>([&] { correct_bias(empty); },
                                 {"bias correction: 10 of", "dark background"});
}

TEST(BiasOption, IsRecordedAndKeptApart) {
  PrepareOptions options;
  const PreprocessingOptions off = options.resolve().at(0);
  EXPECT_EQ(off.bias_correction, BiasCorrection::kNone);
  options.bias_correction = BiasCorrection::kN4;
  const PreprocessingOptions on = options.resolve().at(0);
  EXPECT_EQ(PreprocessingOptions::from_json(on.to_json()).bias_correction, BiasCorrection::kN4);
  EXPECT_EQ(on.differences(off), std::vector<std::string>{"bias_correction: n4 and none"});
  // Files from before the option say nothing, which means none.
  core::Json old = off.to_json();
  old.erase("bias_correction");
  EXPECT_TRUE(PreprocessingOptions::from_json(old).differences(off).empty());
  // Weights decide; what contradicts them is refused.
  PrepareOptions asked;
  core::ParameterTable table;
  asked.declare(table);
  table.assign("prepare.bias_correction=n4");
  expect_error<core::UsageError>([&] { asked.settle(table, off); }, {"--like", "bias_correction"});
  PrepareOptions unasked;
  core::ParameterTable fresh;
  unasked.declare(fresh);
  unasked.settle(fresh, on);
  EXPECT_EQ(unasked.resolve(on).at(0).bias_correction, BiasCorrection::kN4);
  core::Json odd = off.to_json();
  odd["bias_correction"] = "n3";
  expect_error<core::InputError>([&] { PreprocessingOptions::from_json(odd); },
                                 {"bias_correction", "n3", "n4"});
}

}  // namespace
}  // namespace epvs::data
