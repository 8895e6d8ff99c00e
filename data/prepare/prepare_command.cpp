#include "data/prepare/prepare_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/files.h"
#include "core/stop.h"
#include "core/text.h"
#include "data/prepare/inputs/weights_header.h"
#include "data/prepare/qc/qc.h"

namespace epvs::data {

namespace {

/// "bg: 0.5x0.5x0.8 mm, crop 168x128x56, minmax, registration none; hippocampi: ...".
std::string join_regions(const std::vector<PreprocessingOptions>& regions) {
  std::vector<std::string> texts;
  texts.reserve(regions.size());
  for (const PreprocessingOptions& o : regions) {
    texts.push_back(fmt::format("{}: {}x{}x{} mm, crop {}x{}x{}, {}, registration {}", o.region,
                                o.spacing_mm[0], o.spacing_mm[1], o.spacing_mm[2], o.crop_voxels[0],
                                o.crop_voxels[1], o.crop_voxels[2], core::to_text(o.normalisation),
                                core::to_text(o.registration)));
  }
  return core::join(texts, "; ");
}

/// What a person looks at first; the rest is in qc.tsv.
core::Table short_table(const core::Table& qc) {
  core::Table table({"participant_id", "session_id", "region", "ml", "sharpness_per_mm", "mi_after",
                     "flag", "reason"});
  for (std::size_t row = 0; row < qc.rows(); ++row) {
    const auto volume = core::parse_number(qc.cell(row, "volume_mm3"));
    table.add_row({qc.cell(row, "participant_id"), qc.cell(row, "session_id"),
                   qc.cell(row, "region"), volume ? fmt::format("{:.1f}", *volume / 1000) : "n/a",
                   qc.cell(row, "sharpness_per_mm"), qc.cell(row, "mi_after"), qc.cell(row, "flag"),
                   qc.cell(row, "reason")});
  }
  return table;
}

/// The table on stdout, the rest on stderr. Throws PartialError when something failed.
void report(const CohortSummary& summary, const CohortJob& job, core::Log& log) {
  fmt::print("{}", short_table(summary.qc).to_aligned());
  std::size_t flagged = 0;
  for (std::size_t row = 0; row < summary.qc.rows(); ++row) {
    flagged += summary.qc.cell(row, "flag") == "check" ? 1U : 0U;
  }
  log.info("{}: {} of {} scans, {} rows to check; look at {}", job.out.string(),
           summary.prepared + summary.kept, job.inputs.size(), flagged,
           (qc_folder(job.out) / "index.html").string());
  for (const ExcludedScan& scan : summary.excluded) {
    log.info("excluded: {} {} {}({})", scan.participant_id, scan.region,
             scan.session_id.empty() ? "" : scan.session_id + " ", scan.reason);
  }
  if (summary.failures.empty()) return;
  std::vector<std::string> lost;
  std::vector<std::string> regions;
  for (const Failure& failure : summary.failures) {
    if (failure.region.empty()) {
      lost.push_back(failure.participant_id);
    } else {
      regions.push_back(failure.participant_id + " " + failure.region);
    }
  }
  std::vector<std::string> parts;
  if (!lost.empty()) {
    parts.push_back(fmt::format("{} of {} scans failed: {}", lost.size(), job.inputs.size(),
                                core::join(lost, ", ")));
  }
  if (!regions.empty()) {
    parts.push_back(fmt::format("{} regions of other scans failed: {}", regions.size(),
                                core::join(regions, ", ")));
  }
  throw core::PartialError(
      core::join(parts, "; "),
      fmt::format("{} says why; mend them and give the same command with --force: the finished "
                  "scans are kept in {}.parts (remove it when you do not want that)",
                  failures_path(job.out).string(), job.out.string()));
}

}  // namespace

core::Manual PrepareCommand::manual() const {
  core::Manual manual;
  manual.name = "prepare";
  manual.summary = "scans to smooth regions of interest, with pictures to check them";
  manual.synopsis =
      "BIDS_DIR|SCANS.tsv OUT.h5 (--labels PATTERN --lut LUT | --template T2 --atlas LABELS...) "
      "[options]";
  manual.description =
      "Reads every T2w (or PDw) scan, finds its regions from a label map of the same person or "
      "from an atlas whose template is registered to the scan, and writes the smooth regions of "
      "interest that the networks see into one cohort file. A network expects scans prepared in "
      "its own way: --like takes all of it from the weights.\n"
      "Beside OUT.h5 stands OUT_qc/ with a picture of every scan, qc.tsv, index.html and the "
      "transforms. Look at the pictures: contours must lie on the structures. Scans and regions "
      "that cannot be prepared are named in OUT_qc/failed.tsv; the others are in the cohort (exit "
      "status 4). DICOM is converted first, for example by dcm2niix.\n"
      "Finished scans are kept in OUT.h5.parts/ until all are done: a run that was stopped or "
      "killed is continued by the same command; after failures, mend the scans and give the same "
      "command with --force, and only those are prepared.";
  manual.examples = {
      {"Basal ganglia from FreeSurfer's label maps, as in the clinical paper:",
       "epvs prepare my_bids cohort.h5 --labels 'fs/{participant_id}/mri/aseg.mgz' --lut "
       "freesurfer"},
      {"Basal ganglia and hippocampi without any segmentation tool:",
       "epvs prepare my_bids cohort.h5 --regions bg,hippocampi --template MNI152_T2_2mm.nii.gz "
       "--atlas Atlas_ROIs.2.nii.gz"},
      {"Centrum semiovale from FSL's FAST and FIRST, run on the T1w scans:",
       "epvs prepare my_bids cohort.h5 --regions bg,cso --labels "
       "'fsl/{participant_id}_all_fast_firstseg.nii.gz' --lut first --white-matter "
       "'fsl/{participant_id}_pve_2.nii.gz' --labels-space t1w"},
      {"What the weights of a run expect:",
       "epvs prepare my_bids cohort.h5 --like runs/p1 --template T2.nii.gz --atlas labels.nii.gz"},
      {"As in the first paper, registered to MNI space:",
       "epvs prepare my_bids cohort.h5 --preset p1 --template MNI152_T2_2mm.nii.gz --atlas "
       "Atlas_ROIs.2.nii.gz"}};
  manual.citations = {
      "F Dubost et al. 3D regression neural network for the quantification of enlarged "
      "perivascular spaces in brain MRI. Medical Image Analysis 2019 (preset p1, smooth region of "
      "interest).",
      "F Dubost et al. Automated quantification of enlarged perivascular spaces in clinical brain "
      "MRI across sites. MLCN 2019 (preset p2).",
      "S Klein et al. elastix: a toolbox for intensity-based medical image registration. IEEE TMI "
      "29:196, 2010 (registration)."};
  manual.uses_threads = true;
  return manual;
}

void PrepareCommand::declare(core::CommandLine& line) {
  declare_scans(line);
  options_.declare_sources(line);
  line.heading("How regions are prepared");
  line.option("--like", &like_, "prepare what these weights, or the weights of this run, expect")
      .unit("WEIGHTS");
  line.option("--recipe", &recipe_, "TOML file with a table [prepare]; options override it")
      .unit("FILE");
  options_.declare(table_);
  line.options_of(table_);
}

void PrepareCommand::declare_scans(core::CommandLine& line) {
  line.positional("SCANS", &source_,
                  "BIDS folder, or a table with participant_id, t2w (or pdw) and optionally "
                  "session_id, t1w, labels (paths relative to the table)")
      .required();
  line.positional("OUT", &out_, "cohort file to write, .h5").required();
  line.heading("Which scans");
  filter_.declare(line);
  line.option("--suffix", &filter_.suffix, "auto: T2w where there is one, else PDw");
  line.option("--exclude", &exclude_,
              "leave out what this table excludes: qc.tsv with 'yes' in its column exclude and the "
              "reason in exclude_reason")
      .unit("FILE");
}

CohortJob PrepareCommand::make_job(core::Context& context) {
  if (!recipe_.empty()) table_.read_recipe(recipe_);
  if (out_.extension() != ".h5") {
    throw core::UsageError(fmt::format("OUT '{}' does not end in .h5", out_.string()),
                           "the cohort is an HDF5 file, for example cohort.h5");
  }
  core::refuse_existing(out_, context.force);
  if (!options_.labels.empty()) check_pattern(options_.labels);
  if (!options_.white_matter.empty()) check_pattern(options_.white_matter);
  std::optional<PreprocessingOptions> weights;
  if (!like_.empty()) weights = read_weights_preprocessing(like_);
  options_.settle(table_, weights);
  CohortJob job;
  job.out = out_;
  job.regions = options_.resolve(weights);
  job.threads = context.threads;
  if (!exclude_.empty()) job.exclusions = Exclusions(exclude_);
  std::vector<std::string> skipped;
  job.inputs = find_scans(source_, filter_, &skipped);
  for (const std::string& participant : skipped) {
    context.log.warning("{} has no T2w or PDw scan and is left out", participant);
  }
  const bool has_labels = std::all_of(job.inputs.begin(), job.inputs.end(),
                                      [](const ScanInput& input) { return !input.labels.empty(); });
  if (!options_.uses_atlas() && options_.labels.empty() && !has_labels) {
    throw core::UsageError("nothing says where the regions come from",
                           "give --labels PATTERN --lut LUT, or --template T2 --atlas LABELS, or a "
                           "column 'labels' in the table of scans");
  }
  return job;
}

void PrepareCommand::add_provenance(core::Context& context, const CohortJob& job) const {
  for (const std::filesystem::path& file : {options_.template_scan, like_, recipe_, exclude_}) {
    if (!file.empty()) context.provenance.add_input(file);
  }
  for (const std::string& atlas : options_.atlases) context.provenance.add_input(atlas);
  context.provenance.add_input(source_);
  context.begin(fmt::format("{} scans; {}", job.inputs.size(), join_regions(job.regions)));
}

void PrepareCommand::run(core::Context& context) {
  CohortJob job = make_job(context);
  const SharedInputs shared = read_shared_inputs(options_);
  for (const std::string& concern : shared.concerns) context.log.warning("{}", concern);
  add_provenance(context, job);
  if (context.dry_run) {
    for (const ScanInput& input : job.inputs) {
      fmt::print("{}\t{}\t{}\n", input.key(), input.scan.string(),
                 options_.uses_atlas() ? "atlas" : label_file(input, options_.labels).string());
    }
    context.end_dry_run(out_.string());
    return;
  }
  const core::StopSignals signals;
  if (options_.crop_from_masks) crops_from_masks(job, shared, signals, context.log);
  const CohortSummary summary =
      prepare_cohort(job, shared, context.provenance, signals, context.log);
  report(summary, job, context.log);
}

}  // namespace epvs::data
