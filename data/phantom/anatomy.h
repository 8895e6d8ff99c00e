// The phantom head of one participant as a function of space: which tissue is where.
//
// Head coordinates are millimetres, RAS+, with the anterior commissure near the origin. A
// participant is a set of symmetric implicit shapes in canonical coordinates (about MNI's), a size
// per axis, a smooth random deformation, the width of ventricles and sulci, and random cortical
// folds.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "data/phantom/smooth_field.h"

namespace epvs::data {

enum class Tissue : std::uint8_t {
  kAir,
  kFat,
  kMuscle,
  kSkull,
  kCsf,
  kCortex,
  kWhiteMatter,
  kVentricle,
  kThirdVentricle,
  kThalamus,
  kCaudate,
  kPutamen,
  kPallidum,
  kAccumbens,
  kHippocampus,
  kMidbrain,
  kBrainStem,
  kCerebellarCortex,
  kCerebellarWhite,
};
inline constexpr std::size_t kTissues = 19;
/// One number per tissue, for example its brightness.
using TissueTable = std::array<float, kTissues>;

/// FreeSurfer's label number; 0 outside the brain. `left` is x < 0.
std::int16_t freesurfer_label(Tissue tissue, bool left);
/// (number, FreeSurfer name) of every label that a phantom can have.
std::vector<std::pair<int, std::string>> freesurfer_names();

/// Regions that are counted: bg, hippocampi, cso, midbrain.
enum class Region : std::uint8_t { kBasalGanglia, kHippocampi, kCentrumSemiovale, kMidbrain };
const std::string& region_name(Region region);
/// Throws UsageError naming the nearest region.
Region region_of(const std::string& name);

/// What differs between participants beside the random fields.
struct HeadShape {
  Eigen::Vector3d size = Eigen::Vector3d::Ones();  ///< factor on canonical lengths, per axis
  double ventricle_size = 1.0;                     ///< factor on the radius of the ventricles
  double caudate_shift_mm = 0;                     ///< outwards, before a ventricle that has grown
  double sulcus_half_width_mm = 0.7;
  double deformation_mm = 2.0;  ///< amplitude of the smooth deformation
  double deep_texture = 0;  ///< of deep grey matter, part of the contrast of CSF to white matter
};

struct TissueSample {
  float brightness = 0;
  Tissue tissue = Tissue::kAir;
};

class Anatomy {
 public:
  Anatomy(const HeadShape& shape, std::uint64_t seed);

  /// Head coordinates -> canonical coordinates.
  Eigen::Vector3d to_canonical(const Eigen::Vector3d& head) const;
  /// Tissue at a point, and the brightness of its neighbourhood: borders are blended over
  /// `blur_mm`, as a voxel of that size would do.
  TissueSample sample(const Eigen::Vector3d& head, const TissueTable& brightness,
                      double blur_mm) const;
  /// Distance to the border of a counted region in mm, positive inside; ventricles and CSF are not
  /// inside. The centrum semiovale is the white matter within 2.5 mm of the plane 1 cm above the
  /// top of the lateral ventricles.
  double region_depth_mm(Region region, const Eigen::Vector3d& head) const;
  /// Height of the plane 1 cm above the top of the lateral ventricles, head coordinates, mm.
  double centrum_semiovale_level_mm() const;
  /// Distance to the nearest border of cerebral white matter, positive inside.
  double white_matter_depth_mm(const Eigen::Vector3d& head) const;
  /// A box in head coordinates that holds the region.
  std::pair<Eigen::Vector3d, Eigen::Vector3d> region_box(Region region) const;
  /// A point on the lateral ventricle: `position` 0 (frontal horn) to 1 (atrium); side -1 or 1.
  Eigen::Vector3d ventricle_point(double position, double side) const;
  /// The box of the whole head in head coordinates.
  std::pair<Eigen::Vector3d, Eigen::Vector3d> head_box() const;
  const HeadShape& shape() const { return shape_; }

 private:
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

  HeadShape shape_;
  std::array<SmoothField, 3> deformation_;
  SmoothField folds_;
  SmoothField fold_depth_;
  SmoothField texture_;
  SmoothField iron_;
};

}  // namespace epvs::data
