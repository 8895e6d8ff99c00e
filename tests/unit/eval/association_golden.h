// Golden tables written by the R and Python scripts in tests/golden/eval.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace epvs::tests {

struct GoldenCase {
  std::map<std::string, std::vector<double>> columns;  ///< data, by column name
  std::map<std::string, double> expected;              ///< by quantity
};

/// <name>.tsv (case and data columns) and <name>_expected.tsv (case quantity value) of
/// tests/golden/eval, by case.
std::map<std::string, GoldenCase> read_golden_cases(const std::string& name);

/// The expected value; fails the test when the golden table has none.
double expected(const GoldenCase& golden, const std::string& quantity);

/// |actual - expected| <= tolerance * max(|expected|, floor).
void expect_relative(double actual, double expected_value, double tolerance, double floor,
                     const std::string& what);

}  // namespace epvs::tests
