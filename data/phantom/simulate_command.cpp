#include "data/phantom/simulate_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/table.h"
#include "core/text.h"
#include "data/prepare/prepare_options.h"

namespace epvs::data {

namespace {

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// Pearson; NaN when one of the two does not vary.
double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double ma = mean(a);
  const double mb = mean(b);
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace

core::Manual SimulateCommand::manual() const {
  core::Manual manual;
  manual.name = "simulate";
  manual.summary = "phantom cohort with known EPVS, several scanners and raters";
  manual.synopsis = "OUT_BIDS [--preset demo] [--participants N] [--cohort C.h5] [options]";
  manual.description =
      "Writes a BIDS dataset of procedural T2-like head scans that no person was scanned for: "
      "skull, CSF, folded cortex, white matter, ventricles and deep grey matter, varied per "
      "participant by size, age, a smooth deformation and random folds.\n"
      "EPVS are thin, curved, bright tubes in known places; lacunes and white matter "
      "hyperintensities must not be counted. Brightness follows from T1, T2, proton density and "
      "the scanner's TR, TE and field. Counts are zero-inflated negative binomial and grow with "
      "age. Two raters count with error. Label maps have FreeSurfer's numbers.\n"
      "OUT_BIDS gets the scans, derivatives/labels, phenotype/visual_scores.tsv (the raters) and "
      "truth/ (true counts, every EPVS, lesions, positions). With --cohort the smooth regions of "
      "interest go straight into a cohort file, without prepare; with --no-scans only the tables "
      "are written beside it.\n"
      "The content depends on the options and the seed only. An interrupted simulation goes on "
      "when the same command is given again.";
  manual.examples = {
      {"A small cohort that trains in minutes: basal ganglia, three scanners, coarse voxels:",
       "epvs simulate phantom --preset demo --participants 240 --seed 1"},
      {"Whole heads at the papers' resolution, twenty people scanned twice:",
       "epvs simulate heads --participants 60 --rescans 20"},
      {"A cohort file for training without any scan on disk:",
       "epvs simulate tables --preset demo --no-scans --cohort cohort.h5 --prepare "
       "spacing_mm=1.5,1.5,1.5"},
      {"P2's clinical cohort, and its tables alone (seconds):",
       "epvs simulate clinical --preset p2 --no-scans"}};
  manual.citations = {
      "Dubost F. et al. 3D regression neural network for the quantification of enlarged "
      "perivascular spaces in brain MRI. Medical Image Analysis 51 (2019) 89-100. "
      "doi:10.1016/j.media.2018.10.008",
      "Dubost F. et al. Enlarged perivascular spaces in brain MRI: automated quantification in "
      "four regions. NeuroImage 185 (2019) 534-544. doi:10.1016/j.neuroimage.2018.10.026"};
  manual.uses_threads = true;
  manual.uses_seed = true;
  return manual;
}

void SimulateCommand::declare(core::CommandLine& line) {
  line.positional("OUT_BIDS", &folder_, "folder of the new dataset").required();
  line.option(
      "--preset", &preset_,
      "default: whole heads on three scanners; demo: basal ganglia, coarse voxels, EPVS that a "
      "small network learns to count; p1: P1's scanner, ages and raters, basal ganglia only; p2: "
      "P2's 76 clinical scans of nine scanners with two raters; p2-research: the 1600 scans that "
      "P2 trained on; randomised: every scan from its own scanner, wide. Other options override "
      "the preset");
  line.option("--no-scans", &no_scans_,
              "write no scans and label maps, only tables (and --cohort)");
  line.heading("Cohort file");
  line.option("--cohort", &cohort_, "also write the smooth regions of interest to this cohort file")
      .unit("FILE");
  line.option("--prepare", &prepare_,
              "an option of prepare for the cohort file, for example preset=p1 or "
              "spacing_mm=1.5,1.5,1.5; may be repeated")
      .unit("NAME=VALUE");
  options_.declare(table_);
  line.heading("Phantom (defaults of --preset default)");
  line.options_of(table_);
}

CohortRequest SimulateCommand::cohort_request(const std::vector<std::string>& regions) {
  PrepareOptions options;
  core::ParameterTable table;
  options.declare(table);
  // A phantom stands in no template's space.
  const core::Json own = {{"prepare", {{"regions", regions}, {"registration", "none"}}}};
  table.from_json(own, "simulate", core::Origin::kLike);
  for (const std::string& assignment : prepare_) table.assign("prepare." + assignment);
  options.settle(table, std::nullopt);
  return {cohort_, options.resolve(), options.region_rules(), options.float16};
}

SimulationJob SimulateCommand::make_job(const core::Context& context) {
  SimulationOptions preset = SimulationOptions::preset(preset_);
  core::ParameterTable implied;
  preset.declare(implied);
  table_.apply_preset(implied.to_json(), "--preset " + core::to_text(preset_));
  options_.validate();
  SimulationJob job;
  job.options = options_;
  job.seed = context.seed;
  job.folder = folder_;
  job.write_scans = !no_scans_;
  job.threads = context.threads;
  job.force = context.force;
  if (!cohort_.empty()) {
    job.cohort = cohort_request(job.options.regions);
  } else if (!prepare_.empty()) {
    throw core::UsageError("--prepare is given without --cohort", "add --cohort FILE");
  }
  return job;
}

void SimulateCommand::run(core::Context& context) {
  const SimulationJob job = make_job(context);
  check_output(job);
  const int scans = job.options.participants + job.options.rescans;
  context.begin(fmt::format("{} participants, {} scans, scanners {}, regions {}, seed {}",
                            job.options.participants, scans, core::join(job.options.scanners, ", "),
                            core::join(job.options.regions, ", "), job.seed));
  if (job.options.randomise) context.log.info("  every scan draws its own scanner, for example:");
  for (const auto& [name, share] : job.options.scanner_shares()) {
    Participant example;
    example.id = participant_name(0);
    example.scanner = name;
    const ScanPlan plan = plan_scan(job.options, job.seed, example, 0);
    context.log.info("  {:<16} {}x{}x{} voxels of {:.2f}x{:.2f}x{:.2f} mm, slices {:.2f} mm thick",
                     name, plan.geometry.shape[0], plan.geometry.shape[1], plan.geometry.shape[2],
                     plan.geometry.spacing_mm().x(), plan.geometry.spacing_mm().y(),
                     plan.geometry.spacing_mm().z(), plan.profile.slice_thickness_mm);
  }
  if (context.dry_run) {
    context.end_dry_run(folder_.string());
    return;
  }

  const core::StopSignals signals;
  context.provenance.add("seed", job.seed);
  const SimulationSummary summary = simulate_dataset(job, context.log, context.provenance, signals);
  if (summary.scans_kept > 0) {
    context.log.info("{} scans of the interrupted run were kept", summary.scans_kept);
  }
  print_summary(job, summary);
}

void SimulateCommand::print_summary(const SimulationJob& job, const SimulationSummary& summary) {
  core::Table table({"region", "scans", "mean_true", "range_true", "mean_rater1", "mean_rater2",
                     "r_rater1_true", "r_rater1_rater2"});
  for (std::size_t region = 0; region < job.options.regions.size(); ++region) {
    std::vector<double> truth;
    std::array<std::vector<double>, 2> raters;
    for (const ParticipantRecord& record : summary.participants) {
      for (const ScanRecord& scan : record.scans) {
        const RegionScore& score = scan.scores[region];
        truth.push_back(job.options.rating == Rating::kSlice ? score.true_count_slice
                                                             : score.true_count);
        for (std::size_t i = 0; i < 2; ++i) raters[i].push_back(score.raters[i]);
      }
    }
    const auto [low, high] = std::minmax_element(truth.begin(), truth.end());
    table.add_row({job.options.regions[region], std::to_string(truth.size()),
                   fmt::format("{:.2f}", mean(truth)),
                   core::format_number(*low) + ".." + core::format_number(*high),
                   fmt::format("{:.2f}", mean(raters[0])), fmt::format("{:.2f}", mean(raters[1])),
                   core::format_number(correlation(raters[0], truth)),
                   core::format_number(correlation(raters[0], raters[1]))});
  }
  fmt::print("{}", table.to_aligned(3));
}

}  // namespace epvs::data
