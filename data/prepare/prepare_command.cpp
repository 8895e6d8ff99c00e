#include "data/prepare/prepare_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "core/error.h"
#include "core/files.h"
#include "core/stop.h"
#include "core/text.h"
#include "data/prepare/inputs/scan_source.h"
#include "data/prepare/inputs/weights_header.h"
#include "data/prepare/prepare_cohort.h"
#include "data/prepare/qc/qc.h"

namespace epvs::data {

core::Manual PrepareCommand::manual() const {
  core::Manual manual;
  manual.name = "prepare";
  manual.summary = "scans to smooth regions of interest, with pictures to check them";
  manual.synopsis =
      "BIDS_DIR|DICOM_DIR|SCANS.tsv OUT.h5 (--labels PATTERN --lut LUT | --template T2 --atlas "
      "LABELS...) "
      "[options]";
  manual.description =
      "Reads every T2w (or PDw) scan, finds its regions from a label map of the same person or "
      "from an "
      "atlas whose template is registered to the scan, and writes the smooth regions of interest "
      "that the "
      "networks see into one cohort file. A network expects scans prepared in its own way: --like "
      "takes all of it from the weights.\n"
      "Beside OUT.h5 stands OUT_qc/ with a picture of every scan, qc.tsv, index.html and the "
      "transforms. Look at "
      "the pictures: contours must lie on the structures. Scans that cannot be prepared are named "
      "in OUT_qc/failed.tsv; the others are in the cohort (exit status 4).\n"
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
      {"DICOM folders, one per participant: what is there, and the series to take:",
       "epvs prepare dicom --list-series; epvs prepare dicom cohort.h5 --series 't2 tse' "
       "--template MNI152_T2_2mm.nii.gz --atlas Atlas_ROIs.2.nii.gz"},
      {"The same from FSL's own files:",
       "epvs prepare my_bids cohort.h5 --regions bg,hippocampi --template fsl:MNI152_T1_2mm "
       "--atlas fsl:HarvardOxford-sub-maxprob-thr25-2mm"},
      {"Centrum semiovale from FSL's FAST and FIRST, run on the T1w scans:",
       "epvs prepare my_bids cohort.h5 --regions bg,cso --labels "
       "'fsl/{participant_id}_all_fast_firstseg.nii.gz' --lut first --white-matter "
       "'fsl/{participant_id}_pve_2.nii.gz' --labels-space t1w"},
      {"What given weights expect:",
       "epvs prepare my_bids cohort.h5 --like weights.safetensors --template T2.nii.gz --atlas "
       "labels.nii.gz"},
      {"As in the first paper, registered to MNI space:",
       "epvs prepare my_bids cohort.h5 --preset p1 --template MNI152_T2_2mm.nii.gz --atlas "
       "Atlas_ROIs.2.nii.gz"}};
  manual.citations = {
      "F Dubost et al. 3D regression neural network for the quantification of enlarged "
      "perivascular spaces in "
      "brain MRI. Medical Image Analysis 2019 (preset p1, smooth region of interest).",
      "F Dubost et al. Automated quantification of enlarged perivascular spaces in clinical brain "
      "MRI across "
      "sites. MLCN 2019 (preset p2).",
      "D Mattes et al. PET-CT image registration in the chest using free-form deformations. IEEE "
      "TMI 22:120, 2003 (registration)."};
  manual.uses_threads = true;
  return manual;
}

void PrepareCommand::declare(core::CommandLine& line) {
  line.positional(
          "SCANS", &source_,
          "BIDS folder, DICOM folder (of one participant, or with a folder per participant), or a "
          "table with participant_id, t2w (or pdw) and optionally session_id, t1w, labels, "
          "t2w_series, t1w_series (paths relative to the table)")
      .required();
  line.positional("OUT", &out_, "cohort file to write, .h5");
  line.heading("Which scans");
  line.option("--participant-label", &filter_.participants, "only these, with or without sub-");
  line.option("--session-label", &filter_.sessions, "only these, with or without ses-");
  line.option("--run", &filter_.run, "the run to take where a session has several").unit("N");
  line.option("--suffix", &filter_.suffix, "T2w, PDw, or auto: T2w where there is one, else PDw")
      .choices({"auto", "T2w", "PDw"});
  line.option("--bids-filter-file", &bids_filter_,
              "JSON as for fMRIPrep: {\"t2w\": {\"session\": \"02\", \"acquisition\": "
              "\"tse\"}, \"t1w\": {...}}; null: without that entity, \"*\": with any value")
      .unit("JSON");
  line.option("--series", &filter_.series,
              "DICOM: the series of the counted scan by its id (5, 7e2), UID or a part of its "
              "description; default: the only volume of the folder")
      .unit("SERIES");
  line.option("--t1w-series", &filter_.t1w_series, "DICOM: the series of the T1w scan")
      .unit("SERIES");
  line.option("--list-series", &list_series_,
              "print the series of the DICOM folders as a table and stop");
  line.option("--exclude", &exclude_,
              "leave out what this table excludes: qc.tsv with 'yes' in its column exclude and the "
              "reason in exclude_reason")
      .unit("TSV");
  line.heading("Where the regions come from");
  line.option("--labels", &options_.labels,
              "label maps, one per scan: a path with {participant_id}, {participant_label}, "
              "{session_id}, "
              "{session_label} or {scan_folder}")
      .unit("PATTERN");
  line.option("--lut", &options_.lut,
              "the numbers of the labels: freesurfer, synthseg, first, fast, fast_pve, "
              "harvardoxford, atlas, a TOML file with [regions] name = [numbers], or a *_dseg.tsv; "
              "auto: freesurfer, or the table of an atlas given by name");
  line.option("--white-matter", &options_.white_matter,
              "second label maps, of which cso is cut out, as --labels; for example FAST's "
              "*_pve_2.nii.gz beside FIRST's labels")
      .unit("PATTERN");
  line.option("--white-matter-lut", &options_.white_matter_lut,
              "the numbers of --white-matter, as --lut");
  line.option(
          "--labels-space", &options_.labels_space,
          "t2w: label maps lie in the world of the scan; t1w: in that of the T1w scan, which is "
          "registered rigidly")
      .choices({"t2w", "t1w"});
  line.option(
          "--template", &options_.template_scan,
          "template scan of a head, best T2-like as the scans; registered to each scan. A path, "
          "fsl:NAME or templateflow:SPACE[:SUFFIX]")
      .unit("FILE");
  line.option(
          "--atlas", &options_.atlases,
          "label map in the template's world space, any grid; may be repeated. A path, fsl:NAME "
          "or templateflow:SPACE:ATLAS[:DESC]")
      .unit("FILE");
  line.option("--transforms", &options_.transforms,
              "folder of transforms of an earlier run (OUT_qc/transforms) to use instead of "
              "registering")
      .unit("DIR");
  line.heading("How regions are prepared");
  line.option("--like", &options_.like, "prepare what these weights expect").unit("WEIGHTS");
  line.option("--recipe", &recipe_, "TOML file with a table [prepare]; options override it")
      .unit("FILE");
  options_.declare(table_);
  line.options_of(table_);
  line.heading("How much at a time");
  line.option("--memory-gb", &memory_gb_,
              "memory for the scans in work together, estimated from their headers; 0: 80% of what "
              "is free. As many scans as fit, up to --threads, are prepared at a time")
      .unit("GiB")
      .range(0);
}

std::set<std::string> PrepareCommand::read_recipe(const core::CommandLine& line) {
  std::set<std::string> stated;
  // What the command line set must win, so it is kept and set again after the recipe.
  core::Json given = core::Json::object();
  for (const core::Parameter& parameter : table_.parameters()) {
    const std::string name = parameter.name().substr(parameter.name().find('.') + 1);
    std::string option = "--" + name;
    std::replace(option.begin(), option.end(), '_', '-');
    if (!line.given(option)) continue;
    stated.insert(name);
    given[name] = parameter.value();
  }
  if (recipe_.empty()) return stated;
  const core::Json before = table_.to_json()["prepare"];
  table_.read_recipe(recipe_);
  const core::Json after = table_.to_json()["prepare"];
  for (const auto& [name, value] : after.items()) {
    if (value != before[name]) stated.insert(name);
  }
  if (!given.empty()) table_.from_json({{"prepare", given}}, "the command line");
  return stated;
}

void PrepareCommand::run(core::Context& context) {
  if (!bids_filter_.empty()) {
    std::vector<std::string> ignored;
    filter_.bids = BidsFilter(bids_filter_, &ignored);
    for (const std::string& kind : ignored) {
      context.log.info("{}: '{}' is not read here", bids_filter_.string(), kind);
    }
  }
  if (list_series_) {
    fmt::print("{}", series_table(find_scans(source_, filter_)).to_text());
    return;
  }
  if (out_.empty()) {
    throw core::UsageError("OUT is missing: cohort file to write, .h5",
                           "only --list-series works without it");
  }
  const std::set<std::string> stated = read_recipe(context.line);
  if (out_.extension() != ".h5") {
    throw core::UsageError(fmt::format("OUT '{}' does not end in .h5", out_.string()),
                           "the cohort is an HDF5 file, for example cohort.h5");
  }
  core::refuse_existing(out_, context.force);
  if (!options_.labels.empty()) check_pattern(options_.labels);
  if (!options_.white_matter.empty()) check_pattern(options_.white_matter);
  options_.find_named_atlases();
  std::optional<PreprocessingOptions> weights;
  if (!options_.like.empty()) weights = read_weights_preprocessing(options_.like);
  CohortJob job;
  job.out = out_;
  job.regions = options_.resolve(stated, weights);
  job.threads = context.threads;
  job.memory_bytes = static_cast<std::uintmax_t>(memory_gb_ * 1024.0 * 1024.0 * 1024.0);
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
  const SharedInputs shared(options_);
  for (const std::string& concern : shared.concerns()) context.log.warning("{}", concern);
  for (const std::filesystem::path& file :
       {options_.template_scan, options_.like, recipe_, exclude_, bids_filter_}) {
    if (!file.empty()) context.provenance.add_input(file);
  }
  for (const std::string& atlas : options_.atlases) context.provenance.add_input(atlas);
  context.provenance.add_input(source_);
  context.provenance.add("options", table_.to_json());
  for (const PreprocessingOptions& region : job.regions) {
    context.log.info("{}: {}", region.region, region.to_json().dump());
  }
  if (context.dry_run) {
    for (const ScanInput& input : job.inputs) {
      const std::string labels = options_.uses_atlas()  ? "atlas"
                                 : input.labels.empty() ? labels_of(input, options_.labels).string()
                                                        : input.labels.string();
      fmt::print("{}\t{}\t{}\n", input.key(), name_of(counted_scan(input)), labels);
    }
    return;
  }
  const core::StopSignals signals;
  if (options_.crop_from_masks) job.regions = crops_from_masks(job, shared, signals, context.log);
  const CohortSummary summary =
      prepare_cohort(job, shared, context.provenance, signals, context.log);

  fmt::print("{}", summary.qc.to_aligned());
  std::size_t flagged = 0;
  for (std::size_t row = 0; row < summary.qc.rows(); ++row) {
    flagged += summary.qc.cell(row, "flag") == "check" ? 1U : 0U;
  }
  context.log.info("{}: {} of {} scans, {} rows to check; look at {}", out_.string(),
                   summary.prepared + summary.kept, job.inputs.size(), flagged,
                   (qc_folder(out_) / "index.html").string());
  for (const ExcludedScan& scan : summary.excluded) {
    context.log.info("excluded: {} {} {}({})", scan.participant_id, scan.region,
                     scan.session_id.empty() ? "" : scan.session_id + " ", scan.reason);
  }
  if (!summary.failures.empty()) {
    std::vector<std::string> names;
    for (const Failure& failure : summary.failures) names.push_back(failure.participant_id);
    throw core::PartialError(
        fmt::format("{} of {} scans failed: {}", names.size(),
                    names.size() + summary.prepared + summary.kept, core::join(names, ", ")),
        fmt::format("{} says why; mend them and give the same command with --force: the finished "
                    "scans are kept in {}.parts (remove it when you do not want that)",
                    failures_path(out_).string(), out_.string()));
  }
}

}  // namespace epvs::data
