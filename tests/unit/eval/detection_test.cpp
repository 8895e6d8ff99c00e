#include "eval/detection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "association_golden.h"
#include "core/error.h"
#include "core/random.h"
#include "core/table.h"
#include "eval/detection_match.h"
#include "tests/support/test_support.h"

namespace epvs::eval {
namespace {

using tests::expect_relative;

/// Column of each row of a rectangular cost matrix so that the sum is least; -1 for rows without.
std::vector<std::ptrdiff_t> linear_sum_assignment(const Eigen::MatrixXd& costs) {
  const bool wide = costs.rows() <= costs.cols();
  const Eigen::MatrixXd matrix = wide ? costs : Eigen::MatrixXd(costs.transpose());
  IncrementalAssignment assignment(static_cast<std::size_t>(matrix.cols()));
  for (Eigen::Index row = 0; row < matrix.rows(); ++row) {
    const Eigen::VectorXd line = matrix.row(row);
    assignment.add_row(std::vector<double>(line.data(), line.data() + line.size()));
  }
  const std::vector<std::size_t> columns = assignment.column_of_row();
  std::vector<std::ptrdiff_t> result(static_cast<std::size_t>(costs.rows()), -1);
  for (std::size_t row = 0; row < columns.size(); ++row) {
    result[wide ? row : columns[row]] = static_cast<std::ptrdiff_t>(wide ? columns[row] : row);
  }
  return result;
}

double cost_of(const Eigen::MatrixXd& costs, const std::vector<std::ptrdiff_t>& columns) {
  double sum = 0;
  for (std::size_t row = 0; row < columns.size(); ++row) {
    if (columns[row] >= 0) sum += costs(static_cast<Eigen::Index>(row), columns[row]);
  }
  return sum;
}

/// Every column at most once, and as many pairs as the smaller side has.
void expect_one_to_one(const std::vector<std::ptrdiff_t>& columns, Eigen::Index smaller) {
  std::vector<std::ptrdiff_t> used;
  for (const std::ptrdiff_t column : columns) {
    if (column >= 0) used.push_back(column);
  }
  std::sort(used.begin(), used.end());
  EXPECT_EQ(std::adjacent_find(used.begin(), used.end()), used.end());
  EXPECT_EQ(static_cast<Eigen::Index>(used.size()), smaller);
}

TEST(Assignment, EqualsScipy) {
  const auto cases = tests::read_golden_cases("assignment");
  ASSERT_GE(cases.size(), 20u);
  for (const auto& [name, golden] : cases) {
    const auto& row = golden.columns.at("row");
    const auto& column = golden.columns.at("column");
    Eigen::MatrixXd costs(static_cast<Eigen::Index>(row.back()) + 1,
                          static_cast<Eigen::Index>(column.back()) + 1);
    for (std::size_t i = 0; i < row.size(); ++i) {
      costs(static_cast<Eigen::Index>(row[i]), static_cast<Eigen::Index>(column[i])) =
          golden.columns.at("cost")[i];
    }
    const auto result = linear_sum_assignment(costs);
    expect_one_to_one(result, std::min(costs.rows(), costs.cols()));
    EXPECT_NEAR(cost_of(costs, result), golden.expected.at("sum"), 1e-9) << name;
  }
}

TEST(Assignment, EqualsAllPermutations) {
  core::Random random(2);
  for (int trial = 0; trial < 50; ++trial) {
    Eigen::MatrixXd costs(5, 5);
    for (double& cost : costs.reshaped()) cost = random.normal();
    std::vector<std::ptrdiff_t> order = {0, 1, 2, 3, 4};
    double least = std::numeric_limits<double>::infinity();
    do {
      least = std::min(least, cost_of(costs, order));
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_NEAR(cost_of(costs, linear_sum_assignment(costs)), least, 1e-12);
  }
  EXPECT_TRUE(linear_sum_assignment(Eigen::MatrixXd(0, 3)).empty());
}

std::vector<DetectionScan> golden_scans() {
  const auto table = core::Table::read(tests::golden("eval/detection_points.tsv"));
  std::map<std::pair<std::string, std::string>, DetectionScan> scans;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string participant = table.cell(row, "participant_id");
    const std::string session = table.cell(row, "session_id");
    DetectionScan& scan = scans[{participant, session}];
    scan.participant_id = participant;
    scan.session_id = session;
    const PointMm point = {table.number(row, "x"), table.number(row, "y"), table.number(row, "z")};
    if (table.cell(row, "kind") == "truth") scan.truths.push_back(point);
    if (table.cell(row, "kind") == "detection") {
      scan.detections.push_back(point);
      scan.weights.push_back(table.number(row, "weight"));
    }
  }
  std::vector<DetectionScan> result;
  for (auto& entry : scans) result.push_back(std::move(entry.second));
  return result;
}

DetectionOptions golden_options() {
  DetectionOptions options;
  options.radius_mm = 3.0;
  options.threshold = 0.5;
  return options;
}

TEST(Detection, EqualsScipyAndNumpyOnSharedResamples) {
  const auto scans = golden_scans();
  ASSERT_EQ(scans.size(), 30u);
  std::map<std::string, double> golden;
  const auto values = core::Table::read(tests::golden("eval/detection_expected.tsv"));
  for (std::size_t row = 0; row < values.rows(); ++row) {
    golden[values.cell(row, "quantity")] = values.number(row, "value");
  }
  const auto table = core::Table::read(tests::golden("eval/detection_resamples.tsv"));
  std::vector<std::vector<std::size_t>> resamples(199);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    resamples[static_cast<std::size_t>(table.integer(row, "resample"))].push_back(
        static_cast<std::size_t>(table.integer(row, "participant")));
  }
  const DetectionSummary summary = evaluate_detections(scans, golden_options(), resamples);
  const auto check = [&](const std::string& name, const Estimate& estimate) {
    expect_relative(estimate.estimate, golden.at(name), 1e-12, 1e-3, name);
    expect_relative(estimate.ci_low, golden.at(name + "_low"), 1e-12, 1e-3, name);
    expect_relative(estimate.ci_high, golden.at(name + "_high"), 1e-12, 1e-3, name);
    EXPECT_EQ(estimate.ci_method, "bootstrap_percentile_participants");
  };
  check("sensitivity", summary.sensitivity);
  check("precision", summary.precision);
  check("f1", summary.f1);
  check("fps_per_scan", summary.fps_per_scan);
  check("froc_mean", summary.froc_mean);
  const std::vector<std::string> rates = {"0.125", "0.25", "0.5", "1", "2", "4", "8"};
  for (std::size_t i = 0; i < rates.size(); ++i) check("froc_" + rates[i], summary.froc[i]);
  ASSERT_EQ(static_cast<double>(summary.curve.size()), golden.at("thresholds"));
  for (std::size_t t = 0; t < summary.curve.size(); t += 5) {
    const std::string prefix = fmt::format("curve_{}_", t);
    EXPECT_EQ(summary.curve[t].threshold, golden.at(prefix + "threshold"));
    EXPECT_EQ(static_cast<double>(summary.curve[t].hits), golden.at(prefix + "hits")) << t;
    EXPECT_EQ(static_cast<double>(summary.curve[t].false_positives), golden.at(prefix + "fps"));
  }
  double distances = 0;
  double hits = 0;
  for (const DetectionScan& scan : scans) {
    for (const PointMatch& match : match_points(scan, 3.0)) {
      distances += match.distance_mm;
      ++hits;
    }
  }
  EXPECT_EQ(hits, golden.at("hits_all"));
  EXPECT_NEAR(distances, golden.at("sum_of_distances"), 1e-9);
  EXPECT_EQ(summary.curve.back().hits, static_cast<std::size_t>(hits));
}

DetectionScan scan_of(std::vector<PointMm> detections, std::vector<double> weights,
                      std::vector<PointMm> truths, const std::string& participant = "a") {
  return {participant, "", std::move(detections), std::move(weights), std::move(truths)};
}

std::vector<FrocPoint> curve_of(const std::vector<DetectionScan>& scans, double radius_mm) {
  DetectionOptions options;
  options.radius_mm = radius_mm;
  options.bootstrap = 0;
  return evaluate_detections(scans, options).curve;
}

TEST(Detection, TheRadiusIsStrictAndInMillimetres) {
  const DetectionScan scan = scan_of({{3, 0, 4}}, {1}, {{0, 0, 0}});
  EXPECT_TRUE(match_points(scan, 5.0).empty());
  const auto matches = match_points(scan, 5.0 + 1e-9);
  ASSERT_EQ(matches.size(), 1u);
  EXPECT_EQ(matches[0].distance_mm, 5.0);
}

TEST(Detection, MoreHitsWinOverShorterDistances) {
  // Nearest-first would give detection 0 to truth 0 at distance 1 and leave detection 1 without.
  const DetectionScan scan = scan_of({{1, 0, 0}, {-1.5, 0, 0}}, {1, 1}, {{0, 0, 0}, {2.9, 0, 0}});
  const auto matches = match_points(scan, 2.0);
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0].truth, 1u);
  EXPECT_EQ(matches[1].truth, 0u);
}

TEST(Detection, OneTruthIsHitOnce) {
  const DetectionScan scan =
      scan_of({{1, 0, 0}, {0.5, 0, 0}, {9, 9, 9}}, {.9, .8, .7}, {{0, 0, 0}});
  const auto matches = match_points(scan, 2.0);
  ASSERT_EQ(matches.size(), 1u);
  EXPECT_EQ(matches[0].detection, 1u);
  const auto curve = curve_of({scan}, 2.0);
  ASSERT_EQ(curve.size(), 3u);
  EXPECT_EQ(curve[0].sensitivity, 1.0);
  EXPECT_EQ(curve[0].fps_per_scan, 0.0);
  EXPECT_EQ(curve[2].false_positives, 2u);
  EXPECT_NEAR(curve[2].precision, 1.0 / 3.0, 1e-15);
}

TEST(Detection, EqualWeightsEnterTogether) {
  const auto curve =
      curve_of({scan_of({{0, 0, 0}, {50, 0, 0}}, {.5, .5}, {{0, 0, 0}, {9, 0, 0}})}, 1.0);
  ASSERT_EQ(curve.size(), 1u);
  EXPECT_EQ(curve[0].hits, 1u);
  EXPECT_EQ(curve[0].false_positives, 1u);
  EXPECT_EQ(curve[0].fps_per_scan, 1.0);
  EXPECT_EQ(curve[0].sensitivity, 0.5);
}

TEST(Detection, EmptyScansCountInFalsePositivesPerScan) {
  std::vector<DetectionScan> scans = {scan_of({{0, 0, 0}, {9, 0, 0}}, {1, 1}, {{0, 0, 0}}, "a"),
                                      scan_of({}, {}, {}, "b"), scan_of({}, {}, {}, "c"),
                                      scan_of({}, {}, {{1, 1, 1}}, "d")};
  DetectionOptions options;
  options.radius_mm = 1;
  const DetectionSummary summary = evaluate_detections(scans, options);
  EXPECT_EQ(summary.fps_per_scan.estimate, 0.25);
  EXPECT_EQ(summary.sensitivity.estimate, 0.5);
  EXPECT_EQ(summary.scans, 4u);
  EXPECT_EQ(summary.truths, 2u);
  EXPECT_NE(summary.sensitivity.note.find("of 2000 resamples had no such value"),
            std::string::npos);
}

TEST(Detection, SaysWhatIsNotDefined) {
  DetectionOptions options;
  options.radius_mm = 1;
  const auto no_truth = evaluate_detections({scan_of({{0, 0, 0}}, {1}, {})}, options);
  EXPECT_TRUE(std::isnan(no_truth.sensitivity.estimate));
  EXPECT_EQ(no_truth.sensitivity.note, "no truth points");
  EXPECT_EQ(no_truth.fps_per_scan.estimate, 1.0);
  EXPECT_EQ(no_truth.fps_per_scan.note, "1 participants, an interval needs 3");
  EXPECT_TRUE(std::isnan(no_truth.fps_per_scan.ci_low));
  const auto nothing_found = evaluate_detections({scan_of({}, {}, {{0, 0, 0}})}, options);
  EXPECT_EQ(nothing_found.sensitivity.estimate, 0.0);
  EXPECT_EQ(nothing_found.precision.note, "no detections");
  EXPECT_EQ(evaluate_detections({}, options).fps_per_scan.note, "no scans");
}

TEST(Detection, IntervalsDependOnTheSeedAlone) {
  const auto scans = golden_scans();
  DetectionOptions options = golden_options();
  options.bootstrap = 200;
  const Estimate first = evaluate_detections(scans, options).sensitivity;
  const Estimate again = evaluate_detections(scans, options).sensitivity;
  EXPECT_EQ(first.ci_low, again.ci_low);
  EXPECT_EQ(first.ci_high, again.ci_high);
  options.seed = 2;
  EXPECT_NE(evaluate_detections(scans, options).sensitivity.ci_low, first.ci_low);
  options.bootstrap = 0;
  EXPECT_TRUE(std::isnan(evaluate_detections(scans, options).sensitivity.ci_low));
}

TEST(Detection, RefusesBadInput) {
  const double inf = std::numeric_limits<double>::infinity();
  tests::expect_error<core::UsageError>([] { match_points({}, 0.0); }, {"radius_mm = 0"});
  tests::expect_error<core::InputError>(
      [] {
        match_points(scan_of({{0, 0, 0}}, {}, {}), 1.0);
      },
      {"a: 1 detections have 0 weights"});
  tests::expect_error<core::InputError>(
      [&] {
        match_points(scan_of({{0, inf, 0}}, {1}, {}), 1.0);
      },
      {"a: detection 1 lies at (0, inf, 0) mm"});
  tests::expect_error<core::InputError>(
      [&] {
        match_points(scan_of({}, {}, {{0, 0, std::nan("")}}), 1.0);
      },
      {"truth point 1"});
  tests::expect_error<core::InputError>(
      [&] {
        match_points(scan_of({{0, 0, 0}}, {inf}, {}), 1.0);
      },
      {"the weight inf"});
  const auto with = [](auto change) {
    DetectionOptions options;
    options.radius_mm = 1;
    change(options);
    options.validate();
  };
  const auto expect_usage = [&](auto change, const std::string& text) {
    tests::expect_error<core::UsageError>([&] { with(change); }, {text});
  };
  expect_usage([](auto& o) { o.radius_mm = -1; }, "radius_mm = -1, expected a number above 0");
  expect_usage([&](auto& o) { o.threshold = inf; }, "threshold = inf");
  expect_usage([](auto& o) { o.fp_rates = {1, -2}; }, "fp_rates = -2");
  expect_usage([](auto& o) { o.bootstrap = -1; }, "bootstrap = -1");
  expect_usage([](auto& o) { o.confidence = 1; }, "confidence = 1, expected between 0 and 1");
  EXPECT_NO_THROW(with([](auto&) {}));
}

}  // namespace
}  // namespace epvs::eval
