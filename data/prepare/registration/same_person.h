// Do two scans show the same person, the same way round?
#pragma once

#include <Eigen/Core>
#include <optional>
#include <string>

#include "data/prepare/registration/registration.h"

namespace epvs::data {

/// Mutual information (nats) of a registered pair, and of the first scan with the mirror image of
/// the second, registered in the same way.
///
/// Nobody's head is quite symmetric: two scans of one person fit better than a scan and a mirror
/// image of the other. A head of somebody else fits both equally well, and where one of the headers
/// is mirrored, the mirror image fits better. The quotient needs no threshold per scanner or
/// contrast, unlike the mutual information itself.
struct SidesFit {
  double information = 0;
  double mirrored = 0;
  double ratio() const { return information / mirrored; }
};

/// Measured on public clinical cases (docs/prepare.md): 1.16 to 1.34 for three people, 0.99 to 1.02
/// for nine pairs of different ones.
inline constexpr double kSamePersonRatio = 1.05;

/// `fixed` with the mirror image of `moving`, rigid. Throws as register_volumes().
RegistrationResult register_mirrored(const Volume<float>& fixed, const Volume<float>& moving);

/// The fit under a transform, beside that of `mirrored`.
SidesFit fit_of_sides(const Volume<float>& fixed, const Volume<float>& moving,
                      const Eigen::Matrix4d& fixed_to_moving, const RegistrationResult& mirrored);

/// Why a person should look at the pair; nothing when the fit is that of one person.
std::optional<std::string> doubt_of(const SidesFit& fit);

}  // namespace epvs::data
