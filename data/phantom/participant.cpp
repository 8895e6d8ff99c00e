#include "data/phantom/participant.h"

#include <fmt/format.h>

#include <Eigen/Geometry>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/phantom/schematic_anatomy.h"

namespace epvs::data {

using core::Random;
using Eigen::Vector3d;

namespace {

constexpr double kReferenceAge = 70.0;
constexpr double kLineStepMm = 0.8;
constexpr int kTries = 400;  ///< positions tried for each EPVS
constexpr double kClusterMm = 2.5;
constexpr double kVentricleRadiusMm = 4.2;  ///< beside the caudate, at size 1

Vector3d unit(const Vector3d& v) {
  return v / v.norm();
}

Vector3d random_vector(Random& random) {
  return {random.normal(), random.normal(), random.normal()};
}

/// The direction in which vessels of a region run: up the striatum, along the hippocampus, from the
/// ventricle to the cortex, along the brain stem.
Vector3d vessel_direction(Region region, const Vector3d& at) {
  const double side = at.x() < 0 ? -1.0 : 1.0;
  switch (region) {
    case Region::kBasalGanglia:
      return unit({0.3 * side, 0.05, 1.0});
    case Region::kHippocampi:
      return unit({0.15 * side, -0.75, 0.45});
    case Region::kCentrumSemiovale:
      return unit({0.8 * side, 0.012 * (at.y() + 15.0), 0.45});
    case Region::kMidbrain:
      return unit({0.1 * side, -0.5, 1.0});
  }
  return Vector3d::UnitZ();
}

/// A parabola through `centre` with arc length close to `length`, both ends included.
std::vector<Vector3d> curved_line(Random& random, const Vector3d& centre, const Vector3d& direction,
                                  double length) {
  const Vector3d tangent = unit(direction + 0.3 * random_vector(random));
  const Vector3d bend = unit(tangent.cross(unit(random_vector(random) + Vector3d(0.01, 0.02, 0))));
  const double curvature = random.uniform(0.0, 0.07);  // 1 / mm
  const int steps = std::max(2, static_cast<int>(std::ceil(length / kLineStepMm)));
  std::vector<Vector3d> line;
  for (int i = 0; i <= steps; ++i) {
    const double s = length * (static_cast<double>(i) / steps - 0.5);
    line.push_back(centre + s * tangent + 0.5 * curvature * s * s * bend);
  }
  return line;
}

double truncated_normal(Random& random, double mean, double sd, double low, double high) {
  for (int i = 0; i < 1000; ++i) {
    const double value = random.normal(mean, sd);
    if (value >= low && value <= high) return value;
  }
  return std::clamp(mean, low, high);
}

bool lies_inside(const Anatomy& anatomy, const Perivascular& epvs) {
  const double radius = epvs.diameter_mm / 2;
  // The white matter must hold the whole tube; in grey matter its ends may leave the region a
  // little.
  const double margin = epvs.region == Region::kCentrumSemiovale ? radius + 0.5 : -0.8;
  if (anatomy.region_depth_mm(epvs.region, epvs.centre()) < radius) return false;
  for (std::size_t i = 0; i < epvs.line.size(); i += 2) {
    if (epvs.region == Region::kCentrumSemiovale
            ? anatomy.white_matter_depth_mm(epvs.line[i]) < margin
            : anatomy.region_depth_mm(epvs.region, epvs.line[i]) < margin) {
      return false;
    }
  }
  return true;
}

bool has_room(const std::vector<Perivascular>& others, const Perivascular& epvs, double gap) {
  return std::all_of(others.begin(), others.end(), [&](const Perivascular& other) {
    const double needed = (other.diameter_mm + epvs.diameter_mm) / 2 + gap;
    const double reach = (other.length_mm() + epvs.length_mm()) / 2 + needed;
    if ((other.centre() - epvs.centre()).norm() > reach) return true;
    return distance_of_lines_mm(other.line, epvs.line) >= needed;
  });
}

Vector3d point_in_box(Random& random, const std::pair<Vector3d, Vector3d>& box) {
  return {random.uniform(box.first.x(), box.second.x()),
          random.uniform(box.first.y(), box.second.y()),
          random.uniform(box.first.z(), box.second.z())};
}

void place_epvs(const SimulationOptions& options, Random& random, Region region,
                std::int64_t wanted, Participant& participant) {
  const Anatomy& anatomy = *participant.anatomy;
  const auto box = anatomy.region_box(region);
  const std::size_t first = participant.epvs.size();
  for (std::int64_t i = 0; i < wanted; ++i) {
    Perivascular epvs;
    epvs.region = region;
    epvs.brightness = random.uniform(options.brightness_range[0], options.brightness_range[1]);
    epvs.diameter_mm = truncated_normal(random, options.diameter_mean_mm, options.diameter_sd_mm,
                                        options.diameter_range_mm[0], options.diameter_range_mm[1]);
    double length = random.uniform(options.length_range_mm[0], options.length_range_mm[1]);
    const bool clustered = participant.epvs.size() > first && random.flip(options.cluster_fraction);
    bool placed = false;
    for (int attempt = 0; attempt < kTries && !placed; ++attempt) {
      // A crowded region takes shorter ones.
      if (attempt % 100 == 99) length = std::max(options.length_range_mm[0], 0.75 * length);
      Vector3d centre = point_in_box(random, box);
      if (clustered && attempt < kTries / 4) {
        const auto last = static_cast<std::int64_t>(participant.epvs.size()) - 1;
        const auto other = random.integer(static_cast<std::int64_t>(first), last);
        centre = participant.epvs[static_cast<std::size_t>(other)].centre() +
                 kClusterMm * random_vector(random);
      }
      if (anatomy.region_depth_mm(region, centre) < epvs.diameter_mm / 2) {
        if (random.flip(0.92)) --attempt;  // most points of the box lie outside: not a real try
        continue;
      }
      epvs.line = curved_line(random, centre, vessel_direction(region, centre), length);
      placed =
          lies_inside(anatomy, epvs) && has_room(participant.epvs, epvs, options.minimum_gap_mm);
    }
    if (placed) {
      participant.epvs.push_back(std::move(epvs));
    } else {
      ++participant.not_placed;
    }
  }
}

bool clear_of_epvs(const Participant& participant, const Vector3d& centre, double radius,
                   double gap) {
  return std::all_of(
      participant.epvs.begin(), participant.epvs.end(), [&](const Perivascular& epvs) {
        return distance_to_line_mm(epvs.line, centre) > radius + epvs.diameter_mm / 2 + gap;
      });
}

bool clear_of_lesions(const Participant& participant, const Vector3d& centre, double radius) {
  return std::all_of(
      participant.lesions.begin(), participant.lesions.end(), [&](const Lesion& lesion) {
        return (lesion.centre - centre).norm() > radius + lesion.radii_mm.maxCoeff() + 1.0;
      });
}

std::string region_at(const SimulationOptions& options, const Anatomy& anatomy,
                      const Vector3d& point) {
  for (const Region region : options.region_list()) {
    if (anatomy.region_depth_mm(region, point) > 0) return region_name(region);
  }
  return "n/a";
}

/// Lacunes of 3 to 8 mm in the basal ganglia (most) and in deep white matter.
void place_lacunes(const SimulationOptions& options, Random& random, double mean,
                   Participant& participant) {
  const Anatomy& anatomy = *participant.anatomy;
  const std::int64_t wanted = random.poisson(mean);
  for (std::int64_t i = 0; i < wanted; ++i) {
    const bool in_grey = options.basal_ganglia_only() || random.flip(0.6);
    const auto box =
        anatomy.region_box(in_grey ? Region::kBasalGanglia : Region::kCentrumSemiovale);
    const double radius = random.uniform(1.5, 4.0);
    for (int attempt = 0; attempt < 3000; ++attempt) {
      const Vector3d centre = point_in_box(random, box);
      const double depth = in_grey ? anatomy.region_depth_mm(Region::kBasalGanglia, centre)
                                   : anatomy.white_matter_depth_mm(centre);
      if (depth < 0.6 * radius || !clear_of_epvs(participant, centre, radius, 2.0) ||
          !clear_of_lesions(participant, centre, radius)) {
        continue;
      }
      const Vector3d radii = radius * Vector3d(random.uniform(0.75, 1.0), random.uniform(0.75, 1.0),
                                               random.uniform(0.75, 1.0));
      participant.lesions.push_back(
          {LesionKind::kLacune, centre, radii, region_at(options, anatomy, centre)});
      break;
    }
  }
}

/// Caps at both ends of the ventricles and blobs in white matter.
void place_white_matter_lesions(const SimulationOptions& options, Random& random, double mean,
                                double age, Participant& participant) {
  const Anatomy& anatomy = *participant.anatomy;
  const double cap = std::clamp(0.8 + 0.05 * (age - 60.0) + random.normal(0, 0.4), 0.0, 3.5);
  for (const double side : {-1.0, 1.0}) {
    for (const double end : {0.12, 0.95}) {
      const Vector3d wall = anatomy.ventricle_point(end, side);
      const Vector3d radii = Vector3d(3.0, 4.5, 3.5) * (0.4 + 0.35 * cap);
      const Vector3d centre = wall + Vector3d(1.5 * side, end < 0.5 ? 3.0 : -3.0, 0.0);
      if (cap > 0.3 && clear_of_epvs(participant, centre, radii.maxCoeff(), 1.0)) {
        participant.lesions.push_back({LesionKind::kWhiteMatter, centre, radii, "n/a"});
      }
    }
  }
  if (options.basal_ganglia_only()) mean *= 0.25;  // the part of the white matter that is seen
  const std::int64_t wanted = random.poisson(mean);
  auto box = anatomy.region_box(Region::kCentrumSemiovale);
  if (options.basal_ganglia_only()) box = {Vector3d(-44, -36, 10), Vector3d(44, 34, 32)};
  for (std::int64_t i = 0; i < wanted; ++i) {
    const double radius = 2.0 + random.gamma(1.5, 1.2);
    for (int attempt = 0; attempt < 600; ++attempt) {
      const Vector3d centre = point_in_box(random, box);
      if (anatomy.white_matter_depth_mm(centre) < radius ||
          !clear_of_epvs(participant, centre, radius, 1.0) ||
          !clear_of_lesions(participant, centre, radius)) {
        continue;
      }
      const Vector3d radii = radius * Vector3d(random.uniform(0.7, 1.2), random.uniform(0.8, 1.5),
                                               random.uniform(0.7, 1.1));
      participant.lesions.push_back(
          {LesionKind::kWhiteMatter, centre, radii, region_at(options, anatomy, centre)});
      break;
    }
  }
}

/// Thin tubes of 0.3 to 0.7 mm that run as the EPVS do, a quarter of them bright, clear of EPVS.
void place_vessels(Random& random, double mean, Participant& participant) {
  const Anatomy& anatomy = *participant.anatomy;
  const auto box = anatomy.region_box(Region::kBasalGanglia);
  const std::int64_t wanted = random.poisson(mean);
  for (std::int64_t i = 0; i < wanted; ++i) {
    Vessel vessel;
    vessel.diameter_mm = random.uniform(0.3, 0.7);
    vessel.bright = random.flip(0.25);
    const double length = random.uniform(6, 18);
    for (int attempt = 0; attempt < 600; ++attempt) {
      const Vector3d centre = point_in_box(random, box);
      if (anatomy.region_depth_mm(Region::kBasalGanglia, centre) < 1.0) continue;
      vessel.line =
          curved_line(random, centre, vessel_direction(Region::kBasalGanglia, centre), length);
      const bool clear = std::all_of(
          participant.epvs.begin(), participant.epvs.end(), [&](const Perivascular& epvs) {
            return distance_of_lines_mm(epvs.line, vessel.line) > epvs.diameter_mm / 2 + 0.8;
          });
      if (!clear) continue;
      participant.vessels.push_back(std::move(vessel));
      break;
    }
  }
}

HeadShape head_shape(Random& random, double age, bool female) {
  const double decades = (age - kReferenceAge) / 10.0;
  HeadShape shape;
  const double whole = std::clamp(random.normal(female ? 0.97 : 1.01, 0.03), 0.9, 1.1);
  for (int axis = 0; axis < 3; ++axis) {
    shape.size[axis] = whole * std::clamp(random.normal(1.0, 0.02), 0.94, 1.06);
  }
  shape.ventricle_size = std::clamp(1.05 + 0.14 * decades + random.normal(0, 0.14), 0.6, 1.75);
  shape.sulcus_half_width_mm = std::clamp(0.8 + 0.12 * decades + random.normal(0, 0.12), 0.4, 1.6);
  shape.deformation_mm = random.uniform(1.4, 2.4);
  return shape;
}

/// What goes with the burden of EPVS beyond age: `deviation` in standard deviations.
void add_atrophy(double deviation, HeadShape& shape) {
  const double before = shape.ventricle_size;
  shape.ventricle_size = std::clamp(before + 0.3 * deviation, 0.6, 2.0);
  shape.caudate_shift_mm = kVentricleRadiusMm * (shape.ventricle_size - before);
  shape.sulcus_half_width_mm = std::clamp(shape.sulcus_half_width_mm + 0.4 * deviation, 0.4, 2.0);
}

}  // namespace

double Perivascular::length_mm() const {
  double length = 0;
  for (std::size_t i = 1; i < line.size(); ++i) length += (line[i] - line[i - 1]).norm();
  return length;
}

Vector3d Perivascular::centre() const {
  const std::size_t n = line.size();
  return n % 2 == 1 ? line[n / 2] : Vector3d(0.5 * (line[n / 2 - 1] + line[n / 2]));
}

double distance_to_line_mm(const std::vector<Vector3d>& line, const Vector3d& point) {
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t i = 1; i < line.size(); ++i) {
    const Vector3d axis = line[i] - line[i - 1];
    const double t = std::clamp((point - line[i - 1]).dot(axis) / axis.squaredNorm(), 0.0, 1.0);
    best = std::min(best, (point - line[i - 1] - t * axis).squaredNorm());
  }
  return std::sqrt(best);
}

double distance_of_lines_mm(const std::vector<Vector3d>& a, const std::vector<Vector3d>& b) {
  double best = std::numeric_limits<double>::infinity();
  for (const Vector3d& point : a) best = std::min(best, distance_to_line_mm(b, point));
  for (const Vector3d& point : b) best = std::min(best, distance_to_line_mm(a, point));
  return best;
}

int Participant::count(Region region) const {
  return static_cast<int>(std::count_if(
      epvs.begin(), epvs.end(), [&](const Perivascular& one) { return one.region == region; }));
}

std::string participant_name(int index) {
  return fmt::format("sub-{:04d}", index + 1);
}

Participant simulate_participant(const SimulationOptions& options, std::uint64_t seed, int index,
                                 const std::vector<std::shared_ptr<const LabelHead>>& heads) {
  Participant participant;
  participant.id = participant_name(index);
  const std::uint64_t own = core::mix_seed(seed, {"participant", index});
  Random random(core::mix_seed(own, {"person"}));
  participant.age_years =
      std::round(10.0 * truncated_normal(random, options.age_mean_years, options.age_sd_years,
                                         options.age_min_years, options.age_max_years)) /
      10.0;
  participant.female = random.flip(0.45);
  // Scanners in turn, each as often as its share, in an order that differs from round to round.
  std::vector<std::string> turn;
  for (const auto& [name, share] : options.scanner_shares()) {
    turn.insert(turn.end(), static_cast<std::size_t>(share), name);
  }
  const std::size_t scanners = turn.size();
  const auto round = static_cast<std::int64_t>(static_cast<std::size_t>(index) / scanners);
  Random order(core::mix_seed(seed, {"scanners", round}));
  participant.scanner =
      turn[order.permutation(scanners)[static_cast<std::size_t>(index) % scanners]];
  participant.sessions = index < options.rescans ? 2 : 1;

  HeadShape shape = head_shape(random, participant.age_years, participant.female);
  shape.deep_texture = options.texture;
  const double decades = (participant.age_years - kReferenceAge) / 10.0;
  const double sd = options.burden_sd;
  const double deviation = random.normal();  // of the burden at this age
  const double burden =
      std::exp(sd * deviation - sd * sd / 2) * std::pow(options.ratio_per_decade, decades);
  add_atrophy(options.comorbidity * deviation, shape);
  if (heads.empty()) {
    participant.anatomy = std::make_shared<const SchematicAnatomy>(shape, own);
  } else {
    const auto& head = heads[static_cast<std::size_t>(index) % heads.size()];
    participant.anatomy = std::make_shared<const LabelAnatomy>(head, shape, own);
  }

  for (const Region region : options.region_list()) {
    Random placing(core::mix_seed(own, {"epvs", region_name(region)}));
    const double mean = options.mean_count_of(region) * burden;
    std::int64_t wanted =
        mean > 0 ? placing.negative_binomial(mean, options.dispersion_of(region)) : 0;
    if (placing.flip(options.zero_fraction)) wanted = 0;
    place_epvs(options, placing, region, wanted, participant);
  }
  Random lesions(core::mix_seed(own, {"lesions"}));
  const double share = std::pow(1.35, decades) *
                       std::exp(options.comorbidity * (deviation - options.comorbidity / 2));
  place_lacunes(options, lesions, options.lacunes * share, participant);
  place_white_matter_lesions(options, lesions, options.white_matter_lesions * share,
                             participant.age_years, participant);
  place_vessels(lesions, options.vessels, participant);
  return participant;
}

}  // namespace epvs::data
