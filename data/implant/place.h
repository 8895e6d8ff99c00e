// Where EPVS are put in a scan: inside a region, away from what is bright, apart from each other.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <string>
#include <vector>

#include "data/formats/volume.h"
#include "data/implant/measure.h"
#include "data/implant/options.h"
#include "data/implant/render.h"
#include "data/phantom/participant.h"

namespace epvs::data {

/// A tube that was given a place.
struct Implant {
  std::string region;
  std::vector<Eigen::Vector3d> line;  ///< centre line, world mm of the scan
  double diameter_mm = 0;             ///< in the middle
  double contrast = 0;                ///< added, in parts of the way from white matter to CSF

  double length_mm() const;
  Eigen::Vector3d centre() const;  ///< the middle of the centre line
};

/// A region of a scan. Both masks lie on grids of their own, in the scan's world.
struct RegionSite {
  std::string name;
  const Volume<std::uint8_t>* centres;  ///< centres lie in here
  /// Tubes lie in here: the same mask, but for cso, where EPVS reach beyond the slab.
  const Volume<std::uint8_t>* tissue;
};

/// What is alike for all regions of a scan.
struct ScanSite {
  const Volume<float>* scan;
  ScanContrast contrast;
  PointSpread spread;
  std::vector<Eigen::Vector3d> ventricles;  ///< world points, for directions
  double midline_x = 0;                     ///< world, mean of the ventricles
};

/// Up to `wanted` EPVS in a region: a function of (scan, masks, options, seed) whose first n are
/// the same for every `wanted` >= n. Less where the region has no more room. `others` (regions that
/// were filled before) are kept clear of.
///
/// A tube lies in the tissue (in cso wholly, elsewhere at least 4/5 of its line). The voxels within
/// a radius and 1 mm of its line, in their slices, are even: none is above their median by more than
/// t, none below by more than 2 t, and the median itself is not above that of the region by more than
/// t, where t is 0.15 of the difference between CSF and white matter, or 3 robust standard
/// deviations of the region where that is more. Vessels run up the basal ganglia, along the
/// hippocampi, away from the ventricles in white matter, up and forward in the midbrain, and
/// anywhere in regions of the user's.
std::vector<Implant> place_implants(const ScanSite& site, const RegionSite& region,
                                    const ImplantOptions& options, std::int64_t wanted,
                                    std::uint64_t seed, const std::vector<Implant>& others);

}  // namespace epvs::data
