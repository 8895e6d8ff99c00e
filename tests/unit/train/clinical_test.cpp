// Augmentation that imitates clinical scans: identities, closed forms, one seed one result.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "models/torch.h"
#include "tests/support/devices.h"
#include "tests/support/test_support.h"
#include "train/augmentation/augmentation.h"

namespace epvs::train {
namespace {

using tests::expect_error;
using torch::Tensor;

const std::array<double, 3> kSpacing = {0.5, 0.5, 0.8};

/// Values in 0.2..1 with a border of zeros, as outside a region.
Tensor masked_volume(torch::Device device) {
  core::Random random(3);
  Tensor volume = torch::zeros({1, 1, 9, 10, 11});
  Tensor inside = volume.slice(2, 1, 8).slice(3, 1, 9).slice(4, 1, 10);
  Tensor values = torch::empty(inside.sizes());
  float* data = values.data_ptr<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    data[i] = static_cast<float>(random.uniform(0.2, 1.0));
  }
  inside.copy_(values);
  return volume.to(device);
}

AugmentationOptions all_parts() {
  AugmentationOptions options;
  options.clinical_probability = 1;
  options.slice_thickness_mm = {3, 7};
  options.slice_gap_fraction = 0.3;
  options.contrast = options.gamma = 0.3;
  options.bias_field = 0.2;
  options.blur_mm = 0.8;
  options.noise = 0.05;
  return options;
}

class ClinicalOn : public tests::OnDevice {};
INSTANTIATE_TEST_SUITE_P(Devices, ClinicalOn, tests::kDevices, tests::DeviceName());

TEST_P(ClinicalOn, NothingDrawnIsTheIdentityToTheLastBit) {
  const Tensor volume = masked_volume(device());
  EXPECT_TRUE(torch::equal(apply_clinical(volume, {ClinicalTransform{}}, kSpacing), volume));
  const AugmentationOptions off;
  EXPECT_FALSE(off.is_clinical());
  EXPECT_TRUE(
      torch::equal(apply_clinical(volume, {draw_clinical(off, 1, 2, "sub-01")}, kSpacing), volume));
}

TEST_P(ClinicalOn, EveryPartKeepsTheOutsideAtZeroAndChangesTheInside) {
  const Tensor volume = masked_volume(device());
  const ClinicalTransform all = draw_clinical(all_parts(), 1, 2, "sub-01");
  std::vector<ClinicalTransform> parts(6);
  parts[0].contrast = all.contrast;
  parts[1].gamma = all.gamma;
  parts[2].bias = all.bias;
  parts[3].blur_mm = all.blur_mm;
  parts[4].slice_thickness_mm = all.slice_thickness_mm;
  parts[5].noise = all.noise;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Tensor changed = apply_clinical(volume, {parts[i]}, kSpacing);
    EXPECT_EQ(changed.masked_select(volume == 0).abs().max().item<double>(), 0.0) << i;
    EXPECT_FALSE(torch::allclose(changed, volume, 1e-3, 1e-3)) << i << " does nothing";
    EXPECT_TRUE(torch::isfinite(changed).all().item<bool>()) << i;
  }
}

TEST_P(ClinicalOn, ClosedForms) {
  const Tensor volume = masked_volume(device());
  const Tensor inside = volume != 0;
  ClinicalTransform gamma;
  gamma.gamma = 2;
  EXPECT_TRUE(torch::allclose(apply_clinical(volume, {gamma}, kSpacing), volume * volume));
  ClinicalTransform contrast;
  contrast.contrast = 0.5;
  const double mean = volume.masked_select(inside).mean().item<double>();
  EXPECT_TRUE(torch::allclose(apply_clinical(volume, {contrast}, kSpacing).masked_select(inside),
                              volume.masked_select(inside) * 0.5 + 0.5 * mean, 1e-5, 1e-6));
  ClinicalTransform bias;
  bias.bias[0] = 0.3;  // along x: exp(0.3 x), x = 1 at the last voxel, 0 at the middle
  const Tensor biased = apply_clinical(torch::ones({1, 1, 3, 3, 5}, device()), {bias}, kSpacing);
  EXPECT_NEAR(biased[0][0][1][1][4].item<double>(), std::exp(0.3), 1e-6);
  EXPECT_NEAR(biased[0][0][1][1][2].item<double>(), 1.0, 1e-6);
}

TEST(Clinical, SliceMatrixAveragesOverTheSliceAndInterpolatesBack) {
  // Slices of 2 mm on 1 mm voxels without gap, the first one covering voxels 0 and 1 (phase 0.5
  // puts centres at -0.5 + 1, ...).
  const Tensor matrix = slice_matrix(6, 1.0, 2.0, 0.0, 0.5);
  EXPECT_TRUE(torch::allclose(matrix.sum(1), torch::ones({6}, torch::kDouble)));
  const Tensor column = torch::tensor({1.0, 3.0, 5.0, 7.0, 9.0, 11.0}, torch::kDouble);
  // Slice means 2, 6, 10 at 0.5, 2.5, 4.5; a ramp inside, constant beyond the outer centres where
  // no further slice exists.
  const Tensor result = torch::matmul(matrix, column);
  for (int z = 1; z < 5; ++z) {
    EXPECT_NEAR(result[z].item<double>(), column[z].item<double>(), 1e-12) << z;
  }
  // A thickness of one voxel at voxel centres is the identity.
  EXPECT_TRUE(torch::allclose(slice_matrix(5, 0.8, 0.8, 0.0, 0.5), torch::eye(5, torch::kDouble),
                              1e-9, 1e-9));
  // A single bright voxel is spread over about the thickness and keeps its sum in the middle.
  const Tensor thick = slice_matrix(40, 0.8, 4.0, 0.0, 0.3);
  const Tensor spread = thick.narrow(1, 20, 1);
  EXPECT_NEAR(spread.sum().item<double>(), 1.0, 0.05);
  EXPECT_LT(spread.max().item<double>(), 0.21);
}

TEST(Clinical, GapsLoseWhatLiesInThem) {
  const Tensor with_gap = slice_matrix(30, 1.0, 2.0, 3.0, 0.5);
  EXPECT_TRUE(torch::allclose(with_gap.sum(1), torch::ones({30}, torch::kDouble)));
  const Tensor seen = with_gap.sum(0);
  EXPECT_EQ((seen == 0).sum().item<int>() >= 10, true) << "voxels in the gaps are seen by no slice";
}

TEST(Clinical, BlurMatrixIsAGaussian) {
  const Tensor matrix = blur_matrix(41, 0.5, 1.0);  // sigma of 2 voxels
  EXPECT_NEAR(matrix[20].sum().item<double>(), 1.0, 1e-12);
  EXPECT_NEAR((matrix[20][22] / matrix[20][20]).item<double>(), std::exp(-0.5), 1e-12);
  EXPECT_EQ(matrix[20][29].item<double>(), 0.0) << "cut at 4 sigma";
}

TEST_P(ClinicalOn, NoiseIsRician) {
  ClinicalTransform noise;
  noise.noise = 0.1;
  noise.noise_seed = 5;
  const Tensor volume = torch::full({1, 1, 40, 40, 40}, 1e-9, device());
  const Tensor dark = apply_clinical(volume, {noise}, kSpacing);
  // Rayleigh where there is no signal: mean sigma sqrt(pi / 2).
  EXPECT_NEAR(dark.mean().item<double>(), 0.1 * std::sqrt(std::acos(-1.0) / 2), 1e-3);
  const Tensor bright = apply_clinical(volume + 1, {noise}, kSpacing);
  EXPECT_NEAR(bright.std().item<double>(), 0.1, 2e-3);
}

TEST_P(ClinicalOn, OneSeedOneResult) {
  const Tensor volume = masked_volume(device());
  const auto apply = [&](std::uint64_t seed, std::int64_t epoch, const char* name) {
    return apply_clinical(volume, {draw_clinical(all_parts(), seed, epoch, name)}, kSpacing);
  };
  const Tensor first = apply(1, 2, "sub-01");
  EXPECT_TRUE(torch::equal(first, apply(1, 2, "sub-01")));
  EXPECT_FALSE(torch::equal(first, apply(2, 2, "sub-01")));
  EXPECT_FALSE(torch::equal(first, apply(1, 3, "sub-01")));
  EXPECT_FALSE(torch::equal(first, apply(1, 2, "sub-02")));
}

TEST(Clinical, OptionsAreChecked) {
  AugmentationOptions options;
  options.slice_thickness_mm = {7, 3};
  expect_error<core::UsageError>([&] { options.validate(); }, {"slice_thickness_mm = [7, 3]"});
  options.slice_thickness_mm = {0, 3};
  expect_error<core::UsageError>([&] { options.validate(); }, {"0 < first"});
}

}  // namespace
}  // namespace epvs::train
