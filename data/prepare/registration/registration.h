// Registration of two scans of a head by the program elastix (Klein et al., IEEE TMI 29:196, 2010;
// P1 used it): mutual information, a stochastic gradient descent, coarse to fine. No ITK.
//
// World coordinates are RAS+ mm as everywhere in epvs. A result takes a point of the fixed scan to
// the same point of the moving scan, which is the direction that resampling onto the fixed grid
// needs. elastix has a fixed random seed and one thread here, so equal scans give equal results;
// several participants are registered at the same time instead.
#pragma once

#include <Eigen/Core>
#include <optional>
#include <string>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

/// How well two scans fit: mutual information of their intensities (Viola & Wells, IJCV 24:137,
/// 1997), whatever their contrasts.
struct Similarity {
  double information = 0;  ///< nats; 0 where less than a quarter of the points overlap
  double overlap = 0;      ///< share of the points that fall into the moving scan
};

/// The similarity under each of the transforms, which take points of the fixed scan to points of
/// the moving one (RAS+ mm). The points are voxel centres of the fixed scan, about 2 mm apart; the
/// moving scan is interpolated linearly. Both scans are clipped to their 0.5th and 99.5th
/// percentile and counted into a histogram of 32 x 32 bins. Throws InputError when one of the scans
/// has the same intensity nearly everywhere.
std::vector<Similarity> similarity(const Volume<float>& fixed, const Volume<float>& moving,
                                   const std::vector<Eigen::Matrix4d>& fixed_to_moving);

/// The information of one transform, as similarity().
double mutual_information(const Volume<float>& fixed, const Volume<float>& moving,
                          const Eigen::Matrix4d& fixed_to_moving);

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

// Do two scans show the same person, the same way round?

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
