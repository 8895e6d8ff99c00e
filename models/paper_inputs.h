// What the papers' networks were given, to warn of other inputs. Without Torch.
#pragma once

#include <string>
#include <vector>

#include "data/cohort/preprocessing.h"
#include "models/network_options.h"

namespace epvs::models {

struct PaperInput {
  std::string paper;   ///< "Dubost et al. 2019 (Medical Image Analysis)"
  std::string preset;  ///< of epvs prepare: "p1"
  /// "spacing_mm: 0.5,0.5,0.5 and 0.5,0.5,0.8": the paper's value and that of the cohort. P1
  /// (media2019): 0.5 mm isotropic, 168 x 128 x 84 voxels, divided by the maximum, registered to
  /// MNI. P2 (gp_unet, cnn4): 0.5 x 0.5 x 0.8 mm, minimum and maximum to 0 and 1, not registered;
  /// it does not state its crop.
  std::vector<std::string> differences;
};

PaperInput compare_with_paper(Architecture architecture,
                              const data::PreprocessingOptions& prepared);

}  // namespace epvs::models
