#include "eval/assignment.h"

#include <limits>

#include "core/error.h"

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

std::vector<std::ptrdiff_t> linear_sum_assignment(const Eigen::MatrixXd& costs) {
  if (!costs.allFinite()) {
    throw core::InputError("an assignment cost is not finite",
                           "give impossible pairs a large finite cost");
  }
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
    if (wide) {
      result[row] = static_cast<std::ptrdiff_t>(columns[row]);
    } else {
      result[columns[row]] = static_cast<std::ptrdiff_t>(row);
    }
  }
  return result;
}

}  // namespace epvs::eval
