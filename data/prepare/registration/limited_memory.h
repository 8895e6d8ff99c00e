// Minimisation of a smooth function of many variables by limited-memory BFGS.
#pragma once

#include <functional>
#include <vector>

namespace epvs::data {

struct LimitedMemoryOptions {
  int iterations = 40;
  int memory = 8;           ///< pairs of steps and gradient changes that are kept
  double longest_step = 2;  ///< no variable moves by more in one step, in its own unit
  double tolerance =
      1e-4;  ///< stops when the value falls by less than this share of its first fall
};

/// The value at `x`, and its gradient where the second argument is not null.
using SmoothFunction = std::function<double(const std::vector<double>&, std::vector<double>*)>;

/// Two-loop recursion (Nocedal & Wright, Numerical Optimization, algorithm 7.4) with backtracking
/// to a sufficient decrease: the value never rises. Returns the last value; `x` is the start and
/// the end.
double minimise(const SmoothFunction& function, std::vector<double>& x,
                const LimitedMemoryOptions& options);

}  // namespace epvs::data
