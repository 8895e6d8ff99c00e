// What was done to a scan before the network sees it. Stored in the cohort file and in the metadata
// of weights, so that weights refuse a cohort that was prepared differently.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"

namespace epvs::data {

struct PreprocessingOptions {
  std::string preset = "p2";  ///< p1, p2 or custom: where the values below come from
  std::string region = "bg";  ///< bg, hippocampi, cso, midbrain or a custom region
  std::array<double, 3> spacing_mm = {0.5, 0.5, 0.8};        ///< network grid, x y z
  std::array<std::int64_t, 3> crop_voxels = {168, 128, 84};  ///< x y z
  int dilation_voxels = 4;    ///< iterations of binary dilation, 6-neighbourhood (P1)
  double sigma_voxels = 2.0;  ///< of the Gaussian that smooths the mask (P1)
  /// "max": divide by the maximum of the product (P1);
  /// "minmax": (v - min)/(max - min) over the dilated mask, clipped, times the soft mask (P2).
  std::string normalisation = "minmax";
  std::string registration = "none";  ///< none, or rigid (to the template, P1)
  /// none, or n4: the scan is divided by its bias field first. Files without it say none.
  std::string bias_correction = "none";
  std::vector<std::int64_t> labels;  ///< label numbers that form the region
  std::string label_source = "n/a";  ///< freesurfer, synthseg, atlas, ... : differs -> warning

  core::Json to_json() const;
  static PreprocessingOptions from_json(const core::Json& document);
  /// Names of fields that a network cannot bridge, with both values: "spacing_mm: 0.5,0.5,0.8 and
  /// 0.5,0.5,0.5". Empty when the two fit. Looks at region, spacing, crop, dilation, sigma,
  /// normalisation, registration, bias correction; not at preset, labels and label_source.
  std::vector<std::string> differences(const PreprocessingOptions& other) const;
};

}  // namespace epvs::data
