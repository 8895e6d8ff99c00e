#include "models/paper_inputs.h"

namespace epvs::models {

PaperInput compare_with_paper(Architecture architecture,
                              const data::PreprocessingOptions& prepared) {
  PaperInput input;
  data::PreprocessingOptions of_paper = prepared;
  const bool is_p1 = architecture == Architecture::kMedia2019;
  const auto preset = data::PreprocessingOptions::of(is_p1 ? data::Preset::kP1 : data::Preset::kP2,
                                                     prepared.region);
  of_paper.spacing_mm = preset.spacing_mm;
  of_paper.normalisation = preset.normalisation;
  of_paper.registration = preset.registration;
  if (is_p1) of_paper.crop_voxels = {168, 128, 84};
  input.paper = is_p1 ? "Dubost et al. 2019 (Medical Image Analysis)" : "Dubost et al. 2019 (MLCN)";
  input.preset = is_p1 ? "p1" : "p2";
  input.differences = of_paper.differences(prepared);
  return input;
}

}  // namespace epvs::models
