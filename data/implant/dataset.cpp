#include "data/implant/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "core/planned_folder.h"
#include "core/version.h"
#include "data/prepare/memory_budget.h"
#include "data/prepare/registration/transform_file.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

core::PlannedFolder planned(const ImplantJob& job) {
  return {job.folder, "implants.json", "dataset of epvs implant"};
}
fs::path parts_folder(const fs::path& folder) {
  return folder / "truth" / "parts";
}
fs::path part_file(const ImplantJob& job, const ScanInput& input) {
  return parts_folder(job.folder) / (input.key() + ".json");
}

/// What the content of a dataset depends on beside the scans themselves.
core::Json plan_document(const ImplantJob& job, const SharedInputs& shared) {
  core::ParameterTable table;
  ImplantOptions options = job.options;
  PrepareOptions prepare = shared.options;
  options.declare(table);
  prepare.declare_regions(table);
  return {{"seed", job.seed},
          {"source", fs::absolute(job.source).lexically_normal().string()},
          {"options", table.to_json()},
          {"labels", prepare.labels},
          {"lut", prepare.lut},
          {"white_matter", prepare.white_matter},
          {"white_matter_lut", prepare.white_matter_lut},
          {"labels_space", core::to_text(prepare.labels_space)},
          {"transforms", prepare.transforms.string()},
          {"template_and_atlases", shared.sources}};
}

/// Names the files that a scan's result depends on.
std::string hash_of(const ScanInput& input, const SharedInputs& shared) {
  const PrepareOptions& options = shared.options;
  core::Json document = {core::kVersion, core::sha256_file(input.scan)};
  if (!options.uses_atlas()) {
    document.push_back(core::sha256_file(label_file(input, options.labels)));
  }
  if (!options.white_matter.empty()) {
    document.push_back(core::sha256_file(labels_of(input, options.white_matter)));
  }
  for (const fs::path& path : transforms_of(options.transforms, input.key())) {
    document.push_back(core::sha256_file(path));
  }
  return core::sha256_text(document.dump());
}

/// "sub-01_acq-tse_run-1_T2w.nii.gz" -> "sub-01_ses-k05_acq-tse_run-1_T2w.nii.gz".
std::string session_file_name(const ScanInput& input, const std::string& session) {
  std::string rest = input.scan.filename().string();
  for (const std::string& entity : {input.participant_id, input.session_id}) {
    if (!entity.empty() && rest.starts_with(entity + "_")) rest = rest.substr(entity.size() + 1);
  }
  return fmt::format("{}_{}_{}", input.participant_id, session, rest);
}

fs::path scan_file(const ImplantJob& job, const ScanInput& input, std::int64_t count) {
  const std::string session = implant_session(input.session_id, count);
  return job.folder / input.participant_id / session / "anat" / session_file_name(input, session);
}

bool is_finished(const ImplantJob& job, const SharedInputs& shared, const ScanInput& input) {
  const fs::path part = part_file(job, input);
  if (!fs::exists(part)) return false;
  for (const std::int64_t count : job.options.counts) {
    if (!fs::exists(scan_file(job, input, count))) return false;
  }
  try {
    const core::Json document = core::read_json(part);
    return document.at("hash") == hash_of(input, shared) && document.at("missing").empty();
  } catch (const core::InputError&) {  // damaged, or its labels are gone: do it again
    return false;
  }
}

void write_scans(const ImplantJob& job, const ScanInput& input, const ImplantedScan& scan) {
  const fs::path sidecar = core::sidecar_path(input.scan);
  for (const std::int64_t count : job.options.counts) {
    const fs::path target = scan_file(job, input, count);
    copy_with_changes(input.scan, target, changes_of(scan, count));
    if (fs::exists(sidecar)) {
      core::write_text(core::sidecar_path(target), core::read_text(sidecar));
    }
    const std::string key =
        fmt::format("{}_{}", input.participant_id, implant_session(input.session_id, count));
    const fs::path transforms = job.folder / "derivatives" / "transforms";
    for (const NamedTransform& transform : scan.transforms) {
      write_transform(transforms / transform_file_name(key, transform.name), transform.matrix);
    }
    if (scan.deformation) {
      write_deformation(transforms / transform_file_name(key, "from-T2w_to-template_deformable"),
                        *scan.deformation);
    }
  }
}

class Implanter {
 public:
  Implanter(const ImplantJob& job, const SharedInputs& shared, core::Log& log,
            const core::StopSignals& signals)
      : job_(job),
        shared_(shared),
        log_(log),
        signals_(signals),
        progress_(log, "implanting", job.inputs.size(), "scan"),
        parts_(job.inputs.size()) {}

  /// Parts of the scans that are done; what failed is in summary().
  std::vector<core::Json> run() {
    const Share share = share_of(job_.inputs, shared_.options, job_.regions, job_.threads, log_);
    scan_threads_ = share.threads_per_scan;
    core::parallel_jobs(
        static_cast<std::int64_t>(job_.inputs.size()), share.scans_at_a_time,
        [this](std::int64_t index) { work(static_cast<std::size_t>(index)); },
        [this] { return signals_.stop_signal() != 0; });
    if (signals_.stop_signal() != 0) {
      throw core::Interrupted(
          signals_.stop_signal(),
          fmt::format("stopped by signal; {} of {} scans are finished and kept in {}: run the same "
                      "command again",
                      summary_.kept + summary_.done, job_.inputs.size(), job_.folder.string()));
    }
    sort_failures(summary_.failures);
    std::erase_if(parts_, [](const core::Json& part) { return part.is_null(); });
    for (const core::Json& part : parts_) {
      for (const core::Json& one : part.at("placements")) {
        summary_.placements.push_back(
            {part.at("participant_id"), part.at("session_id"), one[0], one[1], one[2]});
      }
    }
    return std::move(parts_);
  }

  ImplantSummary& summary() { return summary_; }

 private:
  void work(std::size_t index) {
    const ScanInput& input = job_.inputs[index];
    if (is_finished(job_, shared_, input)) {
      parts_[index] = core::read_json(part_file(job_, input));
      progress_.skip(1);
      const std::lock_guard<std::mutex> lock(mutex_);
      ++summary_.kept;
      return;
    }
    std::vector<MissingRegion> missing;
    const std::optional<Failure> failure =
        attempt(input, [&] { parts_[index] = implant(input, missing); });
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const MissingRegion& region : missing) {
      summary_.failures.push_back(
          {input.participant_id, input.session_id, region.region, region.error, region.hint});
      log_.error("{} {}: {}", input.key(), region.region, region.error);
    }
    if (failure) {
      log_.error("{}: {}", input.key(), failure->error);
      summary_.failures.push_back(*failure);
    } else {
      ++summary_.done;
    }
    progress_.advance(1, input.key());
  }

  core::Json implant(const ScanInput& input, std::vector<MissingRegion>& missing) {
    fs::remove(part_file(job_, input));
    const ImplantedScan scan =
        implant_scan(input, shared_, job_.regions, job_.options, job_.seed, scan_threads_);
    for (const std::string& warning : scan.warnings) {
      log_.warning("{}: {}", input.key(), warning);
    }
    for (const RegionImplants& region : scan.regions) {
      if (static_cast<std::int64_t>(region.implants.size()) == job_.options.counts.back()) continue;
      log_.warning("{} {}: room for {} of {} EPVS; truth_counts.tsv says how many there are",
                   input.key(), region.region, region.implants.size(), job_.options.counts.back());
    }
    write_scans(job_, input, scan);
    core::Json part = truth_of(job_, input, scan);
    part["hash"] = hash_of(input, shared_);
    core::write_json(part_file(job_, input), part);
    missing = scan.missing;
    return part;
  }

  const ImplantJob& job_;
  const SharedInputs& shared_;
  core::Log& log_;
  const core::StopSignals& signals_;
  core::Progress progress_;
  std::vector<core::Json> parts_;
  ImplantSummary summary_;
  std::mutex mutex_;
  int scan_threads_ = 1;
};

std::uintmax_t estimated_bytes(const ImplantJob& job) {
  std::uintmax_t bytes = 1 << 20;
  for (const ScanInput& input : job.inputs) {
    bytes += fs::file_size(input.scan) * job.options.counts.size();
  }
  return bytes;
}

}  // namespace

std::string implant_session(const std::string& source_session, std::int64_t count) {
  return fmt::format("{}k{:02d}", source_session.empty() ? "ses-" : source_session, count);
}

void check_output(const ImplantJob& job, const SharedInputs& shared) {
  const core::PlannedFolder folder = planned(job);
  folder.check(plan_document(job, shared), job.force,
               folder.is_marked() && !fs::exists(job.folder / "failed.tsv"));
}

ImplantSummary implant_dataset(const ImplantJob& job, const SharedInputs& shared, core::Log& log,
                               const core::Provenance& provenance,
                               const core::StopSignals& signals) {
  job.options.validate();
  check_output(job, shared);
  planned(job).start(plan_document(job, shared), provenance, job.force, estimated_bytes(job),
                     {"truth", "failed.tsv", "failed.json", "derivatives/transforms"});
  Implanter implanter(job, shared, log, signals);
  const std::vector<core::Json> parts = implanter.run();
  ImplantSummary summary = std::move(implanter.summary());
  write_implant_tables(job, parts, summary.failures, provenance);
  if (parts.empty()) {
    fs::remove(planned(job).marker());
    const Failure& first = summary.failures.front();
    throw core::InputError(fmt::format("none of {} scans could be filled; the first: {}: {}",
                                       job.inputs.size(), first.participant_id, first.error),
                           fmt::format("{} says why{}", (job.folder / "failed.tsv").string(),
                                       first.hint.empty() ? "" : "; for the first: " + first.hint));
  }
  if (summary.failures.empty()) fs::remove_all(parts_folder(job.folder));
  return summary;
}

}  // namespace epvs::data
