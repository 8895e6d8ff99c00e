#include "association_golden.h"

#include <algorithm>
#include <cmath>

#include "core/table.h"
#include "tests/support/test_support.h"

namespace epvs::tests {

std::map<std::string, GoldenCase> read_golden_cases(const std::string& name) {
  std::map<std::string, GoldenCase> cases;
  const auto data = core::Table::read(golden("eval/" + name + ".tsv"));
  for (std::size_t row = 0; row < data.rows(); ++row) {
    GoldenCase& golden_case = cases[data.cell(row, "case")];
    for (const std::string& column : data.columns()) {
      if (column != "case") golden_case.columns[column].push_back(data.number(row, column));
    }
  }
  const auto values = core::Table::read(golden("eval/" + name + "_expected.tsv"));
  for (std::size_t row = 0; row < values.rows(); ++row) {
    cases[values.cell(row, "case")].expected[values.cell(row, "quantity")] =
        values.number(row, "value");
  }
  return cases;
}

double expected(const GoldenCase& golden, const std::string& quantity) {
  const auto found = golden.expected.find(quantity);
  if (found == golden.expected.end()) {
    ADD_FAILURE() << "the golden table has no '" << quantity << "'";
    return std::nan("");
  }
  return found->second;
}

void expect_relative(double actual, double expected_value, double tolerance, double floor,
                     const std::string& what) {
  EXPECT_NEAR(actual, expected_value, tolerance * std::max(std::abs(expected_value), floor))
      << what;
}

}  // namespace epvs::tests
