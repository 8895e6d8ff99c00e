// Registration of two scans of a head: rigid or affine, Mattes mutual information (ITK), coarse to
// fine.
//
// World coordinates are RAS+ mm as everywhere in epvs. The result takes a point of the fixed scan
// to the same point of the moving scan, which is the direction that resampling onto the fixed grid
// needs.
//
// The metric is Mattes' mutual information (Mattes et al., IEEE TMI 22:120, 2003) of a fixed set of
// sample points; the search is a quasi-Newton descent in parameters whose units are millimetres of
// root-mean-square motion of the sample points. One registration runs on one thread, because ITK
// adds the histogram derivatives of its threads in the order in which they finish: so the result
// does not depend on --threads, and several participants are registered at the same time instead.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

enum class Motion { kRigid, kAffine };

struct RegistrationOptions {
  Motion motion = Motion::kAffine;
  /// Isotropic working grids, coarse to fine; 0 = the scans' own grids, unsmoothed. The affine
  /// stage starts at the second one.
  std::vector<double> level_spacing_mm = {8.0, 4.0, 2.0};
  std::int64_t samples = 40000;  ///< points at the finest levels, on a jittered regular lattice
  int bins = 32;                 ///< histogram bins per image
  int iterations = 40;           ///< of the quasi-Newton descent, per level
  std::uint64_t seed = 1;        ///< of the jitter
  /// Throws UsageError naming option, value and constraint.
  void validate() const;
};

struct RegistrationResult {
  Eigen::Matrix4d fixed_to_moving = Eigen::Matrix4d::Identity();
  double information_before = 0;  ///< nats, with the headers as they are, finest level
  double information_after = 0;   ///< nats, with fixed_to_moving, the same samples
  double overlap = 0;             ///< share of the sample points that fall into the moving scan
  int evaluations = 0;            ///< of the metric, all levels
};

/// Finds the motion that aligns `moving` with `fixed`. Starts from the best of: the headers, the
/// centres of the fields of view, the centres of mass, each with some pitch.
/// Throws InputError when the scans do not overlap or one is constant.
RegistrationResult register_volumes(const Volume<float>& fixed, const Volume<float>& moving,
                                    const RegistrationOptions& options);

/// How well two scans fit under a given transform.
struct Agreement {
  double information = 0;  ///< Mattes mutual information in nats; 0 where too few points overlap
  double overlap = 0;      ///< share of the sample points that fall into the moving scan
};

/// Agreement under each of the transforms, on the sample points and the working grid of the finest
/// level: comparable with RegistrationResult of equal options.
std::vector<Agreement> agreement(const Volume<float>& fixed, const Volume<float>& moving,
                                 const std::vector<Eigen::Matrix4d>& fixed_to_moving,
                                 const RegistrationOptions& options);

/// The information of one transform, as agreement().
double mutual_information(const Volume<float>& fixed, const Volume<float>& moving,
                          const Eigen::Matrix4d& fixed_to_moving,
                          const RegistrationOptions& options);

/// Below this many nats after registration, two scans hardly know of each other.
inline constexpr double kLowInformation = 0.1;

/// Threads of ITK's image filters, for the whole process. The descent itself always has one.
void limit_registration_threads(int threads);

}  // namespace epvs::data
