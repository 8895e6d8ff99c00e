#include "data/phantom/raters.h"

#include <algorithm>
#include <cmath>

namespace epvs::data {

using core::Random;

namespace {

constexpr double kClutter = 0.17;
constexpr double kHalfSeen = 5.0;  ///< visibility of an EPVS that is seen half the time
constexpr double kSlope = 2.5;
constexpr std::array<double, 2> kMildness = {0.0, 0.15};  ///< log visibility
constexpr double kImagined = 0.3;

/// Chance in one rating: a part that belongs to rater and scan, a part that is new every time.
class Chance {
 public:
  Chance(std::uint64_t seed, int rater, int time, const std::string& region, double share)
      : lasting_(core::mix_seed(seed, {"rater", rater, region})),
        passing_(core::mix_seed(seed, {"rating", rater, time, region})),
        share_(share) {}

  double normal(double sd) {
    const double lasting = lasting_.normal();
    return sd * (std::sqrt(share_) * lasting + std::sqrt(1 - share_) * passing_.normal());
  }
  bool flip(double probability) {
    const double lasting = lasting_.uniform();
    const double passing = passing_.uniform();
    return (passing_.flip(share_) ? lasting : passing) < probability;
  }
  int poisson(double mean) {
    return static_cast<int>(lasting_.poisson(share_ * mean) +
                            passing_.poisson((1 - share_) * mean));
  }

 private:
  Random lasting_;
  Random passing_;
  double share_;
};

/// What a rater counts in the region, or in the slice of it that he reads: EPVS go to `counted`.
int count(const SimulationOptions& options, const ScanPlan& plan, const Participant& participant,
          const std::vector<EpvsInScan>& epvs, Region region, std::size_t rater, int time,
          std::vector<std::size_t>& counted) {
  Chance chance(plan.seed, static_cast<int>(rater), time, region_name(region),
                options.repeat_share);
  const double sensitivity =
      options.rater_sensitivity *
      std::exp(kMildness[rater] + chance.normal(options.rater_noise_of(region)));
  std::optional<std::int64_t> slice;
  if (options.rating == Rating::kSlice) slice = plan.rated_slice(region);
  if (slice) {
    const double error = chance.normal(options.slice_error_mm) / plan.geometry.spacing_mm().z();
    slice = std::clamp<std::int64_t>(*slice + std::llround(error), 0, plan.geometry.shape[2] - 1);
  }
  const double csf = static_cast<double>(tissue_brightness(
      plan.profile, participant.age_years)[static_cast<std::size_t>(Tissue::kCsf)]);
  for (std::size_t i = 0; i < epvs.size(); ++i) {
    const Perivascular& one = participant.epvs[i];
    if (one.region != region) continue;
    const double radius = one.diameter_mm / 2;
    const bool seen =
        chance.flip(detection_probability(epvs[i].contrast, plan.profile.noise, csf,
                                          M_PI * radius * radius * one.length_mm(), sensitivity));
    if (seen && (!slice || epvs[i].passes(*slice))) counted.push_back(i);
  }
  int others = 0;
  for (const Lesion& lesion : participant.lesions) {
    if (lesion.kind != LesionKind::kLacune || lesion.region != region_name(region)) continue;
    const bool mistaken = chance.flip(options.lacune_confusion);
    const double z = plan.geometry.to_voxel(plan.to_world(lesion.centre)).z();
    const double reach = lesion.radii_mm.z() / plan.geometry.spacing_mm().z();
    const bool there = !slice || std::abs(z - static_cast<double>(*slice)) <= reach;
    others += mistaken && there ? 1 : 0;
  }
  others += chance.poisson(slice ? kImagined / 3 : kImagined);
  return static_cast<int>(counted.size()) + others;
}

}  // namespace

double detection_probability(double contrast, double noise, double csf, double volume_mm3,
                             double sensitivity) {
  if (contrast <= 0 || volume_mm3 <= 0) return 0;
  const double visibility =
      contrast / std::hypot(noise, kClutter * (csf - 1)) * std::sqrt(volume_mm3 / 10.0);
  return 1.0 / (1.0 + std::pow(visibility * sensitivity / kHalfSeen, -kSlope));
}

std::vector<RegionScore> rate_scan(const SimulationOptions& options, const ScanPlan& plan,
                                   const Participant& participant,
                                   const std::vector<EpvsInScan>& epvs) {
  std::vector<RegionScore> scores;
  for (const Region region : options.region_list()) {
    RegionScore& score = scores.emplace_back();
    score.region = region;
    const std::optional<std::int64_t> slice = plan.rated_slice(region);
    for (std::size_t i = 0; i < epvs.size(); ++i) {
      if (participant.epvs[i].region != region) continue;
      ++score.true_count;
      if (!slice || epvs[i].passes(*slice)) ++score.true_count_slice;
    }
    for (std::size_t i = 0; i < kRatings; ++i) {
      const std::size_t rater = std::min<std::size_t>(i, 1);
      std::vector<std::size_t> counted;
      score.raters[i] = count(options, plan, participant, epvs, region, rater,
                              static_cast<int>(i - rater), counted);
      if (i == 0) score.marked = std::move(counted);
    }
  }
  return scores;
}

}  // namespace epvs::data
