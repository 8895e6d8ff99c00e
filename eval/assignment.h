// Optimal one-to-one assignment (Hungarian method, shortest augmenting paths with potentials; Kuhn
// 1955, Jonker & Volgenant 1987).
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <vector>

namespace epvs::eval {

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

/// Column of each row of a rectangular cost matrix so that the sum is least; -1 for the rows that
/// stay without one where there are more rows than columns. Throws InputError for costs that are
/// not finite. O(n^2 m), n the smaller side.
std::vector<std::ptrdiff_t> linear_sum_assignment(const Eigen::MatrixXd& costs);

}  // namespace epvs::eval
