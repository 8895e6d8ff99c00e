#include "infer/infer_usage.h"

namespace epvs::infer {

core::Manual InferUsage::manual() const {
  core::Manual manual;
  manual.name = "infer";
  manual.summary = "score the scans of a cohort; attention maps and detections";
  manual.synopsis = "--run RUN | --weights FILE... --cohort COHORT.h5 --out SCORES.tsv [options]";
  manual.description =
      "Applies trained networks to the smooth regions of a cohort file and writes one score per "
      "scan as a table that epvs eval reads. Several --run or --weights form an ensemble: the "
      "column is their mean, and <scorer>_sd their standard deviation.\n"
      "The weights carry the preprocessing that they were trained with; a cohort prepared with "
      "another region, spacing, crop, dilation, sigma or normalisation is refused.\n"
      "With --splits only the participants of the given splits of a fold and repeat are scored, "
      "and the columns fold and repeat are added. A scan that fails does not stop the others: its "
      "score is n/a, failed.tsv beside the table says why, and the exit status is 4.\n"
      "--maps attention (gp_unet) and --maps saliency (every network) write one NIfTI per scan "
      "with the size, sform and qform of the original scan, so that it overlays in any viewer. On "
      "the network's own grid (--maps-grid network) pool_scale * mean(map) + bias equals the score "
      "of a gp_unet with average pooling; interpolation to the scan keeps the look, not the mean.\n"
      "--detections writes the round(score) highest local maxima of the attention map per scan.";
  manual.examples = {
      {"Scores of the held-out participants of a training run:",
       "epvs infer --run runs/gp_unet --cohort bg.h5 --splits splits.tsv --out scores.tsv"},
      {"An ensemble of five folds, with attention maps:",
       "epvs infer --run runs/0 runs/1 runs/2 --cohort bg.h5 --out scores.tsv --maps attention "
       "--maps-dir maps"}};
  manual.citations = {
      "Dubost et al. 2019, 3D regression neural network for the quantification of enlarged "
      "perivascular spaces in brain MRI. Medical Image Analysis 51:89-100. arXiv:1802.05914",
      "Dubost et al. 2019, Automated quantification of enlarged perivascular spaces in clinical "
      "brain MRI across sites. MLCN 2019. doi:10.1007/978-3-030-32695-1_12"};
  manual.uses_threads = true;
  manual.uses_device = true;
  return manual;
}

void InferUsage::declare(core::CommandLine& line) {
  line.heading("Networks and scans");
  line.option("--run", &runs_, "run folder of epvs train; several form an ensemble").unit("DIR");
  line.option("--weights", &weights_, "weights.safetensors; several form an ensemble").unit("FILE");
  line.option("--cohort", &cohort_, "cohort file of epvs prepare or epvs simulate")
      .unit("FILE")
      .required();
  line.option("--region", &region_, "region of the cohort; default: that of the weights");
  line.option("--splits", &splits_, "splits.tsv: score some splits only").unit("FILE");
  line.option("--split", &split_, "which splits");
  line.option("--fold", &fold_, "fold of the splits").range(0);
  line.option("--repeat", &repeat_, "repeat of the splits").range(0);
  line.heading("Outputs");
  line.option("--out", &out_, "table of scores").unit("FILE").required();
  line.option("--scorer", &scorer_, "name of its column; default: the architecture");
  line.option("--maps", &maps_, "maps to write");
  line.option("--maps-dir", &maps_dir_, "folder for the maps").unit("DIR");
  line.option("--maps-grid", &maps_grid_,
              "voxels of the maps: of the original scan or the network");
  line.option("--detections", &detections_dir_, "folder for one table of detections per scan")
      .unit("DIR");
  line.option("--detection-radius", &detection_radius_mm_,
              "mm; a maximum nearer than this to a higher one is not a detection of its own "
              "(3 mm are 6 voxels of 0.5 mm)")
      .range(0, 1000);
  line.heading("Computation");
  line.option("--flip-axes", &flip_axes_,
              "test-time flips: mean over all combinations of flips along these axes");
  line.option(
      "--precision", &precision_,
      "of the convolutions: bf16 (CPU with AVX-512, GPU) gives scores that differ by about a "
      "percent, tf32 (GPU) about a tenth of that; auto takes bf16 where the processor is faster in "
      "it, and says so");
  line.option("--batch", &batch_, "scans that go through the network together").range(1, 4096);
  line.option("--profile", &profile_,
              "say at the end where the time went (reading, forward, attention, saliency, writing) "
              "and how near the network came to the processor's limit");
}

}  // namespace epvs::infer
