// The phantom head of one participant as a function of space: which tissue is where.
//
// Head coordinates are millimetres, RAS+, with the anterior commissure near the origin. A head is
// schematic (schematic_anatomy.h) or drawn from a real label map (label_head.h).
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

/// The head of one participant. Shapes are symmetric in canonical coordinates; head coordinates are
/// those times `size`, after a smooth random deformation.
class Anatomy {
 public:
  virtual ~Anatomy() = default;
  Anatomy(const Anatomy&) = delete;
  Anatomy& operator=(const Anatomy&) = delete;

  /// Tissue at a point, and the brightness of its neighbourhood: borders are blended over
  /// `blur_mm`, as a voxel of that size would do.
  virtual TissueSample sample(const Eigen::Vector3d& head, const TissueTable& brightness,
                              double blur_mm) const = 0;
  /// Distance to the border of a counted region in mm, positive inside; ventricles and CSF are not
  /// inside. The centrum semiovale is the white matter within 2.5 mm of the plane 1 cm above the
  /// top of the lateral ventricles.
  virtual double region_depth_mm(Region region, const Eigen::Vector3d& head) const = 0;
  /// Height of the plane 1 cm above the top of the lateral ventricles, head coordinates, mm.
  virtual double centrum_semiovale_level_mm() const = 0;
  /// Distance to the nearest border of cerebral white matter, positive inside.
  virtual double white_matter_depth_mm(const Eigen::Vector3d& head) const = 0;
  /// A box in head coordinates that holds the region.
  virtual std::pair<Eigen::Vector3d, Eigen::Vector3d> region_box(Region region) const = 0;
  /// A point on the lateral ventricle: `position` 0 (frontal horn) to 1 (atrium); side -1 or 1.
  virtual Eigen::Vector3d ventricle_point(double position, double side) const = 0;
  /// The box of the whole head in head coordinates.
  virtual std::pair<Eigen::Vector3d, Eigen::Vector3d> head_box() const = 0;
  const HeadShape& shape() const { return shape_; }

 protected:
  static constexpr double kCsoOffset = 10.0;     ///< of the rated slice above the ventricles (P2)
  static constexpr double kCsoHalfHeight = 2.5;  ///< half the slab that `epvs prepare` cuts

  /// The box of the random fields.
  static inline const Eigen::Vector3d kFieldLow{-100, -130, -110};
  static inline const Eigen::Vector3d kFieldHigh{100, 110, 110};

  Anatomy(const HeadShape& shape, core::Random& random);
  /// Head coordinates -> canonical coordinates.
  Eigen::Vector3d to_canonical(const Eigen::Vector3d& head) const;
  void draw_texture(core::Random& random);
  /// Texture of all tissues, and of deep grey matter by iron.
  void add_texture(const Eigen::Vector3d& head, const Eigen::Vector3d& canonical,
                   const TissueTable& brightness, TissueSample& sample) const;

 private:
  HeadShape shape_;
  std::array<SmoothField, 3> deformation_;
  SmoothField texture_;
  SmoothField iron_;
};

}  // namespace epvs::data
