#include "data/phantom/dataset.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "core/planned_folder.h"
#include "core/version.h"
#include "data/cohort/source_space.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/prepare_scan.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

core::PlannedFolder planned(const SimulationJob& job) {
  return {job.folder, "simulation.json", "simulated dataset"};
}

/// What the content of a dataset depends on.
core::Json plan_document(const SimulationJob& job) {
  core::ParameterTable table;
  SimulationOptions options = job.options;
  options.declare(table);
  core::Json plan = {{"seed", job.seed}, {"scans", job.write_scans}, {"options", table.to_json()}};
  if (!options.anatomy.empty()) {
    for (const fs::path& file : label_maps_in(options.anatomy)) {
      plan["label_maps"].push_back(core::sha256_file(file));
    }
  }
  return plan;
}

core::Json scan_sidecar(const ScanPlan& plan, const SimulationJob& job,
                        const core::Provenance& provenance) {
  return {{"Modality", "MR"},
          {"MagneticFieldStrength", plan.profile.field_strength_t},
          {"Manufacturer", "simulated"},
          {"ManufacturersModelName", plan.profile.name},
          {"SliceThickness", plan.profile.slice_thickness_mm},
          {"SpacingBetweenSlices", plan.profile.slice_spacing_mm},
          {"PulseSequenceType", "spin echo (simulated)"},
          {"RepetitionTime", plan.profile.repetition_time_ms / 1000},
          {"EchoTime", plan.profile.echo_time_ms / 1000},
          {"Simulated", true},
          {"Seed", job.seed},
          {"GeneratedBy",
           {{{"Name", "epvs simulate"},
             {"Version", core::kVersion},
             {"CommandLine", provenance.to_json().at("command_line")}}}}};
}

void write_scan(const SimulationJob& job, const ScanPlan& plan, const SimulatedScan& scan,
                const core::Provenance& provenance) {
  const std::string description = fmt::format("epvs simulate {}", core::kVersion);
  const fs::path image = scan_path(job.folder, plan);
  write_nifti(label_path(job.folder, plan), scan.labels, nullptr, description);
  write_nifti(image, scan.t2w, nullptr, description);
  core::write_json(core::sidecar_path(image), scan_sidecar(plan, job, provenance));
}

bool scan_is_there(const SimulationJob& job, const ScanPlan& plan) {
  const fs::path image = scan_path(job.folder, plan);
  return fs::exists(core::sidecar_path(image)) && fs::exists(image) &&
         fs::exists(label_path(job.folder, plan));
}

/// Lets workers hand in their results in the order of the participants.
class Turnstile {
 public:
  /// Returns false when somebody failed.
  bool wait_for(std::size_t turn) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || next_ == turn; });
    return !failed_;
  }
  void pass() {
    const std::lock_guard lock(mutex_);
    ++next_;
    changed_.notify_all();
  }
  void fail() {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t next_ = 0;
  bool failed_ = false;
};

template <class To>
Volume<To> converted(const Volume<std::int16_t>& source) {
  Volume<To> result(source.geometry);
  std::copy(source.voxels.begin(), source.voxels.end(), result.voxels.begin());
  return result;
}

/// Header and hash of the scan: of its file, or of the plan where it was not written.
ScanOrigin origin_of(const ScanPlan& plan, const SimulatedScan& scan, const fs::path& file) {
  ScanOrigin origin;
  CohortRow& row = origin.source;
  row.participant_id = plan.participant_id;
  row.session_id = plan.session_id;
  origin.anterior_commissure_mm = plan.anterior_commissure();
  if (!file.empty()) {
    set_source(row, read_header(file));
    row.source_path = file.string();
    row.source_sha256 = core::sha256_file(file);
    return origin;
  }
  row.source = plan.geometry;
  row.source_sform_code = 1;
  row.source_sform = plan.geometry.affine;
  row.source_path = "simulated:" + scan_path("", plan).string();
  core::Sha256 hash;
  hash.update(scan.t2w.voxels.data(), scan.t2w.voxels.size() * sizeof(std::int16_t));
  row.source_sha256 = hash.finish();
  return origin;
}

/// The smooth ROIs of one scan. Throws InputError naming the scan.
std::vector<PreparedRegion> prepare_phantom(const CohortRequest& request, const ScanPlan& plan,
                                            const SimulatedScan& scan, const fs::path& file) {
  const Volume<float> image = converted<float>(scan.t2w);
  LabelMap labels;
  labels.labels =
      std::make_shared<const Volume<std::int32_t>>(converted<std::int32_t>(scan.labels));
  labels.name = label_path("", plan).string();
  const ScanOrigin origin = origin_of(plan, scan, file);
  std::vector<PreparedRegion> regions;
  try {
    for (const PreprocessingOptions& options : request.regions) {
      const NetworkSpace space{network_grid(plan.geometry, options.spacing_mm)};
      regions.push_back(prepare_region(image, {labels}, space, origin, options, request.rules, 1));
    }
  } catch (const core::InputError& error) {
    error.rethrow_in(plan.participant_id + " " + plan.session_id);
  }
  return regions;
}

class Simulator {
 public:
  using Heads = std::vector<std::shared_ptr<const LabelHead>>;
  Simulator(const SimulationJob& job, Heads heads, core::Log& log,
            const core::Provenance& provenance, const core::StopSignals& signals)
      : job_(job),
        heads_(std::move(heads)),
        provenance_(provenance),
        signals_(signals),
        progress_(log, "simulating", static_cast<std::size_t>(job.options.participants),
                  "participant") {
    summary_.participants.resize(static_cast<std::size_t>(job.options.participants));
    if (job.cohort) {
      cohort_.emplace(job.cohort->path, job.cohort->regions, provenance.to_json(),
                      job.cohort->float16);
    }
  }

  SimulationSummary run() {
    core::parallel_jobs(job_.options.participants, job_.threads,
                        [this](std::int64_t index) { work(static_cast<std::size_t>(index)); });
    if (cohort_) cohort_->finish();
    summary_.scans_written = written_;
    summary_.scans_kept = kept_;
    return std::move(summary_);
  }

 private:
  void work(std::size_t index) {
    try {
      signals_.throw_if_stopped();
      simulate(index);
      progress_.advance();
    } catch (...) {
      turnstile_.fail();
      throw;
    }
  }

  void simulate(std::size_t index) {
    Participant participant =
        simulate_participant(job_.options, job_.seed, static_cast<int>(index), heads_);
    ParticipantRecord record;
    std::vector<PreparedRegion> regions;
    for (int session = 0; session < participant.sessions; ++session) {
      ScanRecord scan{plan_scan(job_.options, job_.seed, participant, session), {}, {}};
      scan.epvs = view_epvs(scan.plan, participant);
      scan.scores = rate_scan(job_.options, scan.plan, participant, scan.epvs);
      render(participant, scan, regions);
      for (EpvsInScan& epvs : scan.epvs) {
        epvs.voxels.clear();
        epvs.voxels.shrink_to_fit();
      }
      record.scans.push_back(std::move(scan));
    }
    participant.anatomy.reset();
    record.participant = std::move(participant);
    summary_.participants[index] = std::move(record);
    if (!cohort_ || !turnstile_.wait_for(index)) return;
    for (const PreparedRegion& region : regions) {
      cohort_->append(region.options.region, region.row, region.volumes);
    }
    turnstile_.pass();
  }

  void render(const Participant& participant, const ScanRecord& scan,
              std::vector<PreparedRegion>& regions) {
    const bool there = job_.write_scans && scan_is_there(job_, scan.plan);
    const bool needed = (job_.write_scans && !there) || cohort_;
    if (there) ++kept_;
    if (!needed) return;
    const SimulatedScan image = render_scan(job_.options, scan.plan, participant, scan.epvs);
    if (job_.write_scans && !there) {
      write_scan(job_, scan.plan, image, provenance_);
      ++written_;
    }
    if (!cohort_) return;
    const fs::path file = job_.write_scans ? scan_path(job_.folder, scan.plan) : fs::path();
    for (PreparedRegion& region : prepare_phantom(*job_.cohort, scan.plan, image, file)) {
      region.whole = {};
      regions.push_back(std::move(region));
    }
  }

  const SimulationJob& job_;
  const Heads heads_;
  const core::Provenance& provenance_;
  const core::StopSignals& signals_;
  core::Progress progress_;
  std::optional<CohortWriter> cohort_;
  SimulationSummary summary_;
  Turnstile turnstile_;
  std::atomic<std::size_t> written_ = 0;
  std::atomic<std::size_t> kept_ = 0;
};

std::uintmax_t estimated_bytes(const SimulationJob& job) {
  std::uintmax_t bytes = 1 << 20;
  if (!job.write_scans) return bytes;
  const auto shares = job.options.scanner_shares();
  int sum = 0;
  for (const auto& [name, share] : shares) sum += share;
  for (const auto& [name, share] : shares) {
    Participant participant;
    participant.id = "sub-0001";
    participant.scanner = name;
    const ScanPlan plan = plan_scan(job.options, job.seed, participant, 0);
    const auto scans = static_cast<std::uintmax_t>(job.options.participants + job.options.rescans) *
                           static_cast<std::uintmax_t>(share) / static_cast<std::uintmax_t>(sum) +
                       1;
    bytes += scans * static_cast<std::uintmax_t>(plan.geometry.voxels()) * 2;
  }
  return bytes;
}

}  // namespace

fs::path scan_path(const fs::path& folder, const ScanPlan& plan) {
  const fs::path subject = folder / plan.participant_id / plan.session_id;
  const std::string session = plan.session_id.empty() ? "" : "_" + plan.session_id;
  return subject / "anat" /
         (plan.participant_id + session + (plan.profile.is_pdw() ? "_PDw" : "_T2w") + ".nii.gz");
}

fs::path label_path(const fs::path& folder, const ScanPlan& plan) {
  const fs::path subject =
      folder / "derivatives" / "labels" / plan.participant_id / plan.session_id;
  const std::string session = plan.session_id.empty() ? "" : "_" + plan.session_id;
  return subject / "anat" / (plan.participant_id + session + "_dseg.nii.gz");
}

std::string label_pattern(const fs::path& folder, bool sessions) {
  const std::string root = (folder / "derivatives" / "labels").string();
  return sessions ? root +
                        "/{participant_id}/{session_id}/anat/{participant_id}_{session_id}_dseg"
                        ".nii.gz"
                  : root + "/{participant_id}/anat/{participant_id}_dseg.nii.gz";
}

void check_output(const SimulationJob& job) {
  if (job.cohort) core::refuse_existing(job.cohort->path, job.force);
  const core::PlannedFolder folder = planned(job);
  folder.check(plan_document(job), job.force, folder.is_marked());
}

SimulationSummary simulate_dataset(const SimulationJob& job, core::Log& log,
                                   core::Provenance& provenance, const core::StopSignals& signals) {
  job.options.validate();
  check_output(job);
  std::vector<std::shared_ptr<const LabelHead>> heads;
  if (!job.options.anatomy.empty()) {
    heads = read_heads(job.options.anatomy, job.options.region_list());
    for (const fs::path& file : label_maps_in(job.options.anatomy)) provenance.add_input(file);
  }
  planned(job).start(plan_document(job), provenance, job.force, estimated_bytes(job),
                     {"phenotype", "truth", "derivatives/labels"});
  SimulationSummary summary = Simulator(job, std::move(heads), log, provenance, signals).run();
  write_dataset_tables(job, summary, provenance);
  return summary;
}

}  // namespace epvs::data
