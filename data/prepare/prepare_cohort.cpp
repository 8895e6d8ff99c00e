#include "data/prepare/prepare_cohort.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"
#include "core/parallel.h"
#include "data/prepare/memory_budget.h"
#include "data/prepare/prepared_parts.h"
#include "data/prepare/qc/qc.h"
#include "data/prepare/qc/qc_page.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// The scans (indices of inputs) that are left after exclusions; those are noted in `summary`.
std::vector<std::size_t> included(const CohortJob& job, const PreparedParts& parts,
                                  CohortSummary& summary, core::Log& log) {
  std::vector<std::size_t> inputs;
  std::vector<std::string> regions;
  for (const PreprocessingOptions& options : job.regions) regions.push_back(options.region);
  for (std::size_t i = 0; i < job.inputs.size(); ++i) {
    const ScanInput& input = job.inputs[i];
    for (const std::string& region : regions) {
      if (auto excluded = job.exclusions.find(input, region)) summary.excluded.push_back(*excluded);
    }
    if (!parts.regions_of(input).empty()) inputs.push_back(i);
  }
  for (const std::string& name : job.exclusions.unknown(job.inputs, regions)) {
    log.warning("--exclude names {}, which is not among the scans and regions of this run", name);
  }
  if (inputs.empty()) {
    throw core::UsageError("--exclude leaves no scan", "all scans are excluded; see its table");
  }
  return inputs;
}

/// Says what a person should look at.
void report(const ScanInput& input, const PreparedScan& scan, core::Log& log) {
  for (const std::string& warning : scan.warnings) log.warning("{}: {}", input.key(), warning);
  for (const PreparedRegion& region : scan.regions) {
    for (const std::string& reason : region.qc.reasons) {
      log.warning("{} {}: {}", input.key(), region.qc.region, reason);
    }
  }
  for (const MissingRegion& region : scan.missing) {
    log.error("{} {}: {}", input.key(), region.region, region.error);
  }
}

/// Prepares the scans of `todo`; what fails is noted in `summary`.
void prepare_scans(const std::vector<std::size_t>& todo, const CohortJob& job,
                   const SharedInputs& shared, const PreparedParts& parts,
                   const core::Json& provenance, const core::StopSignals& signals,
                   CohortSummary& summary, core::Log& log) {
  std::vector<ScanInput> inputs;
  for (const std::size_t i : todo) inputs.push_back(job.inputs[i]);
  const Share share = share_of(inputs, shared.options, job.regions, job.threads, log);
  core::Progress progress(log, "preparing", summary.kept + todo.size(), "scan");
  progress.skip(summary.kept);
  std::mutex mutex;
  const auto prepare = [&](std::int64_t job_number) {
    const std::size_t i = todo[static_cast<std::size_t>(job_number)];
    const ScanInput& input = job.inputs[i];
    std::vector<Failure> failures;
    const std::optional<Failure> failure = attempt(input, [&] {
      const PreparedScan scan =
          prepare_scan(input, shared, parts.regions_of(input), share.threads_per_scan,
                       job.known.empty() ? KnownRegistrations() : job.known[i]);
      report(input, scan, log);
      parts.save(input, scan, provenance);
      for (const MissingRegion& region : scan.missing) {
        failures.push_back(
            {input.participant_id, input.session_id, region.region, region.error, region.hint});
      }
    });
    const std::lock_guard<std::mutex> lock(mutex);
    if (failure) {
      log.error("{}: {}", input.key(), failure->error);
      failures.push_back(*failure);
    } else {
      ++summary.prepared;
    }
    summary.failures.insert(summary.failures.end(), failures.begin(), failures.end());
    progress.advance(1, input.key());
  };
  core::parallel_jobs(static_cast<std::int64_t>(todo.size()), share.scans_at_a_time, prepare,
                      [&] { return signals.stop_signal() != 0; });
  sort_failures(summary.failures);
}

/// The scans of which nothing could be prepared.
std::size_t lost_scans(const CohortSummary& summary) {
  return static_cast<std::size_t>(
      std::count_if(summary.failures.begin(), summary.failures.end(),
                    [](const Failure& failure) { return failure.region.empty(); }));
}

bool is_lost(const ScanInput& input, const CohortSummary& summary) {
  return std::any_of(summary.failures.begin(), summary.failures.end(), [&](const Failure& failure) {
    return failure.region.empty() && failure.participant_id == input.participant_id &&
           failure.session_id == input.session_id;
  });
}

/// The group page; its pictures are those that lie in the folder.
void write_page(const CohortJob& job, const CohortSummary& summary) {
  const fs::path qc = qc_folder(job.out);
  QcPage page;
  page.title = "Quality control of " + job.out.filename().string();
  page.scans_found = job.inputs.size();
  for (const Failure& failure : summary.failures) {
    std::string key = failure.participant_id;
    if (!failure.session_id.empty()) key += "_" + failure.session_id;
    if (!failure.region.empty()) key += " " + failure.region;
    page.failures.emplace_back(key, failure.error);
  }
  for (const ScanInput& input : job.inputs) {
    if (fs::exists(qc / qc_picture_name(input.key()))) page.pictures.insert(input.key());
  }
  core::write_text(qc / "index.html", qc_page(page, summary.qc));
}

/// What is known of each scan beside its volumes: exclusions, failures, sidecars.
void add_facts(core::Provenance& provenance, const CohortJob& job, const CohortSummary& summary,
               const core::Json& scan_facts) {
  core::Json excluded = core::Json::array();
  for (const ExcludedScan& scan : summary.excluded) excluded.push_back(scan.to_json());
  core::Json failed = core::Json::array();
  for (const Failure& failure : summary.failures) {
    failed.push_back({{"participant_id", failure.participant_id},
                      {"session_id", failure.session_id},
                      {"region", failure.region},
                      {"error", failure.error}});
  }
  provenance.add("scans_found", job.inputs.size());
  provenance.add("excluded", excluded);
  provenance.add("failed", failed);
  provenance.add("scan_facts", scan_facts);
}

/// Merges the parts of all scans that did not fail and writes the tables and pages.
void finish(const std::vector<std::size_t>& included, const CohortJob& job,
            const PreparedParts& parts, core::Provenance provenance, CohortSummary& summary) {
  std::vector<fs::path> files;
  std::vector<QcRow> rows;
  core::Json facts = core::Json::array();
  for (const std::size_t i : included) {
    const ScanInput& input = job.inputs[i];
    if (is_lost(input, summary)) continue;
    files.push_back(parts.volumes(input));
    for (QcRow& row : parts.qc_rows(input)) rows.push_back(std::move(row));
    const core::Json known = parts.facts(input);
    if (known.empty()) continue;
    core::Json entry = {{"participant_id", input.participant_id}, {"session_id", input.session_id}};
    entry.update(known);
    facts.push_back(entry);
  }
  add_facts(provenance, job, summary, facts);
  const fs::path table = qc_folder(job.out) / "qc.tsv";
  summary.qc = qc_table(rows, summary.excluded, job.exclusions);
  summary.qc.write(table);
  provenance.write_beside(table);
  write_page(job, summary);
  merge_cohorts(files, job.out, provenance.to_json());
}

void require_room(const CohortJob& job, std::size_t scans) {
  std::uintmax_t voxels = 0;
  for (const PreprocessingOptions& options : job.regions) {
    voxels += static_cast<std::uintmax_t>(options.crop_voxels[0] * options.crop_voxels[1] *
                                          options.crop_voxels[2]);
  }
  core::require_free_space(job.out, voxels * scans);
}

}  // namespace

CohortSummary prepare_cohort(const CohortJob& job, const SharedInputs& shared,
                             const core::Provenance& provenance, const core::StopSignals& signals,
                             core::Log& log) {
  const PreparedParts parts(job, shared);
  CohortSummary summary;
  const std::vector<std::size_t> inputs = included(job, parts, summary, log);
  require_room(job, inputs.size());
  std::vector<std::size_t> todo;
  for (const std::size_t i : inputs) {
    if (!parts.finished(job.inputs[i])) todo.push_back(i);
  }
  summary.kept = inputs.size() - todo.size();
  if (summary.kept > 0) {
    log.info("{} of {} scans were finished by an earlier run and are kept ({})", summary.kept,
             inputs.size(), parts.folder().string());
  }
  prepare_scans(todo, job, shared, parts, provenance.to_json(), signals, summary, log);
  if (signals.stop_signal() != 0) {
    throw core::Interrupted(
        signals.stop_signal(),
        fmt::format("stopped by signal; {} of {} scans are finished and kept in {}: run the same "
                    "command again",
                    summary.kept + summary.prepared, inputs.size(), parts.folder().string()));
  }
  const fs::path failed = failures_path(job.out);
  write_failures(failed, summary.failures, provenance);
  if (lost_scans(summary) == inputs.size()) {
    parts.remove_empty();
    const Failure& first = summary.failures.front();
    throw core::InputError(fmt::format("none of {} scans could be prepared; the first: {}: {}",
                                       inputs.size(), first.participant_id, first.error),
                           fmt::format("{} says why{}", failed.string(),
                                       first.hint.empty() ? "" : "; for the first: " + first.hint));
  }
  finish(inputs, job, parts, provenance, summary);
  if (summary.failures.empty()) parts.remove_all();
  return summary;
}

void crops_from_masks(CohortJob& job, const SharedInputs& shared, const core::StopSignals& signals,
                      core::Log& log) {
  std::vector<Shape> largest(job.regions.size(), Shape{0, 0, 0});
  std::size_t found = 0;
  std::mutex mutex;
  core::Progress progress(log, "measuring the regions", job.inputs.size(), "scan");
  const Share share = share_of(job.inputs, shared.options, job.regions, job.threads, log);
  job.known.resize(job.inputs.size());
  const auto measure = [&](std::int64_t job_number) {
    const auto n = static_cast<std::size_t>(job_number);
    const auto failure = attempt(job.inputs[n], [&] {
      const std::vector<Shape> extents =
          region_extents(job.inputs[n], shared, job.regions, share.threads_per_scan, job.known[n]);
      const std::lock_guard<std::mutex> lock(mutex);
      ++found;
      for (std::size_t r = 0; r < extents.size(); ++r) {
        for (std::size_t i = 0; i < 3; ++i) {
          largest[r][i] = std::max(largest[r][i], extents[r][i]);
        }
      }
    });
    progress.advance(1, job.inputs[n].key());
  };
  core::parallel_jobs(static_cast<std::int64_t>(job.inputs.size()), share.scans_at_a_time, measure,
                      [&] { return signals.stop_signal() != 0; });
  signals.throw_if_stopped();
  if (found == 0) return;
  for (std::size_t r = 0; r < job.regions.size(); ++r) {
    PreprocessingOptions& region = job.regions[r];
    for (std::size_t i = 0; i < 3; ++i) {
      region.crop_voxels[i] =
          up_to_four(static_cast<double>(largest[r][i] + 2 * (region.dilation_voxels + 2)));
    }
    log.info("crop of {} from {} scans: {}x{}x{} voxels", region.region, found,
             region.crop_voxels[0], region.crop_voxels[1], region.crop_voxels[2]);
  }
}

}  // namespace epvs::data
