// Scanners: protocol, voxels, noise, and the brightness of every tissue that follows from its
// relaxation times.
#pragma once

#include <string>
#include <vector>

#include "data/phantom/anatomy.h"

namespace epvs::data {

/// Relaxation times in ms and proton density (CSF = 1).
struct TissueParameters {
  double t1_ms = 0;
  double t2_ms = 0;
  double proton_density = 0;
};

/// At a field strength in T and an age in years (iron shortens T2 of deep grey matter). Values and
/// their sources: docs/phantom.md.
TissueParameters tissue_parameters(Tissue tissue, double field_strength_t, double age_years);

/// Signal of a spin echo: PD (1 - exp(-TR / T1)) exp(-TE / T2).
double spin_echo(const TissueParameters& tissue, double repetition_time_ms, double echo_time_ms);

struct ScannerProfile {
  std::string name;
  double field_strength_t = 1.5;
  double repetition_time_ms = 4000;
  double echo_time_ms = 100;
  double in_plane_mm = 0.5;
  double slice_thickness_mm = 0.8;  ///< width of the slice profile at half its height
  double slice_spacing_mm = 0.8;    ///< distance of slice centres: thickness plus gap
  double noise = 0.04;              ///< standard deviation of the complex noise, white matter = 1
  double bias = 0.10;               ///< amplitude of the logarithm of the bias field
  bool left_to_right = true;        ///< stored order of x: true = RAS, false = LAS
  int clinical_share = 0;           ///< of 76 scans of the mixture `clinical`
  /// How much scale and receive field differ from scan to scan: 1 between hospitals' days and coils,
  /// less where one scanner, coil and protocol serve a study.
  double drift = 1;
  double slice_edge = 0.2;  ///< width of a slice's edge, part of its thickness

  /// Proton density weighting, where the echo comes before 40 ms: the scan's name ends in _PDw.
  bool is_pdw() const { return echo_time_ms < 40; }
};

const std::vector<ScannerProfile>& scanner_profiles();
/// Throws UsageError naming the nearest profile.
const ScannerProfile& scanner_profile(const std::string& name);

/// Brightness of every tissue for a scanner at an age; white matter = 1.
TissueTable tissue_brightness(const ScannerProfile& profile, double age_years);

/// Height of the slice profile at an offset from the slice's centre: a top-hat whose edges are
/// raised cosines, `edge` of the thickness wide; half height at half the thickness.
double slice_profile(double offset_mm, double thickness_mm, double edge);

/// The profile with field, TR, TE, voxels, slice profile, noise and bias drawn anew, wide.
ScannerProfile randomised(const ScannerProfile& profile, core::Random& random);

}  // namespace epvs::data
