// How training volumes are transformed; without Torch.
#pragma once

#include <string>
#include <vector>

namespace epvs::train {

/// Flips have anatomical names. P1's text flips "x and y"; P1 Table 3 names them FlipX = along the
/// sagittal axis = front_back (our tensors' Y), FlipY = left_right (X), FlipZ = up_down (Z).
struct AugmentationOptions {
  bool enabled = true;
  std::vector<std::string> flips = {"left_right",
                                    "front_back"};  ///< P1 3.1; Table 3 row 1: all three
  double flip_probability = 0.5;
  double rotation_rad = 0.2;        ///< uniform on +- this about each axis (P1)
  double translation_voxels = 2.0;  ///< uniform on +- this along each axis (P1)

  // Imitation of clinical scans (P2's future work), off by default; see
  // train/clinical_augmentation.h.
  double clinical_probability = 0.5;                ///< of each part
  std::vector<double> slice_thickness_mm = {0, 0};  ///< uniform between; 0, 0: off
  double slice_gap_fraction = 0.0;                  ///< largest gap, as a fraction of the thickness
  double contrast = 0.0;                            ///< largest |log| of the factor of contrast
  double gamma = 0.0;                               ///< largest |log| of the exponent
  double bias_field = 0.0;  ///< largest coefficient of the logarithm of the field
  double blur_mm = 0.0;     ///< largest sigma
  double noise = 0.0;       ///< largest SD of the Rician noise; volumes are 0..1
  bool is_clinical() const {
    return slice_thickness_mm.back() > 0 || contrast > 0 || gamma > 0 || bias_field > 0 ||
           blur_mm > 0 || noise > 0;
  }
  /// Throws core::UsageError with option, value and violated constraint.
  void validate() const;
};

}  // namespace epvs::train
