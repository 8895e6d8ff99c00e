#include "data/phantom/raters.h"

#include <cmath>

namespace epvs::data {

using core::Random;

namespace {

constexpr double kClutter = 0.25;
constexpr double kHalfSeen = 5.0;  ///< visibility of an EPVS that is seen half the time
constexpr double kSlope = 2.5;
constexpr std::array<double, kRaters> kMildness = {0.0, 0.15};  ///< log visibility
constexpr double kImagined = 0.3;

}  // namespace

double detection_probability(double contrast, double noise, double volume_mm3, double sensitivity) {
  if (contrast <= 0 || volume_mm3 <= 0) return 0;
  const double visibility = contrast / std::hypot(noise, kClutter) * std::sqrt(volume_mm3 / 10.0);
  return 1.0 / (1.0 + std::pow(visibility * sensitivity / kHalfSeen, -kSlope));
}

std::vector<RegionScore> rate_scan(const SimulationOptions& options, const ScanPlan& plan,
                                   const Participant& participant,
                                   const std::vector<EpvsInScan>& epvs) {
  const bool in_slice = options.rating == Rating::kSlice;
  const double slice_z =
      plan.geometry.to_world(Eigen::Vector3d(0, 0, static_cast<double>(plan.commissure_slice())))
          .z();
  std::vector<RegionScore> scores;
  for (const Region region : options.region_list()) {
    RegionScore& score = scores.emplace_back();
    score.region = region;
    for (std::size_t i = 0; i < epvs.size(); ++i) {
      if (participant.epvs[i].region != region) continue;
      ++score.true_count;
      if (epvs[i].in_commissure_slice) ++score.true_count_slice;
    }
    for (std::size_t rater = 0; rater < kRaters; ++rater) {
      Random random(
          core::mix_seed(plan.seed, {"rater", static_cast<int>(rater), region_name(region)}));
      const double sensitivity = options.rater_sensitivity *
                                 std::exp(kMildness[rater] + random.normal(0, options.rater_noise));
      int count = 0;
      for (std::size_t i = 0; i < epvs.size(); ++i) {
        const Perivascular& one = participant.epvs[i];
        if (one.region != region || (in_slice && !epvs[i].in_commissure_slice)) continue;
        const double radius = one.diameter_mm / 2;
        const double volume = M_PI * radius * radius * one.length_mm();
        count += random.flip(detection_probability(epvs[i].contrast, plan.profile.noise, volume,
                                                   sensitivity))
                     ? 1
                     : 0;
      }
      for (const Lesion& lesion : participant.lesions) {
        if (lesion.kind != LesionKind::kLacune || lesion.region != region_name(region)) continue;
        const double off_slice = std::abs(plan.to_world(lesion.centre).z() - slice_z);
        if (in_slice && off_slice > lesion.radii_mm.z()) continue;
        count += random.flip(options.lacune_confusion) ? 1 : 0;
      }
      count += static_cast<int>(random.poisson(in_slice ? 0.3 * kImagined : kImagined));
      score.raters[rater] = count;
    }
  }
  return scores;
}

}  // namespace epvs::data
