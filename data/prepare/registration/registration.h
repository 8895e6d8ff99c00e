// Registration of two scans of a head by the program elastix (Klein et al., IEEE TMI 29:196, 2010;
// P1 used it): mutual information, a stochastic gradient descent, coarse to fine. No ITK.
//
// World coordinates are RAS+ mm as everywhere in epvs. A result takes a point of the fixed scan to
// the same point of the moving scan, which is the direction that resampling onto the fixed grid
// needs. elastix has a fixed random seed and one thread here, so equal scans give equal results;
// several participants are registered at the same time instead.
#pragma once

#include <Eigen/Core>

#include "data/formats/volume.h"
#include "data/prepare/registration/mutual_information.h"

namespace epvs::data {

enum class Motion { kRigid, kAffine };

struct RegistrationResult {
  Eigen::Matrix4d fixed_to_moving = Eigen::Matrix4d::Identity();
  double information_before = 0;  ///< nats, with the headers as they are
  double information_after = 0;   ///< nats, with fixed_to_moving
  double overlap = 0;             ///< share of the points that fall into the moving scan
};

/// Finds the motion that aligns `moving` with `fixed`: rigid, from the best of a few poses (headers,
/// centres of gravity, pitched), and then affine where that is asked for. Throws UsageError when elastix is not installed, InputError
/// when a scan is constant or elastix fails, with its exit status and the last lines of its log.
RegistrationResult register_volumes(const Volume<float>& fixed, const Volume<float>& moving,
                                    Motion motion);

/// Below this many nats after registration, two scans hardly know of each other.
inline constexpr double kLowInformation = 0.1;

}  // namespace epvs::data
