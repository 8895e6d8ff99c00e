// One simulated participant: age, head, EPVS and lesions that are not EPVS, without any scan.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <string>
#include <vector>

#include "data/phantom/anatomy.h"
#include "data/phantom/label_head.h"
#include "data/phantom/options.h"

namespace epvs::data {

/// An enlarged perivascular space: a tube of constant diameter about a curved line.
struct Perivascular {
  Region region = Region::kBasalGanglia;
  std::vector<Eigen::Vector3d> line;  ///< points of the centre line, head coordinates, mm
  double diameter_mm = 0;
  double brightness = 1;  ///< between its tissue (0) and CSF (1)

  double length_mm() const;        ///< of the centre line
  Eigen::Vector3d centre() const;  ///< the middle of the centre line
};

/// Distance from a point to a line of points, mm.
double distance_to_line_mm(const std::vector<Eigen::Vector3d>& line, const Eigen::Vector3d& point);
/// Smallest distance between two lines, evaluated at their points.
double distance_of_lines_mm(const std::vector<Eigen::Vector3d>& a,
                            const std::vector<Eigen::Vector3d>& b);

enum class LesionKind { kLacune, kWhiteMatter };

/// A bright ellipsoid that must not be counted: a lacune (fluid, dark rim) or a white matter
/// hyperintensity (soft border).
struct Lesion {
  LesionKind kind = LesionKind::kLacune;
  Eigen::Vector3d centre = Eigen::Vector3d::Zero();  ///< head coordinates, mm
  Eigen::Vector3d radii_mm = Eigen::Vector3d::Ones();
  std::string region;  ///< the counted region it lies in, or `n/a`
};

/// A small artery or vein of the basal ganglia: a flow void (dark) or slow flow (bright).
struct Vessel {
  std::vector<Eigen::Vector3d> line;  ///< points of the centre line, head coordinates, mm
  double diameter_mm = 0;
  bool bright = false;
};

struct Participant {
  std::string id;  ///< sub-0001
  double age_years = 0;
  bool female = false;
  std::string scanner;
  int sessions = 1;
  std::shared_ptr<const Anatomy> anatomy;
  std::vector<Perivascular> epvs;
  std::vector<Lesion> lesions;
  std::vector<Vessel> vessels;
  int not_placed = 0;  ///< EPVS that were drawn but found no room; not part of the truth

  int count(Region region) const;
};

/// Participant number `index` (from 0) of the cohort: a function of (options, seed, index, heads)
/// only. Heads from label maps serve in turn; without any the head is schematic.
Participant simulate_participant(const SimulationOptions& options, std::uint64_t seed, int index,
                                 const std::vector<std::shared_ptr<const LabelHead>>& heads = {});

/// "sub-0001": as many digits as the last participant needs, at least four.
std::string participant_name(int index);

}  // namespace epvs::data
