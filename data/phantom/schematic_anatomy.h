// The schematic head: symmetric implicit shapes in canonical coordinates (about MNI's), the width of
// ventricles and sulci, and random cortical folds.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "data/phantom/anatomy.h"

namespace epvs::data {

/// Centres of deep structures of the right half, canonical coordinates, mm.
const std::array<std::pair<Tissue, Eigen::Vector3d>, 5>& schematic_centres();

class SchematicAnatomy : public Anatomy {
 public:
  SchematicAnatomy(const HeadShape& shape, std::uint64_t seed);

  TissueSample sample(const Eigen::Vector3d& head, const TissueTable& brightness,
                      double blur_mm) const override;
  double region_depth_mm(Region region, const Eigen::Vector3d& head) const override;
  double centrum_semiovale_level_mm() const override;
  double white_matter_depth_mm(const Eigen::Vector3d& head) const override;
  std::pair<Eigen::Vector3d, Eigen::Vector3d> region_box(Region region) const override;
  Eigen::Vector3d ventricle_point(double position, double side) const override;
  std::pair<Eigen::Vector3d, Eigen::Vector3d> head_box() const override;

 private:
  SchematicAnatomy(const HeadShape& shape, core::Random random);
  struct Painter;
  /// Deep grey matter, ventricles and corpus callosum at a point of the mirrored half.
  void paint_deep(const Eigen::Vector3d& m, Painter& paint) const;
  struct Cortex {
    double
        csf_distance;  ///< to the nearest CSF of sulci, fissures or the surface; > 0 in the brain
    double surface;    ///< to the surface of the cerebrum, > 0 inside
  };
  Cortex cortex(const Eigen::Vector3d& q) const;
  double ventricle(const Eigen::Vector3d& mirrored) const;
  double caudate(const Eigen::Vector3d& mirrored) const;
  double basal_ganglia(const Eigen::Vector3d& mirrored) const;

  SmoothField folds_;
  SmoothField fold_depth_;
};

}  // namespace epvs::data
