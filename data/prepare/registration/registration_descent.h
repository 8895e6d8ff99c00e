// The search of one level: a quasi-Newton descent in millimetres.
#pragma once

#include <Eigen/Core>

#include "data/prepare/registration/registration_level.h"

namespace epvs::data {

struct Descent {
  Eigen::Matrix4d matrix;
  double value;  ///< negative mutual information, nats
  double overlap;
  int evaluations;
};

/// BFGS with backtracking (Nocedal & Wright, Numerical Optimization, algorithm 6.1) from `start`.
/// No step moves the points by more than `longest_mm` (RMS); stops below `shortest_mm`.
Descent descend(const Level& level, Motion motion, const Eigen::Matrix4d& start,
                const Eigen::Vector3d& centre, const RegistrationOptions& options,
                double longest_mm, double shortest_mm);

}  // namespace epvs::data
