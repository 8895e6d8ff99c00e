#include "data/prepare/prepare_cohort.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <tuple>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"
#include "data/prepare/memory_budget.h"
#include "data/prepare/prepared_parts.h"
#include "data/prepare/qc/qc.h"
#include "data/prepare/qc/qc_page.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// Runs one scan's work; what is wrong with the scan is returned, what is wrong with the run is
/// thrown.
std::optional<Failure> attempt(const ScanInput& input, const std::function<void()>& work) {
  Failure failure{input.participant_id, input.session_id, {}, {}};
  try {
    work();
    return std::nullopt;
  } catch (const core::Error& error) {
    if (error.exit_code() != core::ExitCode::kInput) throw;
    failure.error = error.what();
    failure.hint = error.hint();
  } catch (const std::bad_alloc&) {
    failure.error = "not enough memory";
    failure.hint = "give a smaller --memory-gb, or fewer --threads";
  } catch (const std::exception& error) {
    failure.error = error.what();
  }
  std::replace(failure.error.begin(), failure.error.end(), '\n', ' ');
  std::replace(failure.error.begin(), failure.error.end(), '\t', ' ');
  return failure;
}

/// failed.tsv of an earlier run would say something wrong when nothing failed now.
void write_failures(const fs::path& path, const std::vector<Failure>& failures,
                    const core::Provenance& provenance) {
  if (failures.empty()) {
    std::error_code ignored;
    fs::remove(path, ignored);
    fs::remove(core::sidecar_path(path), ignored);
    return;
  }
  core::Table table({"participant_id", "session_id", "error", "hint"});
  for (const Failure& failure : failures) {
    table.add_row({failure.participant_id, failure.session_id, failure.error, failure.hint});
  }
  table.write(path);
  provenance.write_beside(path);
}

/// How the scans of a job share threads and memory.
struct Share {
  std::vector<std::uintmax_t> needs;  ///< bytes per scan
  std::uintmax_t budget = 0;
  int workers = 1;
  int threads_per_scan = 1;
};

Share share_of(const CohortJob& job, const std::vector<ScanInput>& scans,
               const PrepareOptions& options, core::Log& log) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  Share share;
  share.budget = job.memory_bytes > 0 ? job.memory_bytes : available_memory() / 10 * 8;
  for (const ScanInput& scan : scans) {
    share.needs.push_back(memory_need(scan, options, job.regions));
    if (share.needs.back() > share.budget) {
      log.warning(
          "{} needs about {:.1f} GiB of memory, more than the budget of {:.1f} GiB: it is "
          "prepared alone",
          scan.key(), static_cast<double>(share.needs.back()) / kGiB,
          static_cast<double>(share.budget) / kGiB);
    }
  }
  share.workers = jobs_at_a_time(share.needs, job.threads, share.budget);
  share.threads_per_scan = std::max(1, job.threads / share.workers);
  if (!scans.empty()) {
    log.info("up to {} scans at a time, {} threads each, within {:.1f} GiB of memory",
             share.workers, share.threads_per_scan, static_cast<double>(share.budget) / kGiB);
  }
  return share;
}

/// The scans that are left after exclusions; those are noted in `summary`.
std::vector<ScanInput> included(const CohortJob& job, const PreparedParts& parts,
                                CohortSummary& summary, core::Log& log) {
  std::vector<ScanInput> inputs;
  std::vector<std::string> regions;
  for (const PreprocessingOptions& options : job.regions) regions.push_back(options.region);
  for (const ScanInput& input : job.inputs) {
    for (const std::string& region : regions) {
      if (auto excluded = job.exclusions.find(input, region)) summary.excluded.push_back(*excluded);
    }
    if (!parts.regions_of(input).empty()) inputs.push_back(input);
  }
  for (const std::string& name : job.exclusions.unknown(job.inputs, regions)) {
    log.warning("--exclude names {}, which is not among the scans and regions of this run", name);
  }
  if (inputs.empty()) {
    throw core::UsageError("--exclude leaves no scan", "all scans are excluded; see its table");
  }
  return inputs;
}

/// Prepares the scans of `todo`; what fails is noted in `summary`.
void prepare_scans(const std::vector<ScanInput>& todo, const CohortJob& job,
                   const SharedInputs& shared, const PreparedParts& parts,
                   const core::Json& provenance, const core::StopSignals& signals,
                   CohortSummary& summary, core::Log& log) {
  const Share share = share_of(job, todo, shared.options(), log);
  // The last digits of N4 depend on the number of its threads.
  limit_registration_threads(corrects_bias(job.regions) ? 1 : share.threads_per_scan);
  core::Progress progress(log, "preparing", summary.kept + todo.size(), "scan");
  progress.skip(summary.kept);
  std::mutex mutex;
  const auto prepare = [&](std::size_t i) {
    const ScanInput& input = todo[i];
    const std::optional<Failure> failure = attempt(input, [&] {
      const PreparedScan scan =
          prepare_scan(input, shared, parts.regions_of(input), share.threads_per_scan);
      for (const std::string& warning : scan.warnings) log.warning("{}: {}", input.key(), warning);
      for (const QcRow& row : scan.qc) {
        for (const std::string& reason : row.reasons) {
          log.warning("{} {}: {}", input.key(), row.region, reason);
        }
      }
      parts.save(input, scan, provenance);
    });
    const std::lock_guard<std::mutex> lock(mutex);
    if (failure) {
      log.error("{}: {}", input.key(), failure->error);
      summary.failures.push_back(*failure);
    } else {
      ++summary.prepared;
    }
    progress.advance(1, input.key());
  };
  run_within_memory(
      share.needs, share.workers, share.budget, [&] { return signals.stop_signal() != 0; },
      prepare);
  std::sort(
      summary.failures.begin(), summary.failures.end(), [](const Failure& a, const Failure& b) {
        return std::tie(a.participant_id, a.session_id) < std::tie(b.participant_id, b.session_id);
      });
}

/// Merges the parts of all scans that did not fail and writes the tables and pages.
void finish(const std::vector<ScanInput>& inputs, const CohortJob& job, const PreparedParts& parts,
            core::Provenance provenance, CohortSummary& summary) {
  std::vector<fs::path> files;
  std::vector<QcRow> rows;
  core::Json facts = core::Json::array();
  for (const ScanInput& input : inputs) {
    const bool failed =
        std::any_of(summary.failures.begin(), summary.failures.end(), [&](const Failure& failure) {
          return failure.participant_id == input.participant_id &&
                 failure.session_id == input.session_id;
        });
    if (failed) continue;
    files.push_back(parts.volumes(input));
    for (QcRow& row : parts.qc_rows(input)) rows.push_back(std::move(row));
    const core::Json known = parts.facts(input);
    if (known.empty()) continue;
    core::Json entry = {{"participant_id", input.participant_id}, {"session_id", input.session_id}};
    entry.update(known);
    facts.push_back(entry);
  }
  core::Json excluded = core::Json::array();
  for (const ExcludedScan& scan : summary.excluded) excluded.push_back(scan.to_json());
  core::Json failed = core::Json::array();
  for (const Failure& failure : summary.failures) {
    failed.push_back({{"participant_id", failure.participant_id},
                      {"session_id", failure.session_id},
                      {"error", failure.error}});
  }
  provenance.add("scans_found", job.inputs.size());
  provenance.add("excluded", excluded);
  provenance.add("failed", failed);
  provenance.add("scan_facts", facts);
  const fs::path qc = qc_folder(job.out);
  summary.qc = qc_table(rows, summary.excluded, job.exclusions);
  summary.qc.write(qc / "qc.tsv");
  provenance.write_beside(qc / "qc.tsv");
  QcPage page;
  page.title = "Quality control of " + job.out.filename().string();
  page.scans_found = job.inputs.size();
  for (const Failure& failure : summary.failures) {
    const std::string key = failure.session_id.empty()
                                ? failure.participant_id
                                : failure.participant_id + "_" + failure.session_id;
    page.failures.emplace_back(key, failure.error);
  }
  for (const ScanInput& input : job.inputs) {
    if (fs::exists(qc / qc_picture_name(input.key()))) page.pictures.insert(input.key());
  }
  core::write_text(qc / "index.html", qc_page(page, summary.qc));
  merge_cohorts(files, job.out, provenance.to_json());
}

}  // namespace

CohortSummary prepare_cohort(const CohortJob& job, const SharedInputs& shared,
                             const core::Provenance& provenance, const core::StopSignals& signals,
                             core::Log& log) {
  const PreparedParts parts(job, shared);
  CohortSummary summary;
  const std::vector<ScanInput> inputs = included(job, parts, summary, log);
  std::uintmax_t voxels = 0;
  for (const PreprocessingOptions& options : job.regions) {
    voxels += static_cast<std::uintmax_t>(options.crop_voxels[0] * options.crop_voxels[1] *
                                          options.crop_voxels[2]);
  }
  core::require_free_space(job.out, voxels * inputs.size());
  std::vector<ScanInput> todo;
  for (const ScanInput& input : inputs) {
    if (!parts.finished(input)) todo.push_back(input);
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
        fmt::format("stopped by signal; {} of {} scans are finished and kept in {}: "
                    "run the same command again",
                    summary.kept + summary.prepared, inputs.size(), parts.folder().string()));
  }
  const fs::path failed = failures_path(job.out);
  write_failures(failed, summary.failures, provenance);
  if (summary.failures.size() == inputs.size()) {
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

std::vector<PreprocessingOptions> crops_from_masks(const CohortJob& job, const SharedInputs& shared,
                                                   const core::StopSignals& signals,
                                                   core::Log& log) {
  std::vector<Shape> largest(job.regions.size(), Shape{0, 0, 0});
  std::size_t found = 0;
  std::mutex mutex;
  core::Progress progress(log, "measuring the regions", job.inputs.size(), "scan");
  const Share share = share_of(job, job.inputs, shared.options(), log);
  // The last digits of N4 depend on the number of its threads.
  limit_registration_threads(corrects_bias(job.regions) ? 1 : share.threads_per_scan);
  const auto measure = [&](std::size_t n) {
    const auto failure = attempt(job.inputs[n], [&] {
      const std::vector<Shape> extents =
          region_extents(job.inputs[n], shared, job.regions, share.threads_per_scan);
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
  run_within_memory(
      share.needs, share.workers, share.budget, [&] { return signals.stop_signal() != 0; },
      measure);
  signals.throw_if_stopped();
  std::vector<PreprocessingOptions> regions = job.regions;
  if (found == 0) return regions;
  for (std::size_t r = 0; r < regions.size(); ++r) {
    for (std::size_t i = 0; i < 3; ++i) {
      const std::int64_t wanted = largest[r][i] + 2 * (regions[r].dilation_voxels + 2);
      regions[r].crop_voxels[i] = (wanted + 3) / 4 * 4;
    }
    log.info("crop of {} from {} scans: {}x{}x{} voxels", regions[r].region, found,
             regions[r].crop_voxels[0], regions[r].crop_voxels[1], regions[r].crop_voxels[2]);
  }
  return regions;
}

}  // namespace epvs::data
