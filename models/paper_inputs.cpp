#include "models/paper_inputs.h"

namespace epvs::models {

PaperInput compare_with_paper(Architecture architecture,
                              const data::PreprocessingOptions& prepared) {
  PaperInput input;
  data::PreprocessingOptions of_paper = prepared;
  if (architecture == Architecture::kMedia2019) {
    input.paper = "Dubost et al. 2019 (Medical Image Analysis)";
    input.preset = "p1";
    of_paper.spacing_mm = {0.5, 0.5, 0.5};
    of_paper.crop_voxels = {168, 128, 84};
    of_paper.normalisation = "max";
    if (prepared.registration == "none") of_paper.registration = "rigid";
  } else {
    input.paper = "Dubost et al. 2019 (MLCN)";
    input.preset = "p2";
    of_paper.spacing_mm = {0.5, 0.5, 0.8};
    of_paper.normalisation = "minmax";
    of_paper.registration = "none";
  }
  input.differences = of_paper.differences(prepared);
  return input;
}

}  // namespace epvs::models
