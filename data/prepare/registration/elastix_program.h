// Registration by the program elastix (Klein et al., IEEE TMI 29:196, 2010) in the place of our
// own: mutual information and elastix's default settings, as in P1.
#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <string>

#include "data/formats/volume.h"
#include "data/prepare/registration/registration.h"

namespace epvs::data {

/// Throws UsageError when `program` (a name in PATH, or a path) cannot be started.
void require_elastix(const std::string& program = "elastix");

/// elastix's default settings for a rigid or an affine transform, as the text of a parameter file:
/// 4 resolutions of 256 iterations, AdvancedMattesMutualInformation at 2048 random points,
/// AdaptiveStochasticGradientDescent. The first guess aligns the centres of gravity where
/// `initialise`.
std::string elastix_parameters(Motion motion, bool initialise);

/// Writes both scans into a temporary folder, runs elastix there (rigid, then affine when that is
/// asked for; one thread, elastix's fixed random seed), reads the transforms. The information is
/// measured as by register_volumes() with `options`, of which only the motion, the last level,
/// samples, bins and seed are used. Throws InputError with the last lines of elastix's log when it
/// fails.
RegistrationResult register_with_elastix(const Volume<float>& fixed, const Volume<float>& moving,
                                         const RegistrationOptions& options,
                                         const std::string& program = "elastix");

/// A linear transform of elastix (TransformParameters.N.txt: Euler, affine, translation, and what
/// it is composed with) as a matrix of RAS+ points, fixed -> moving. Throws InputError naming the
/// file: missing, another transform, transforms that are added instead of composed, missing or
/// broken entries.
Eigen::Matrix4d read_elastix_transform(const std::filesystem::path& path);

}  // namespace epvs::data
