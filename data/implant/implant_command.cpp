#include "data/implant/implant_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/table.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// How many EPVS each region has, on stdout. Throws PartialError when something failed.
void report(const ImplantSummary& summary, const ImplantJob& job, core::Log& log) {
  std::map<std::string, std::vector<std::int64_t>> placed;
  for (const Placement& one : summary.placements) placed[one.region].push_back(one.placed);
  core::Table table({"region", "scans", "wanted", "fewest_placed", "scans_with_fewer"});
  const std::int64_t wanted = job.options.counts.back();
  for (const auto& [region, counts] : placed) {
    table.add(region, counts.size(), wanted, *std::min_element(counts.begin(), counts.end()),
              std::count_if(counts.begin(), counts.end(), [&](auto n) { return n < wanted; }));
  }
  fmt::print("{}", table.to_aligned());
  if (summary.kept > 0) log.info("{} scans of an earlier run were kept", summary.kept);
  if (summary.failures.empty()) return;
  std::vector<std::string> names;
  for (const Failure& failure : summary.failures) {
    names.push_back(failure.participant_id + (failure.region.empty() ? "" : " " + failure.region));
  }
  throw core::PartialError(
      fmt::format("{} of {} scans, or regions of them, failed: {}", names.size(), job.inputs.size(),
                  core::join(names, ", ")),
      fmt::format("{} says why; after mending them give the same command again",
                  (job.folder / "failed.tsv").string()));
}

}  // namespace

core::Manual ImplantCommand::manual() const {
  core::Manual manual;
  manual.name = "implant";
  manual.summary = "adds known EPVS to real scans: does a network count what was added?";
  manual.synopsis = "BIDS OUT --labels PATTERN | --template T2 --atlas LABELS... [options]";
  manual.description =
      "Adds EPVS with known place, length, diameter and brightness to T2-weighted scans, inside "
      "the regions that prepare finds, away from what is bright already. Tubes are drawn finely "
      "and brought to the scan through its own voxels, slice thickness and blur, which is measured. "
      "Brightness lies between the scan's own white matter and CSF.\n"
      "OUT is a BIDS dataset with a series of scans for every scan: ses-k00 (a copy, byte for "
      "byte), ses-k05, ses-k10, ...: so many EPVS in each region, those of the smaller numbers "
      "included. File type and header stay as they were; only voxels that an EPVS reaches differ.\n"
      "OUT/truth/ has truth_counts.tsv (a table of scores), truth_epvs.tsv (every EPVS) and "
      "truth_scans.tsv (what was measured). Score the series with epvs infer; the slope of a "
      "network's score against true_count is the part of the added EPVS that it counts.\n"
      "A region without room gets fewer: a warning and truth_counts.tsv say how many. Scans and "
      "regions that cannot be filled are named in OUT/failed.tsv (exit status 4).\n"
      "Content depends on scans, options and seed only. An interrupted run goes on when the same "
      "command is given again.";
  manual.examples = {
      {"A series of 0, 5, 10 and 15 EPVS in basal ganglia and hippocampi, by an atlas:",
       "epvs implant my_bids implanted --regions bg,hippocampi --template MNI152_T2_2mm.nii.gz "
       "--atlas Atlas_ROIs.2.nii.gz --atlas Avgwmparc.nii.gz"},
      {"Into the centrum semiovale, by FreeSurfer's label maps:",
       "epvs implant my_bids implanted --regions cso --labels "
       "'fs/{participant_id}/mri/aseg.mgz' --counts 0,10,20"},
      {"Then prepare the series with the same transforms, so that all scans of a person have the "
       "same regions:",
       "epvs prepare implanted implanted.h5 --regions bg,hippocampi --template "
       "MNI152_T2_2mm.nii.gz --atlas Atlas_ROIs.2.nii.gz --transforms "
       "implanted/derivatives/transforms"}};
  manual.citations = {
      "J Bernal et al. Assessment of perivascular space filtering methods using a "
      "three-dimensional computational model. Magnetic Resonance Imaging 93:33, 2022 (brightness "
      "of perivascular spaces).",
      "D J Field. Relations between the statistics of natural images and the response properties "
      "of cortical cells. Journal of the Optical Society of America A 4:2379, 1987 (blur from the "
      "spectrum of edges)."};
  manual.uses_threads = true;
  manual.uses_seed = true;
  return manual;
}

void ImplantCommand::declare(core::CommandLine& line) {
  line.positional("BIDS", &source_, "BIDS folder with T2w scans").required();
  line.positional("OUT", &out_, "folder of the new dataset").required();
  options_.declare(implant_table_);
  line.heading("What is implanted");
  line.options_of(implant_table_);
  line.heading("Which scans");
  filter_.declare(line);
  prepare_.declare_sources(line);
  prepare_.declare_regions(regions_table_);
  line.heading("Regions, as in epvs prepare");
  line.options_of(regions_table_);
}

ImplantJob ImplantCommand::make_job(core::Context& context) {
  options_.validate();
  if (fs::exists(source_) && !fs::is_directory(source_)) {
    throw core::UsageError(fmt::format("{} is a file", source_.string()),
                           "give the BIDS folder that holds the scans: sub-*/anat/*_T2w.nii.gz");
  }
  if (prepare_.labels.empty() && !prepare_.uses_atlas()) {
    throw core::UsageError("nothing says where the regions are",
                           "give --labels PATTERN --lut LUT, or --template T2 --atlas LABELS");
  }
  for (const std::string& pattern : {prepare_.labels, prepare_.white_matter}) {
    if (!pattern.empty()) check_pattern(pattern);
  }
  filter_.suffix = ScanSuffix::kT2w;
  ImplantJob job;
  job.options = options_;
  job.regions = prepare_.resolve();
  job.seed = context.seed;
  job.source = source_;
  job.folder = out_;
  job.threads = context.threads;
  job.force = context.force;
  std::vector<std::string> skipped;
  job.inputs = find_scans(source_, filter_, &skipped);
  for (const std::string& participant : skipped) {
    context.log.warning("{} has no T2w scan and is left out", participant);
  }
  return job;
}

void ImplantCommand::run(core::Context& context) {
  const ImplantJob job = make_job(context);
  const SharedInputs shared = read_shared_inputs(prepare_);
  for (const std::string& concern : shared.concerns) context.log.warning("{}", concern);
  check_output(job, shared);
  for (const std::string& atlas : prepare_.atlases) context.provenance.add_input(atlas);
  if (!prepare_.template_scan.empty()) context.provenance.add_input(prepare_.template_scan);
  context.provenance.add_input(source_);
  context.provenance.add("seed", job.seed);
  context.begin(fmt::format("{} scans, {} EPVS in each of {}, seed {}", job.inputs.size(),
                            fmt::join(job.options.counts, ", "), core::join(prepare_.regions, ", "),
                            job.seed));
  if (context.dry_run) {
    for (const ScanInput& input : job.inputs) {
      for (const std::int64_t count : job.options.counts) {
        fmt::print("{}\t{}\t{}\n", input.participant_id, implant_session(input.session_id, count),
                   input.scan.string());
      }
    }
    context.end_dry_run(out_.string());
    return;
  }
  const core::StopSignals signals;
  report(implant_dataset(job, shared, context.log, context.provenance, signals), job, context.log);
}

}  // namespace epvs::data
