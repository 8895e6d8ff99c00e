// The assignment of one scan's detections to its truth points, one to one.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <vector>

#include "eval/detection.h"

namespace epvs::eval {

// Optimal one-to-one assignment (Hungarian method, shortest augmenting paths with potentials; Kuhn
// 1955, Jonker & Volgenant 1987).

/// Assigns rows to columns one at a time, always optimally for the rows so far.
class IncrementalAssignment {
 public:
  explicit IncrementalAssignment(std::size_t columns);

  /// Adds a row with its cost per column (finite) and reassigns along one augmenting path,
  /// O(rows x columns). There must be a free column.
  void add_row(std::vector<double> costs);

  std::size_t rows() const { return costs_.size(); }
  /// Column of each row.
  std::vector<std::size_t> column_of_row() const;

 private:
  std::size_t columns_;
  std::vector<std::vector<double>> costs_;
  std::vector<double> row_potential_;
  std::vector<double> column_potential_;
  std::vector<std::ptrdiff_t> row_of_column_;  // -1: free; one more entry for the entering row
};

/// Adding this detection to all surer ones adds one hit, or one false positive.
struct DetectionEvent {
  double weight = 0.0;
  bool is_hit = false;
};

/// In order of falling weight.
std::vector<DetectionEvent> detection_events(const DetectionScan& scan, double radius_mm);

}  // namespace epvs::eval
