#include "data/phantom/scanner.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace epvs::data {

namespace {

TissueParameters mixed(const TissueParameters& a, const TissueParameters& b, double part_of_b) {
  const auto blend = [&](double x, double y) { return x + part_of_b * (y - x); };
  return {blend(a.t1_ms, b.t1_ms), 1.0 / blend(1.0 / a.t2_ms, 1.0 / b.t2_ms),
          blend(a.proton_density, b.proton_density)};
}

/// Iron that cortex does not have, mg per 100 g of wet tissue (Hallgren & Sourander 1958).
double iron(Tissue tissue, double age) {
  constexpr double kCortex = 3.0;
  switch (tissue) {
    case Tissue::kPallidum:
      return 21.41 * (1.0 - std::exp(-0.09 * age)) + 0.37 - kCortex;
    case Tissue::kPutamen:
      return 14.62 * (1.0 - std::exp(-0.04 * age)) + 0.46 - kCortex;
    case Tissue::kCaudate:
    case Tissue::kAccumbens:
      return 9.66 * (1.0 - std::exp(-0.05 * age)) + 0.33 - kCortex;
    case Tissue::kThalamus:
      return 1.8;
    default:
      return 0;
  }
}

}  // namespace

TissueParameters tissue_parameters(Tissue tissue, double field, double age_years) {
  // 1.5 T: Kwan 1999. 3 T: T1 of Wansapura 1999. 1 T: T1 falls with the cube root of the field.
  const bool high = field > 2.0;
  const double slower = high ? 1.0 : std::cbrt(field / 1.5);
  const TissueParameters csf =
      high ? TissueParameters{4000, 2000, 1.0} : TissueParameters{2569, 329, 1.0};
  const TissueParameters grey =
      high ? TissueParameters{1331, 69, 0.86} : TissueParameters{833 * slower, 83, 0.86};
  const TissueParameters white =
      high ? TissueParameters{832, 56, 0.77} : TissueParameters{500 * slower, 70, 0.77};
  // Rate of T2 per mg of iron: from 39 ms in pallidum and 69 ms in cortex at 3 T, 0.2 / (s T mg).
  const auto deep = [&](double part_white) {
    TissueParameters one = mixed(grey, white, part_white);
    one.t2_ms = 1.0 / (1.0 / one.t2_ms + 0.2e-3 * field * std::max(0.0, iron(tissue, age_years)));
    return one;
  };
  switch (tissue) {
    case Tissue::kAir:
      return {1, 1, 0};
    case Tissue::kFat:
      return {high ? 370.0 : 290.0, 130, 0.9};
    case Tissue::kMuscle:
      return {high ? 1412.0 : 1008.0, high ? 50.0 : 44.0, 0.8};
    case Tissue::kSkull:
      return {500, 30, 0.2};
    case Tissue::kCsf:
    case Tissue::kVentricle:
    case Tissue::kThirdVentricle:
      return csf;
    case Tissue::kCortex:
    case Tissue::kCerebellarCortex:
    case Tissue::kHippocampus:
      return grey;
    case Tissue::kThalamus:
    case Tissue::kPallidum:
      return deep(tissue == Tissue::kPallidum ? 0.0 : 0.5);
    case Tissue::kCaudate:
    case Tissue::kPutamen:
    case Tissue::kAccumbens:
      return deep(0.0);
    case Tissue::kMidbrain:
    case Tissue::kBrainStem:
      return mixed(grey, white, 0.75);
    case Tissue::kWhiteMatter:
    case Tissue::kCerebellarWhite:
      return white;
  }
  return white;
}

double spin_echo(const TissueParameters& tissue, double repetition_time_ms, double echo_time_ms) {
  return tissue.proton_density * (1.0 - std::exp(-repetition_time_ms / tissue.t1_ms)) *
         std::exp(-echo_time_ms / tissue.t2_ms);
}

const std::vector<ScannerProfile>& scanner_profiles() {
  // P1's scanner with its own protocol and with a later echo (P2 calls the same scanner's images
  // T2-weighted); then P2's nine, shares and voxels chosen so that the mixture has its Table 1.
  // P2 names no protocol: TR, TE, noise and bias are ours.
  static const std::vector<ScannerProfile> profiles = {
      {"research-1.5t", 1.5, 12300, 60, 0.5, 0.8, 0.8, 0.07, 0.10, true, 0},
      {"research-pd-1.5t", 1.5, 12300, 17.3, 0.49, 1.6, 0.8, 0.035, 0.10, true, 0, 0.2},
      {"philips-3t", 3.0, 3000, 80, 0.45, 4.0, 4.4, 0.03, 0.22, false, 36},
      {"philips-1.5t", 1.5, 4500, 100, 0.44, 5.0, 5.8, 0.05, 0.10, true, 30},
      {"philips-1.5t-b", 1.5, 4000, 90, 0.47, 4.5, 5.0, 0.05, 0.12, false, 2},
      {"philips-1.5t-c", 1.5, 5000, 110, 0.39, 6.0, 6.6, 0.06, 0.10, true, 1},
      {"philips-1t", 1.0, 3500, 90, 0.68, 6.0, 7.0, 0.08, 0.08, true, 1},
      {"philips-1t-b", 1.0, 4000, 100, 0.49, 5.0, 6.0, 0.09, 0.08, false, 1},
      {"siemens-3t", 3.0, 5000, 90, 0.45, 3.0, 3.3, 0.04, 0.20, true, 2},
      {"siemens-3t-b", 3.0, 6000, 95, 0.43, 3.0, 3.3, 0.04, 0.22, true, 1},
      {"siemens-1.5t", 1.5, 4000, 76, 0.6, 3.0, 3.3, 0.05, 0.12, true, 2},
  };
  return profiles;
}

const ScannerProfile& scanner_profile(const std::string& name) {
  std::vector<std::string> names = {"clinical"};
  for (const ScannerProfile& profile : scanner_profiles()) {
    if (profile.name == name) return profile;
    names.push_back(profile.name);
  }
  throw core::UsageError(
      fmt::format("scanner '{}' is unknown{}", name, core::did_you_mean(name, names)),
      "profiles: " + core::join(names, ", "));
}

TissueTable tissue_brightness(const ScannerProfile& profile, double age_years) {
  const auto signal = [&](Tissue tissue) {
    return spin_echo(tissue_parameters(tissue, profile.field_strength_t, age_years),
                     profile.repetition_time_ms, profile.echo_time_ms);
  };
  const double white = signal(Tissue::kWhiteMatter);
  TissueTable table{};
  for (std::size_t i = 0; i < kTissues; ++i) {
    table[i] = static_cast<float>(signal(static_cast<Tissue>(i)) / white);
  }
  return table;
}

ScannerProfile randomised(const ScannerProfile& profile, core::Random& random) {
  const auto log_uniform = [&](double low, double high) {
    return std::exp(random.uniform(std::log(low), std::log(high)));
  };
  ScannerProfile drawn = profile;
  drawn.field_strength_t =
      std::array{1.0, 1.5, 3.0}[static_cast<std::size_t>(random.integer(0, 2))];
  drawn.repetition_time_ms = log_uniform(2500, 12000);
  drawn.echo_time_ms = random.uniform(45, 130);
  drawn.in_plane_mm = random.uniform(0.39, 0.85);
  const bool thin = random.flip(0.4);
  drawn.slice_thickness_mm = thin ? random.uniform(0.8, 2.0) : random.uniform(2.5, 6.0);
  drawn.slice_spacing_mm = drawn.slice_thickness_mm * (thin ? 1.0 : random.uniform(1.0, 1.25));
  drawn.slice_edge = random.uniform(0.05, 0.6);
  drawn.noise = log_uniform(0.015, 0.12);
  drawn.bias = random.uniform(0, 0.3);
  drawn.left_to_right = random.flip(0.5);
  return drawn;
}

double slice_profile(double offset_mm, double thickness_mm, double edge) {
  const double from_edge = (std::abs(offset_mm) / thickness_mm - 0.5) / edge;
  if (from_edge <= -0.5) return 1;
  if (from_edge >= 0.5) return 0;
  return 0.5 * (1.0 - std::sin(M_PI * from_edge));
}

}  // namespace epvs::data
