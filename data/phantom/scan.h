// How a scanner sees a simulated participant: position, voxels, slice profile, contrast, bias,
// noise.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/formats/volume.h"
#include "data/phantom/participant.h"

namespace epvs::data {

/// Everything about a scan but its voxels.
struct ScanPlan {
  std::string participant_id;
  std::string session_id;  ///< empty, or ses-1, ses-2
  ScannerProfile profile;  ///< voxel size and noise as used, after all options
  Geometry geometry;       ///< axes along the world's; x may be stored right to left
  Eigen::Matrix4d head_to_world = Eigen::Matrix4d::Identity();  ///< rigid
  double gain = 1000;                                           ///< stored value of white matter
  std::uint64_t seed = 0;                                       ///< of noise and bias
  double cso_level_mm = 0;  ///< height of the centrum semiovale's plane, head coordinates

  Eigen::Vector3d to_world(const Eigen::Vector3d& head) const;
  Eigen::Vector3d to_head(const Eigen::Vector3d& world) const;
  /// The anterior commissure is the origin of head coordinates.
  Eigen::Vector3d anterior_commissure() const { return to_world(Eigen::Vector3d::Zero()); }
  /// Stored z index of the slice that holds the anterior commissure.
  std::int64_t commissure_slice() const;
  /// Stored z index of the slice in which raters count a region: bg in that of the anterior
  /// commissure, cso in that of the plane 1 cm above the lateral ventricles; the others have none.
  std::optional<std::int64_t> rated_slice(Region region) const;
};

/// `session` counts from 0.
ScanPlan plan_scan(const SimulationOptions& options, std::uint64_t seed,
                   const Participant& participant, int session);

/// Part of a voxel's box (slice thickness along z) that an object fills.
struct FilledVoxel {
  std::size_t offset;
  float fraction;
};

/// Voxels that a tube of `radius_mm` about `world_line` (mm) fills, by subsampling each voxel's box
/// at a quarter of a millimetre or a fifth of the diameter, whichever is larger.
std::vector<FilledVoxel> fill_tube(const Geometry& geometry, double slice_thickness_mm,
                                   double slice_edge,
                                   const std::vector<Eigen::Vector3d>& world_line,
                                   double radius_mm);

/// One EPVS in one scan.
struct EpvsInScan {
  std::vector<Eigen::Vector3d> world_line;
  std::vector<FilledVoxel> voxels;
  double peak_fraction = 0;  ///< of its fullest voxel
  double contrast = 0;       ///< brightness over its tissue, times peak fraction, white matter = 1
  double lowest_z = 0;       ///< stored z index, not rounded, that its centre line reaches down to
  double highest_z = 0;      ///< and up to

  /// Does its centre line pass through a slice?
  bool passes(std::int64_t slice) const {
    return lowest_z <= static_cast<double>(slice) + 0.5 &&
           highest_z >= static_cast<double>(slice) - 0.5;
  }
};

std::vector<EpvsInScan> view_epvs(const ScanPlan& plan, const Participant& participant);

struct SimulatedScan {
  Volume<std::int16_t> t2w;
  Volume<std::int16_t> labels;  ///< FreeSurfer numbers on the same grid; EPVS keep their tissue's
};

SimulatedScan render_scan(const SimulationOptions& options, const ScanPlan& plan,
                          const Participant& participant, const std::vector<EpvsInScan>& epvs);

}  // namespace epvs::data
