#include "eval/detection_match.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "eval/detection.h"

namespace epvs::eval {

IncrementalAssignment::IncrementalAssignment(std::size_t columns)
    : columns_(columns), column_potential_(columns + 1, 0.0), row_of_column_(columns + 1, -1) {}

void IncrementalAssignment::add_row(std::vector<double> costs) {
  EPVS_ASSERT(costs.size() == columns_ && costs_.size() < columns_);
  costs_.push_back(std::move(costs));
  row_potential_.push_back(0.0);
  // Dijkstra over columns on reduced costs, from the entering row at the extra column.
  const std::size_t extra = columns_;
  std::vector<double> distance(columns_, std::numeric_limits<double>::infinity());
  std::vector<std::size_t> previous(columns_, extra);
  std::vector<bool> done(columns_ + 1, false);
  row_of_column_[extra] = static_cast<std::ptrdiff_t>(costs_.size()) - 1;
  std::size_t at = extra;
  while (row_of_column_[at] >= 0) {
    done[at] = true;
    const auto row = static_cast<std::size_t>(row_of_column_[at]);
    double least = std::numeric_limits<double>::infinity();
    std::size_t next = extra;
    for (std::size_t column = 0; column < columns_; ++column) {
      if (done[column]) continue;
      const double reduced = costs_[row][column] - row_potential_[row] - column_potential_[column];
      if (reduced < distance[column]) {
        distance[column] = reduced;
        previous[column] = at;
      }
      if (distance[column] < least) {
        least = distance[column];
        next = column;
      }
    }
    for (std::size_t column = 0; column <= columns_; ++column) {
      if (done[column]) {
        row_potential_[static_cast<std::size_t>(row_of_column_[column])] += least;
        column_potential_[column] -= least;
      } else if (column < columns_) {
        distance[column] -= least;
      }
    }
    at = next;
  }
  for (; at != extra; at = previous[at]) row_of_column_[at] = row_of_column_[previous[at]];
  row_of_column_[extra] = -1;
}

std::vector<std::size_t> IncrementalAssignment::column_of_row() const {
  std::vector<std::size_t> result(costs_.size());
  for (std::size_t column = 0; column < columns_; ++column) {
    if (row_of_column_[column] >= 0) {
      result[static_cast<std::size_t>(row_of_column_[column])] = column;
    }
  }
  return result;
}

namespace {

double distance(const PointMm& a, const PointMm& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

void check_scan(const DetectionScan& scan, double radius_mm) {
  if (!(radius_mm > 0.0) || !std::isfinite(radius_mm)) {
    throw core::UsageError(fmt::format("radius_mm = {}, expected a number above 0", radius_mm),
                           "choose the distance up to which a detection counts as a hit");
  }
  const std::string name =
      scan.session_id.empty() ? scan.participant_id : scan.participant_id + " " + scan.session_id;
  if (scan.weights.size() != scan.detections.size()) {
    throw core::InputError(fmt::format("{}: {} detections have {} weights", name,
                                       scan.detections.size(), scan.weights.size()));
  }
  const auto check = [&](const std::vector<PointMm>& points, const char* kind) {
    for (std::size_t i = 0; i < points.size(); ++i) {
      for (const double value : points[i]) {
        if (std::isfinite(value)) continue;
        throw core::InputError(
            fmt::format("{}: {} {} lies at ({}, {}, {}) mm, expected finite coordinates", name,
                        kind, i + 1, points[i][0], points[i][1], points[i][2]));
      }
    }
  };
  check(scan.detections, "detection");
  check(scan.truths, "truth point");
  for (std::size_t i = 0; i < scan.weights.size(); ++i) {
    if (std::isfinite(scan.weights[i])) continue;
    throw core::InputError(
        fmt::format("{}: detection {} has the weight {}, expected a finite number", name, i + 1,
                    scan.weights[i]));
  }
}

/// Detections from the highest weight to the lowest, equal weights in their order.
std::vector<std::size_t> by_weight(const DetectionScan& scan) {
  std::vector<std::size_t> order(scan.detections.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scan.weights[a] > scan.weights[b]; });
  return order;
}

/// The assignment problem of one scan. Columns: the truth points, then one "no hit" per detection
/// that is near any, at a cost above any sum of distances, so that more hits always win. Pairs
/// beyond the radius cost more still.
class ScanMatcher {
 public:
  ScanMatcher(const DetectionScan& scan, double radius_mm)
      : scan_(scan), radius_(radius_mm), order_(by_weight(scan)) {
    for (const std::size_t detection : order_) {
      for (const PointMm& truth : scan.truths) {
        if (distance(scan.detections[detection], truth) < radius_) {
          near_.push_back(detection);
          break;
        }
      }
    }
    const auto pairs = static_cast<double>(std::min(near_.size(), scan.truths.size()));
    miss_ = radius_ * (pairs + 1.0);
  }

  const std::vector<std::size_t>& order() const { return order_; }
  const std::vector<std::size_t>& near() const { return near_; }

  IncrementalAssignment empty() const {
    return IncrementalAssignment(scan_.truths.size() + near_.size());
  }

  std::vector<double> costs(std::size_t detection) const {
    std::vector<double> row(scan_.truths.size() + near_.size(), miss_);
    for (std::size_t truth = 0; truth < scan_.truths.size(); ++truth) {
      const double d = distance(scan_.detections[detection], scan_.truths[truth]);
      row[truth] = d < radius_ ? d : 4.0 * miss_;
    }
    return row;
  }

  std::size_t hits(const IncrementalAssignment& assignment) const {
    const auto columns = assignment.column_of_row();
    return static_cast<std::size_t>(
        std::count_if(columns.begin(), columns.end(),
                      [&](std::size_t column) { return column < scan_.truths.size(); }));
  }

 private:
  const DetectionScan& scan_;
  double radius_;
  std::vector<std::size_t> order_;
  std::vector<std::size_t> near_;  // those with a truth point in reach, in this order
  double miss_ = 0.0;
};

}  // namespace

std::vector<PointMatch> match_points(const DetectionScan& scan, double radius_mm) {
  check_scan(scan, radius_mm);
  const ScanMatcher matcher(scan, radius_mm);
  IncrementalAssignment assignment = matcher.empty();
  for (const std::size_t detection : matcher.near()) assignment.add_row(matcher.costs(detection));
  const auto columns = assignment.column_of_row();
  std::vector<PointMatch> matches;
  for (std::size_t row = 0; row < columns.size(); ++row) {
    if (columns[row] >= scan.truths.size()) continue;
    const std::size_t detection = matcher.near()[row];
    matches.push_back(
        {detection, columns[row], distance(scan.detections[detection], scan.truths[columns[row]])});
  }
  std::sort(matches.begin(), matches.end(),
            [](const PointMatch& a, const PointMatch& b) { return a.detection < b.detection; });
  return matches;
}

std::vector<DetectionEvent> detection_events(const DetectionScan& scan, double radius_mm) {
  check_scan(scan, radius_mm);
  const ScanMatcher matcher(scan, radius_mm);
  IncrementalAssignment assignment = matcher.empty();
  std::vector<DetectionEvent> events;
  std::size_t hits = 0;
  for (const std::size_t detection : matcher.order()) {
    const bool near =
        assignment.rows() < matcher.near().size() && matcher.near()[assignment.rows()] == detection;
    bool is_hit = false;
    if (near) {
      // A further detection adds one hit or none: matchings grow along one augmenting path.
      assignment.add_row(matcher.costs(detection));
      is_hit = matcher.hits(assignment) > hits;
    }
    hits += is_hit ? 1 : 0;
    events.push_back({scan.weights[detection], is_hit});
  }
  return events;
}

}  // namespace epvs::eval
