#include "data/phantom/schematic_anatomy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace epvs::data {

using Eigen::Vector3d;

namespace {

constexpr double kCortexThickness = 3.0;

double ramp(double from, double to, double x) {
  const double t = std::clamp((x - from) / (to - from), 0.0, 1.0);
  return t * t * (3.0 - 2.0 * t);
}

/// Approximate distance to an ellipsoid's surface, positive inside: |p/r|(1 - |p/r|)/|p/r^2|.
struct Ellipsoid {
  Vector3d centre;
  Vector3d radii;
  double yaw = 0;  ///< rotation about z in radians: positive turns the front towards the midline

  double depth(const Vector3d& q) const {
    Vector3d p = q - centre;
    if (yaw != 0) {
      const double c = std::cos(yaw);
      const double s = std::sin(yaw);
      p = Vector3d(c * p.x() + s * p.y(), -s * p.x() + c * p.y(), p.z());
    }
    const Vector3d scaled = p.cwiseQuotient(radii);
    const double k0 = scaled.norm();
    const double k1 = scaled.cwiseQuotient(radii).norm();
    return k1 > 0 ? k0 * (1.0 - k0) / k1 : radii.minCoeff();
  }
};

struct TubePoint {
  Vector3d centre;
  double radius;
};

/// Distance to a chain of cones with round ends, positive inside; radii times `scale`.
double tube_depth(std::span<const TubePoint> points, const Vector3d& q, double scale = 1.0) {
  double best = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const Vector3d axis = points[i + 1].centre - points[i].centre;
    const double t = std::clamp((q - points[i].centre).dot(axis) / axis.squaredNorm(), 0.0, 1.0);
    const double radius = points[i].radius + t * (points[i + 1].radius - points[i].radius);
    best = std::max(best, scale * radius - (q - points[i].centre - t * axis).norm());
  }
  return best;
}

// Canonical shapes of one half of the head, mm, x away from the midline.
const Ellipsoid kPutamen{{24.5, 1.0, 0.5}, {5.2, 15.5, 10.0}, 0.26};
const Ellipsoid kPallidum{{18.3, -3.5, -1.5}, {4.0, 9.0, 6.0}, 0.38};
const Ellipsoid kCaudateHead{{12.0, 13.5, 6.5}, {5.4, 9.5, 9.5}, 0.22};
const Ellipsoid kAccumbens{{10.0, 11.0, -5.5}, {5.0, 5.5, 4.2}};
const Ellipsoid kThalamus{{10.3, -19.0, 7.0}, {8.3, 13.5, 8.8}, 0.35};
const std::array<TubePoint, 4> kCaudateBody{{{{13.0, 8.0, 14.0}, 4.6},
                                             {{15.0, -4.0, 19.0}, 3.6},
                                             {{18.0, -18.0, 20.0}, 2.8},
                                             {{22.0, -28.0, 17.0}, 1.8}}};
const std::array<TubePoint, 7> kVentricleTube{{{{5.5, 29.0, 2.0}, 2.6},
                                               {{6.5, 20.0, 11.0}, 4.2},
                                               {{6.8, 5.0, 17.5}, 4.2},
                                               {{8.5, -12.0, 21.0}, 4.2},
                                               {{14.0, -29.0, 20.0}, 5.2},
                                               {{22.0, -42.0, 12.0}, 6.0},
                                               {{20.0, -58.0, 8.0}, 3.0}}};
const std::array<TubePoint, 3> kTemporalHorn{
    {{{23.0, -41.0, 8.0}, 4.6}, {{32.0, -30.0, -6.0}, 2.6}, {{33.0, -14.0, -16.0}, 1.8}}};
const std::array<TubePoint, 4> kHippocampus{{{{22.0, -9.0, -19.0}, 5.0},
                                             {{27.0, -19.0, -15.5}, 4.8},
                                             {{27.5, -29.0, -9.5}, 4.3},
                                             {{22.0, -37.0, -2.5}, 3.2}}};
const std::array<TubePoint, 2> kMidbrain{
    {{{0.0, -23.0, -10.5}, 10.5}, {{0.0, -26.0, -20.0}, 12.0}}};
const std::array<TubePoint, 3> kBrainStem{
    {{{0.0, -26.0, -22.0}, 14.0}, {{0.0, -27.0, -32.0}, 14.5}, {{0.0, -37.0, -62.0}, 7.5}}};
const Ellipsoid kCerebellum{{15.0, -66.0, -34.0}, {34.0, 27.0, 21.0}};
const Ellipsoid kCerebrum{{0.0, -17.0, 9.0}, {69.0, 87.0, 69.0}};
const Ellipsoid kHead{{0.0, -12.0, 0.0}, {84.0, 105.0, 97.0}};
const Ellipsoid kCistern{{0.0, -1.0, -15.0}, {13.0, 17.0, 9.0}};
const Ellipsoid kCallosum{{0.0, -8.0, 8.0}, {200.0, 40.0, 23.0}};

/// Distance to the basal surface of the cerebrum along z, positive above it.
double above_base(const Vector3d& q) {
  double base = -38.0 + 20.0 * ramp(5.0, 35.0, q.y()) + 24.0 * ramp(34.0, 62.0, -q.y());
  base += 22.0 * (1.0 - ramp(9.0, 19.0, q.x())) * ramp(-16.0, -2.0, q.y()) *
          (1.0 - ramp(8.0, 26.0, q.y()));
  return 0.8 * (q.z() - std::min(base, -9.0));
}

double cerebrum_depth(const Vector3d& m) {
  // The front of the head is narrower than its back.
  const double widening = 1.0 + 0.0022 * std::max(0.0, m.y() + 15.0);
  const double outer = kCerebrum.depth(Vector3d(m.x() * widening, m.y(), m.z()));
  return std::min(outer, above_base(m));
}

/// Distance to the corpus callosum, a 5 mm arch in the midsagittal plane, positive inside.
double callosum_depth(const Vector3d& m) {
  const double inside = kCallosum.depth(m);
  const double arch = std::min(inside, 6.0 - inside);
  return std::min({arch, 16.0 - m.x(), m.z() + 4.0 + 0.25 * std::abs(m.y() + 8.0)});
}

Vector3d mirrored(const Vector3d& q) {
  return {std::abs(q.x()), q.y(), q.z()};
}

bool near_centre(const Vector3d& m) {
  return m.x() < 42.0 && m.y() > -64.0 && m.y() < 38.0 && m.z() > -30.0 && m.z() < 34.0;
}

}  // namespace

const std::array<std::pair<Tissue, Vector3d>, 5>& schematic_centres() {
  static const std::array<std::pair<Tissue, Vector3d>, 5> centres = {{
      {Tissue::kPutamen, kPutamen.centre},
      {Tissue::kPallidum, kPallidum.centre},
      {Tissue::kThalamus, kThalamus.centre},
      {Tissue::kAccumbens, kAccumbens.centre},
      {Tissue::kHippocampus, {24.9, -23.4, -12.1}},
  }};
  return centres;
}

SchematicAnatomy::SchematicAnatomy(const HeadShape& shape, std::uint64_t seed)
    : SchematicAnatomy(shape, core::Random(core::mix_seed(seed, {"anatomy"}))) {}

SchematicAnatomy::SchematicAnatomy(const HeadShape& shape, core::Random random)
    : Anatomy(shape, random),
      folds_(random, kFieldLow, kFieldHigh, 10.0),
      fold_depth_(random, kFieldLow, kFieldHigh, 18.0) {
  draw_texture(random);
}

double SchematicAnatomy::ventricle(const Vector3d& m) const {
  return std::max(tube_depth(kVentricleTube, m, shape().ventricle_size),
                  tube_depth(kTemporalHorn, m, 0.6 + 0.4 * shape().ventricle_size));
}

double SchematicAnatomy::caudate(const Vector3d& m) const {
  const Vector3d before = m - shape().caudate_shift_mm * Vector3d::UnitX();
  return std::max(kCaudateHead.depth(before), tube_depth(kCaudateBody, before));
}

double SchematicAnatomy::basal_ganglia(const Vector3d& m) const {
  return std::max({kPutamen.depth(m), kPallidum.depth(m), kAccumbens.depth(m), caudate(m)});
}

SchematicAnatomy::Cortex SchematicAnatomy::cortex(const Vector3d& q) const {
  const Vector3d m = mirrored(q);
  const double surface = cerebrum_depth(m);
  double distance = surface;
  const double width = shape().sulcus_half_width_mm;
  if (surface > -2.0 && surface < 24.0) {
    // Folds are the zero level of a random function of direction, bent a little with depth.
    const Vector3d from_centre = q - kCerebrum.centre;
    const double radius = from_centre.cwiseQuotient(kCerebrum.radii).norm();
    const Vector3d on_surface =
        kCerebrum.centre + from_centre * (0.35 + 0.65 / std::max(radius, 0.3));
    const double sheet = std::abs(folds_(on_surface)) * 11.0;
    double reach = 11.0 + 9.0 * fold_depth_(on_surface);
    if (std::hypot(m.x() / 34.0, (m.y() + 2.0) / 30.0) < 1.0) reach = std::min(reach, 2.0);
    distance = std::min(distance, std::hypot(sheet, std::max(0.0, surface - reach)) - width);
  }
  // Interhemispheric fissure down to the corpus callosum.
  const double callosum = kCallosum.depth(m);
  distance = std::min(distance, std::hypot(m.x(), std::max(0.0, callosum + 1.5)) - width - 0.2);
  // Lateral (Sylvian) fissure, opening on the insula.
  const double level = m.z() - (-3.0 + 0.42 * (2.0 - m.y()));
  const double beyond = std::max({0.0, 42.0 - m.x(), m.y() - 24.0, -38.0 - m.y()});
  const double sylvian = 0.92 * std::hypot(level, beyond) - width;
  const double spread = std::hypot(m.y() / 26.0, level / 14.0);  // 1 at the insula's rim
  const double opening = (0.3 + 0.8 * width) * std::sqrt(std::max(0.0, 1.0 - spread * spread));
  const double insula =
      std::min(opening - std::abs(m.x() - 40.0 - 3.5 * spread * spread), 18.0 * (1.0 - spread));
  distance = std::min({distance, sylvian, -insula});
  return {distance, surface};
}

/// Paints tissues over each other, blended over the blur at their borders.
struct SchematicAnatomy::Painter {
  const TissueTable& brightness;
  double per_blur;
  TissueSample result;

  void operator()(double depth, Tissue tissue) {
    const double alpha = 0.5 + depth * per_blur;
    if (alpha <= 0) return;
    const float value = brightness[static_cast<std::size_t>(tissue)];
    if (alpha >= 1) {
      result = {value, tissue};
      return;
    }
    result.brightness += static_cast<float>(alpha) * (value - result.brightness);
    if (alpha >= 0.5) result.tissue = tissue;
  }
};

void SchematicAnatomy::paint_deep(const Vector3d& m, Painter& paint) const {
  paint(callosum_depth(m), Tissue::kWhiteMatter);
  paint(tube_depth(kHippocampus, m), Tissue::kHippocampus);
  paint(kThalamus.depth(m), Tissue::kThalamus);
  paint(kPutamen.depth(m), Tissue::kPutamen);
  paint(kPallidum.depth(m), Tissue::kPallidum);
  paint(kAccumbens.depth(m), Tissue::kAccumbens);
  paint(caudate(m), Tissue::kCaudate);
  paint(ventricle(m), Tissue::kVentricle);
  const double third = std::min({1.3 * shape().ventricle_size - m.x(), 10.0 - std::abs(m.z()),
                                 12.0 - std::abs(m.y() + 13.0)});
  paint(third, Tissue::kThirdVentricle);
  // Septum pellucidum between the frontal horns.
  if (m.x() < 2.0 && m.y() > -12.0) {
    const Tissue there = paint.result.tissue;
    paint(0.7 - m.x(), there == Tissue::kVentricle ? Tissue::kWhiteMatter : there);
  }
}

TissueSample SchematicAnatomy::sample(const Vector3d& head, const TissueTable& brightness,
                                      double blur_mm) const {
  const Vector3d q = to_canonical(head);
  const Vector3d m = mirrored(q);
  Painter paint{brightness, 1.0 / blur_mm, {brightness[0], Tissue::kAir}};
  const Cortex folded = cortex(q);
  const bool deep = folded.surface > 26.0;
  if (deep) paint.result = {brightness[static_cast<std::size_t>(Tissue::kCsf)], Tissue::kCsf};
  if (!deep) {
    const double neck = std::min(62.0 - std::hypot(m.x(), 0.8 * (m.y() + 25.0)), -m.z());
    const double head_depth = std::max(kHead.depth(m), neck);
    if (head_depth < -blur_mm) return paint.result;
    paint(head_depth, Tissue::kFat);
    paint(head_depth - 3.5, Tissue::kMuscle);
  }
  const bool low = m.z() < 6.0;
  const double cerebellum = low ? kCerebellum.depth(m) : -100.0;
  const double stem = low ? tube_depth(kBrainStem, m) : -100.0;
  const double midbrain = low ? tube_depth(kMidbrain, m) : -100.0;
  if (!deep || low) {
    const double cavity =
        std::max({folded.surface, cerebellum, stem, midbrain, low ? kCistern.depth(m) : -100.0}) +
        1.5 + shape().sulcus_half_width_mm;
    paint(cavity + 6.0, Tissue::kSkull);
    paint(cavity, Tissue::kCsf);
  }
  const double grey = std::min(folded.csf_distance, folded.surface);
  paint(grey, Tissue::kCortex);
  paint(grey - kCortexThickness, Tissue::kWhiteMatter);
  if (low) {
    paint(cerebellum, Tissue::kCerebellarCortex);
    if (cerebellum > 0) {
      const double leaf = 2.2 * std::sin(1.1 * q.z() + 0.35 * q.y()) - 3.5;
      paint(std::max(cerebellum - 9.0 + leaf, -8.0), Tissue::kCerebellarWhite);
    }
    paint(midbrain, Tissue::kMidbrain);
    paint(stem, Tissue::kBrainStem);
  }
  if (near_centre(m)) paint_deep(m, paint);
  add_texture(head, q, brightness, paint.result);
  return paint.result;
}

double SchematicAnatomy::white_matter_depth_mm(const Vector3d& head) const {
  const Vector3d q = to_canonical(head);
  const Vector3d m = mirrored(q);
  const Cortex folded = cortex(q);
  const double grey = std::min(folded.csf_distance, folded.surface) - kCortexThickness;
  const double deep_grey =
      std::max({basal_ganglia(m), kThalamus.depth(m), ventricle(m), tube_depth(kHippocampus, m),
                tube_depth(kMidbrain, m), tube_depth(kBrainStem, m), kCerebellum.depth(m)});
  return std::min(grey, -deep_grey);
}

double SchematicAnatomy::region_depth_mm(Region region, const Vector3d& head) const {
  const Vector3d q = to_canonical(head);
  const Vector3d m = mirrored(q);
  switch (region) {
    case Region::kBasalGanglia:
      return std::min(basal_ganglia(m), -ventricle(m));
    case Region::kHippocampi:
      return std::min(tube_depth(kHippocampus, m), -ventricle(m));
    case Region::kMidbrain:
      return std::min(tube_depth(kMidbrain, m), -tube_depth(kBrainStem, m));
    case Region::kCentrumSemiovale: {
      const double level = centrum_semiovale_level_mm() / shape().size.z();
      return std::min(white_matter_depth_mm(head), kCsoHalfHeight - std::abs(q.z() - level));
    }
  }
  return 0;
}

double SchematicAnatomy::centrum_semiovale_level_mm() const {
  return ventricle_point(0.62, 1.0).z() + kCsoOffset * shape().size.z();
}

Vector3d SchematicAnatomy::ventricle_point(double position, double side) const {
  // Frontal horn .. atrium: points 0..5 of the tube; `z` is its upper wall.
  const double place = std::clamp(position, 0.0, 1.0) * 5.0;
  const std::size_t i = std::min<std::size_t>(static_cast<std::size_t>(place), 4);
  const double t = place - static_cast<double>(i);
  const Vector3d centre =
      kVentricleTube[i].centre + t * (kVentricleTube[i + 1].centre - kVentricleTube[i].centre);
  const double radius =
      kVentricleTube[i].radius + t * (kVentricleTube[i + 1].radius - kVentricleTube[i].radius);
  const Vector3d wall(side * centre.x(), centre.y(), centre.z() + radius * shape().ventricle_size);
  return wall.cwiseProduct(shape().size);
}

std::pair<Vector3d, Vector3d> SchematicAnatomy::region_box(Region region) const {
  Vector3d low = Vector3d::Zero();
  Vector3d high = Vector3d::Zero();
  switch (region) {
    case Region::kBasalGanglia:
      low = {-34, -36, -18};
      high = {34, 32, 28};
      break;
    case Region::kHippocampi:
      low = {-38, -46, -30};
      high = {38, 2, 8};
      break;
    case Region::kMidbrain:
      low = {-20, -46, -38};
      high = {20, -4, 10};
      break;
    case Region::kCentrumSemiovale:
      low = {-66, -90, 26};
      high = {66, 70, 50};
      break;
  }
  return {low.cwiseProduct(shape().size), high.cwiseProduct(shape().size)};
}

std::pair<Vector3d, Vector3d> SchematicAnatomy::head_box() const {
  return {Vector3d(-88, -121, -100).cwiseProduct(shape().size),
          Vector3d(88, 97, 101).cwiseProduct(shape().size)};
}

}  // namespace epvs::data
