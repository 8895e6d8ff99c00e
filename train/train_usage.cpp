#include "train/train_usage.h"

namespace epvs::train {

std::vector<std::string> expand_resume(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 0; i < argc; ++i) {
    if (std::string(argv[i]) == "--resume=force") {
      arguments.emplace_back("--resume");
      arguments.emplace_back("--resume-force");
    } else {
      arguments.emplace_back(argv[i]);
    }
  }
  return arguments;
}

core::Manual TrainUsage::manual() const {
  core::Manual manual;
  manual.name = "train";
  manual.summary = "train a network to count enlarged perivascular spaces from visual scores";
  manual.synopsis =
      "RECIPE.toml --cohort C.h5 --scores TABLE --target SCORER --splits S.tsv --out RUN [options]";
  manual.description =
      "Trains the network of a recipe on one region of a cohort (epvs prepare, epvs simulate "
      "--cohort). The only labels are the scores of one scorer in a table with participant_id and, "
      "where there are several, session_id and region. The splits (epvs split) say who trains, who "
      "decides when to stop (validation) and who is only scored (test).\n"
      "The run folder gets recipe.toml (every parameter with the value used), provenance.json, "
      "log.txt, training.tsv (one row per epoch), checkpoints/last (with the weights of the best "
      "epoch so far), and at the end weights.safetensors (the best epoch) and scores.tsv "
      "(validation and test scans).\n"
      "On the CPU, equal seeds and threads give bit-equal weights, also through --resume after a "
      "kill at any moment. INT and TERM write a checkpoint and stop (exit 130, 143); USR1 writes "
      "one and goes on. Several processes, started by torchrun, mpirun or srun, share every batch; "
      "the recipe means the same for any number of them. --resume refuses when recipe, cohort, "
      "labels, splits or seed changed, unless --resume-force (or --resume=force) is given.";
  manual.examples = {
      {"Train a GP-Unet on the basal ganglia of a phantom cohort.",
       "epvs train experiments/recipes/demo/gp_unet.toml --cohort c.h5 --scores visual.tsv "
       "--target rater1 --splits splits.tsv --out runs/gp_unet"},
      {"Go on after a kill.",
       "epvs train experiments/recipes/demo/gp_unet.toml --cohort c.h5 --scores visual.tsv "
       "--target rater1 --splits splits.tsv --out runs/gp_unet --resume"},
      {"Fine-tune on clinical scans with the first layers frozen.",
       "epvs train finetune.toml --init runs/research --set train.freeze=down_conv* --cohort "
       "clinical.h5 --scores visual.tsv --target rater1 --splits s.tsv --out runs/clinical"},
      {"Look at the augmentation of a recipe before training.",
       "epvs train finetune.toml --cohort c.h5 --preview-augmentation sheet.png"},
      {"All parameters with their defaults.", "epvs train --print-recipe"},
  };
  manual.citations = {
      "Dubost et al. 2019. 3D regression neural network for the quantification of enlarged "
      "perivascular spaces in brain MRI. Medical Image Analysis 51, 89-100. arXiv:1802.05914",
      "Dubost et al. 2019. Automated quantification of enlarged perivascular spaces in clinical "
      "brain MRI across sites. MLCN 2019.",
      "Zeiler 2012. ADADELTA: an adaptive learning rate method. arXiv:1212.5701"};
  manual.uses_threads = manual.uses_seed = manual.uses_device = true;
  return manual;
}

void TrainUsage::declare(core::CommandLine& line) {
  line.positional("RECIPE", &recipe_file_, "recipe of the training (TOML)").unit("FILE");
  line.heading("Inputs");
  line.option("--cohort", &cohort_, "cohort file").unit("FILE");
  line.option("--scores", &scores_, "table of scores (TSV)").unit("FILE");
  line.option("--target", &target_, "column of the scores to learn").unit("SCORER");
  line.option("--splits", &splits_, "splits.tsv").unit("FILE");
  line.option("--region", &region_,
              "region to train on; not needed where the cohort has one, or the recipe names it");
  line.option("--fold", &fold_, "fold of the splits").range(0, 1e6);
  line.option("--repeat", &repeat_, "repeat of the splits").range(0, 1e6);
  line.option(
          "--init", &init_,
          "weights to start from, a weights file or a run folder: the network is theirs, and they "
          "stay the result unless an epoch is better on the validation scans")
      .unit("FILE|RUN");
  line.heading("Output");
  line.option("--out", &out_, "run folder").unit("DIR");
  line.option("--scorer", &scorer_,
              "name of this network's column in scores.tsv; empty takes the architecture");
  line.heading("Training");
  line.option("--set", &set_, "change a parameter of the recipe: train.epochs=50 (repeatable)")
      .unit("NAME=VALUE");
  line.option("--resume", &resume_, "go on from checkpoints/last of the run folder");
  line.option("--resume-force", &resume_force_,
              "with --resume: go on although recipe, data, seed or splits changed");
  line.option("--log-steps", &log_steps_,
              "a line every N steps (batches) with loss and time left; 0 shows a bar, or a line "
              "every ten seconds where there is no terminal")
      .range(0, 1e9);
  line.option("--profile", &profile_,
              "say at the end where the time went (data, augmentation, forward, backward, update, "
              "validation, files) and how near the network came to the processor's limit");
  line.option("--preview-augmentation", &preview_,
              "write a sheet of slices, original and as six epochs would see them, and stop; needs "
              "RECIPE and --cohort")
      .unit("FILE.png");
  line.option("--print-recipe", &print_recipe_,
              "print the resolved recipe (all parameters) and stop; without RECIPE the defaults");
  recipe_.declare(table_);
  line.records(table_);
}

}  // namespace epvs::train
