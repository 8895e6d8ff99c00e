// Bias field of a scan, estimated by N4 (Tustison et al., IEEE TMI 29:1310, 2010) and divided out:
// the only part of prepare that needs ITK.
#pragma once

#include "data/formats/volume.h"

namespace epvs::data {

struct BiasOptions {
  double working_spacing_mm =
      4.0;                    ///< the field is estimated on every n-th voxel, about so far apart
  int levels = 3;             ///< of the spline mesh: 1, 2, 4 elements along each axis
  int iterations = 30;        ///< per level
  double convergence = 1e-3;  ///< stops a level when the field changes by less
};

/// Throws UsageError in an epvs that was built without ITK.
void require_bias_correction();

/// The scan divided by its bias field; a field of geometric mean 1 over the head (Otsu's
/// threshold), so that intensities keep their level. Voxels that are not positive stay as they are.
/// Runs on one thread. Throws InputError when the scan has no two classes of intensity, UsageError in
/// an epvs that was built without ITK.
Volume<float> correct_bias(const Volume<float>& scan, const BiasOptions& options = {});

}  // namespace epvs::data
