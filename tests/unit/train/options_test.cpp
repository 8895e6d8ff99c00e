// Recipes, schedules, patterns, validation figures and the joining of labels; no Torch.
#include "train/options.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "data/cohort/examples.h"
#include "tests/support/test_support.h"
#include "tests/support/train_fixture.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/validation.h"

namespace epvs::train {
namespace {

using tests::expect_error;
using tests::TemporaryFolder;

TEST(Patterns, StarsAndQuestionMarks) {
  EXPECT_TRUE(matches_pattern("down_conv1.weight", "down_*"));
  EXPECT_TRUE(matches_pattern("down_conv1.weight", "*.weight"));
  EXPECT_TRUE(matches_pattern("down_conv1.weight", "*conv?.w*t"));
  EXPECT_TRUE(matches_pattern("", "*"));
  EXPECT_FALSE(matches_pattern("down_conv1.weight", "down_conv1"));
  EXPECT_FALSE(matches_pattern("down_conv1.weight", "*conv?weight"));
  EXPECT_FALSE(matches_pattern("a", ""));
}

TEST(Schedule, ClosedForms) {
  TrainOptions options;
  options.epochs = 10;
  EXPECT_EQ(schedule_factor(options, 7), 1.0);
  options.schedule = Schedule::kLinear;
  options.final_factor = 0.5;
  EXPECT_DOUBLE_EQ(schedule_factor(options, 5), 0.75);
  options.schedule = Schedule::kCosine;
  EXPECT_DOUBLE_EQ(schedule_factor(options, 5), 0.75);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 10), 0.5);
  options.warmup_epochs = 2;
  EXPECT_DOUBLE_EQ(schedule_factor(options, 1), 0.5);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 2), 1.0);
  options = {};
  options.schedule = Schedule::kStep;
  options.step_epochs = 3;
  EXPECT_DOUBLE_EQ(schedule_factor(options, 2.9), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 3), 0.1);
  EXPECT_NEAR(schedule_factor(options, 6.5), 0.01, 1e-15);
}

TEST(CheckpointTest, IsDueByTimeAndAtTheEndOfAnEpochWhereItIsCheap) {
  EXPECT_FALSE(is_checkpoint_due(600, 1, 10, false));
  EXPECT_TRUE(is_checkpoint_due(601, 1, 10, false)) << "within an epoch after the time";
  EXPECT_TRUE(is_checkpoint_due(601, 100, 10, true)) << "however long it takes";
  EXPECT_FALSE(is_checkpoint_due(49, 1, 10, true)) << "more than 2%";
  EXPECT_TRUE(is_checkpoint_due(51, 1, 10, true));
  EXPECT_FALSE(is_checkpoint_due(1e6, 1, 0, false)) << "0: between epochs only";
}

TEST(TrainRecipe, OptionsAreChecked) {
  TrainOptions options;
  options.learning_rate = 0;
  expect_error<core::UsageError>([&] { options.validate(); }, {"train.learning_rate = 0"});
  options = {};
  options.beta1 = 1;
  expect_error<core::UsageError>([&] { options.validate(); },
                                 {"train.beta1 = 1", "train.beta1 < 1"});
  options = {};
  options.nesterov = true;
  options.momentum = 0;
  expect_error<core::UsageError>([&] { options.validate(); },
                                 {"train.nesterov = true", "train.momentum > 0"});
  options = {};
  options.learning_rates = {"conv1*=-2"};
  expect_error<core::UsageError>([&] { options.validate(); }, {"conv1*=-2", "pattern=factor"});
}

TEST(ValidationMetrics, ShroutAndFleissOfTwoRaters) {
  // Raters 1 and 2 of Shrout & Fleiss 1979, table 2: mean squares by hand below.
  const std::vector<double> a = {9, 6, 8, 7, 10, 6};
  const std::vector<double> b = {2, 1, 4, 1, 5, 2};
  double rows = 0;
  double total = 0;
  const double mean_a = 46.0 / 6;
  const double mean_b = 15.0 / 6;
  const double grand = (mean_a + mean_b) / 2;
  for (std::size_t i = 0; i < 6; ++i) {
    rows += 2 * std::pow((a[i] + b[i]) / 2 - grand, 2);
    total += std::pow(a[i] - grand, 2) + std::pow(b[i] - grand, 2);
  }
  const double columns = 6 * (std::pow(mean_a - grand, 2) + std::pow(mean_b - grand, 2));
  const double error = (total - rows - columns) / 5;
  const double expected = (rows / 5 - error) / (rows / 5 + error + 2 * (columns - error) / 6);
  const ValidationMetrics result = validation_metrics(a, b);
  EXPECT_NEAR(result.icc2, expected, 1e-12);
  EXPECT_NEAR(result.mae, 31.0 / 6, 1e-12);
  EXPECT_NEAR(validation_metrics(a, a).icc2, 1.0, 1e-12);
  EXPECT_NEAR(validation_metrics(a, a).pearson, 1.0, 1e-12);
  EXPECT_TRUE(std::isnan(validation_metrics({1, 1, 1}, {1, 2, 3}).pearson));
  EXPECT_TRUE(std::isnan(validation_metrics({1}, {2}).score_sd));
}

TEST(Examples, JoinLabelsRegionsAndSplits) {
  const TemporaryFolder folder;
  write_tiny_cohort(folder.path(), 8);
  const data::CohortReader cohort(folder / "cohort.h5");
  const auto splits = core::Splits::read(folder / "splits.tsv");
  core::Table table({"participant_id", "region", "rater1"});
  for (int i = 1; i <= 7; ++i) {
    table.add_row({"sub-0" + std::to_string(i), "cso", "100"});
    table.add_row({"sub-0" + std::to_string(i), "bg", std::to_string(i)});
  }
  const data::Examples examples = data::collect_examples(
      cohort, "bg", core::ScoresTable::from_table(table), "rater1", splits, 0, 0);
  ASSERT_EQ(examples.train.size(), 6U);
  EXPECT_EQ(examples.train[2].participant_id, "sub-03");
  EXPECT_EQ(examples.train[2].label, 3.0) << "the row of the region is taken";
  EXPECT_DOUBLE_EQ(examples.mean_label(), 3.5);
  ASSERT_EQ(examples.test.size(), 1U);
  EXPECT_TRUE(std::isnan(examples.test[0].label)) << "test scans need no label";
  data::Examples changed = examples;
  changed.train[0].label += 1;
  EXPECT_NE(changed.fingerprint(), examples.fingerprint());
}

TEST(Examples, RegionIsTheOnlyOneOrNamed) {
  const TemporaryFolder folder;
  write_tiny_cohort(folder.path(), 4);
  const data::CohortReader cohort(folder / "cohort.h5");
  EXPECT_EQ(data::choose_region(cohort, ""), "bg");
  EXPECT_EQ(data::choose_region(cohort, "bg"), "bg");
  expect_error<core::UsageError>([&] { data::choose_region(cohort, "bgg"); }, {"'bgg'", "bg"});
}

TEST(Examples, SeveralScansNeedSessions) {
  const TemporaryFolder folder;
  data::PreprocessingOptions options;
  options.crop_voxels = {4, 4, 4};
  data::CohortWriter writer(folder / "c.h5", {options}, core::Json::object());
  for (const char* session : {"ses-1", "ses-2"}) {
    data::CohortRow row;
    row.participant_id = "sub-01";
    row.session_id = session;
    row.roi.shape = row.source.shape = {4, 4, 4};
    writer.append("bg", row,
                  {std::vector<float>(64), std::vector<std::uint8_t>(64), std::vector<float>(64)});
  }
  writer.finish();
  const data::CohortReader cohort(folder / "c.h5");
  const core::Splits splits({{0, 0, "sub-01", core::Split::kTrain}});
  core::Table without({"participant_id", "rater1"});
  without.add_row({"sub-01", "4"});
  expect_error<core::InputError>(
      [&] {
        data::collect_examples(cohort, "bg", core::ScoresTable::from_table(without), "rater1",
                               splits, 0, 0);
      },
      {"no session_id", "sub-01 has 2 scans"});
  core::Table with({"participant_id", "session_id", "rater1"});
  with.add_row({"sub-01", "ses-2", "7"});
  with.add_row({"sub-01", "ses-1", "4"});
  const data::Examples examples = data::collect_examples(
      cohort, "bg", core::ScoresTable::from_table(with), "rater1", splits, 0, 0);
  ASSERT_EQ(examples.train.size(), 2U);
  EXPECT_EQ(examples.train[0].label, 4.0);
  EXPECT_EQ(examples.train[1].label, 7.0);
  EXPECT_EQ(examples.train[1].name(), "sub-01 ses-2");
}

}  // namespace
}  // namespace epvs::train
