#include "data/image/prepare_cohort.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <fstream>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <thread>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "core/version.h"
#include "data/image/scan_labels.h"
#include "data/image/scan_source.h"
#include "data/image/transform_file.h"
#include "data/image/transform_search.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t kBytesPerScan = std::uintmax_t{1} << 30U;

/// MemAvailable of the kernel, in bytes; a generous guess elsewhere.
std::uintmax_t available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::uintmax_t kilobytes = 0;
  std::string unit;
  while (file >> name >> kilobytes && std::getline(file, unit)) {
    if (name == "MemAvailable:") return kilobytes * 1024;
  }
  return kBytesPerScan * 4;
}

/// Runs `work(i)` for 0..count-1 on several threads until all are done, a stop is asked for, or one
/// throws (thrown again after the others have finished theirs).
void for_each_scan(std::size_t count, int workers, const core::StopSignals& signals,
                   const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> broken{false};
  std::exception_ptr error;
  std::mutex mutex;
  const auto loop = [&] {
    while (!broken && signals.stop_signal() == 0) {
      const std::size_t i = next.fetch_add(1);
      if (i >= count) return;
      try {
        work(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!error) error = std::current_exception();
        broken = true;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < workers; ++i) threads.emplace_back(loop);
  loop();
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

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
    failure.hint = "use fewer --threads";
  } catch (const std::exception& error) {
    failure.error = error.what();
  }
  std::replace(failure.error.begin(), failure.error.end(), '\n', ' ');
  std::replace(failure.error.begin(), failure.error.end(), '\t', ' ');
  return failure;
}

/// The finished scans of one output.
class Parts {
 public:
  Parts(const CohortJob& job, const SharedInputs& shared)
      : job_(job), shared_(shared), folder_(job.out.string() + ".parts"), qc_(qc_folder(job.out)) {}

  const fs::path& folder() const { return folder_; }
  fs::path volumes(const ScanInput& input) const { return folder_ / (input.key() + ".h5"); }
  fs::path record(const ScanInput& input) const { return folder_ / (input.key() + ".json"); }
  fs::path picture(const ScanInput& input) const { return qc_ / qc_picture_name(input.key()); }

  std::vector<PreprocessingOptions> regions_of(const ScanInput& input) const {
    std::vector<PreprocessingOptions> regions;
    for (const PreprocessingOptions& options : job_.regions) {
      if (!job_.exclusions.excludes(input, options.region)) regions.push_back(options);
    }
    return regions;
  }

  /// Names everything that the part of this scan depends on.
  std::string hash(const ScanInput& input) const {
    const PrepareOptions& options = shared_.options();
    core::Json document;
    document["version"] = core::kVersion;
    document["regions"] = core::Json::array();
    for (const PreprocessingOptions& region : regions_of(input)) {
      document["regions"].push_back(region.to_json());
    }
    document["rules"] = {options.label_interpolation,
                         options.labels_space,
                         options.cso_above_mm,
                         options.cso_slab_mm,
                         options.ac_mm,
                         options.float16,
                         options.transforms.string(),
                         options.assume_orientation};
    document["sources"] = shared_.sources();
    document["transforms"] = transform_hashes(options.transforms, input.key());
    document["scan"] = {input.scan.string(), sha256_of(counted_scan(input))};
    if (!options.uses_atlas()) {
      document["labels"] =
          core::sha256_file(input.labels.empty() ? labels_of(input, options.labels) : input.labels);
    }
    if (options.labels_space == "t1w" && !input.t1w.empty()) {
      document["t1w"] = sha256_of(t1w_scan(input));
    }
    return core::sha256_text(document.dump());
  }

  bool finished(const ScanInput& input) const {
    if (!fs::exists(record(input)) || !fs::exists(volumes(input)) || !fs::exists(picture(input))) {
      return false;
    }
    try {
      const core::Json document = core::read_json(record(input));
      return document.value("hash", std::string()) == hash(input) && document.contains("qc");
    } catch (const core::InputError&) {  // damaged, or the scan itself is unreadable: do it again
      return false;
    }
  }

  std::vector<QcRow> qc_rows(const ScanInput& input) const {
    std::vector<QcRow> rows;
    const core::Json document = core::read_json(record(input));
    for (const core::Json& row : document.at("qc")) rows.push_back(QcRow::from_json(row));
    return rows;
  }

  /// The record is written last: it is what makes the part count.
  void save(const ScanInput& input, const PreparedScan& scan, const core::Json& provenance) const {
    std::vector<PreprocessingOptions> regions;
    for (const PreparedRegion& region : scan.regions) regions.push_back(region.options);
    std::error_code ignored;
    fs::remove(record(input), ignored);
    CohortWriter writer(volumes(input), regions, provenance, shared_.options().float16);
    for (const PreparedRegion& region : scan.regions) {
      writer.append(region.options.region, region.row, region.volumes);
    }
    writer.finish();
    write_png(picture(input), scan.picture, {{"Title", input.key()}, {"Software", "epvs prepare"}});
    for (const NamedTransform& transform : scan.transforms) {
      write_transform(qc_ / "transforms" / transform_file_name(input.key(), transform.name),
                      transform.matrix);
    }
    core::Json document;
    document["hash"] = hash(input);
    document["qc"] = core::Json::array();
    for (const QcRow& row : scan.qc) document["qc"].push_back(row.to_json());
    core::write_json(record(input), document);
  }

 private:
  const CohortJob& job_;
  const SharedInputs& shared_;
  /// Of the files that the user brought for this scan: one corrected by hand is read again.
  static core::Json transform_hashes(const fs::path& folder, const std::string& key) {
    core::Json hashes = core::Json::array();
    for (const fs::path& path : transforms_of(folder, key)) {
      hashes.push_back({path.filename().string(), core::sha256_file(path)});
    }
    return hashes;
  }

  fs::path folder_;
  fs::path qc_;
};

void write_failures(const fs::path& out, const std::vector<Failure>& failures,
                    const core::Provenance& provenance) {
  const fs::path path = out.parent_path() / "failed.tsv";
  const std::vector<std::string> columns = {"participant_id", "session_id", "error", "hint"};
  if (failures.empty()) {  // one of an earlier run would say something wrong now
    try {
      if (fs::exists(path) && core::Table::read(path).columns() == columns) {
        fs::remove(path);
        fs::remove(core::sidecar_path(path));
      }
    } catch (const core::Error&) {  // not ours
    }
    return;
  }
  core::Table table(columns);
  for (const Failure& failure : failures) {
    table.add_row({failure.participant_id, failure.session_id, failure.error, failure.hint});
  }
  table.write(path);
  provenance.write_beside(path);
}

}  // namespace

int scans_at_a_time(int threads, std::size_t scans) {
  const std::uintmax_t fit = std::max<std::uintmax_t>(1, available_memory() / kBytesPerScan);
  return static_cast<int>(std::max<std::uintmax_t>(
      1,
      std::min({fit, static_cast<std::uintmax_t>(threads), static_cast<std::uintmax_t>(scans)})));
}

CohortSummary prepare_cohort(const CohortJob& job, const SharedInputs& shared,
                             const core::Provenance& provenance, const core::StopSignals& signals,
                             core::Log& log) {
  const Parts parts(job, shared);
  const fs::path qc = qc_folder(job.out);
  CohortSummary summary;
  std::vector<ScanInput> inputs;
  for (const ScanInput& input : job.inputs) {
    for (const PreprocessingOptions& options : job.regions) {
      if (job.exclusions.excludes(input, options.region)) {
        summary.excluded.push_back(input.key() + " " + options.region);
      }
    }
    if (!parts.regions_of(input).empty()) inputs.push_back(input);
  }
  if (inputs.empty()) {
    throw core::UsageError("--exclude leaves no scan", "all scans are excluded; see its table");
  }
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
  const int workers = scans_at_a_time(job.threads, todo.size());
  const int threads = std::max(1, job.threads / workers);
  limit_registration_threads(threads);
  core::Json part_provenance = provenance.to_json();
  core::Progress progress(log, "preparing", inputs.size(), "scan");
  progress.skip(summary.kept);
  std::mutex mutex;
  for_each_scan(todo.size(), workers, signals, [&](std::size_t i) {
    const ScanInput& input = todo[i];
    const std::optional<Failure> failure = attempt(input, [&] {
      const PreparedScan scan = prepare_scan(input, shared, parts.regions_of(input), threads);
      for (const std::string& warning : scan.warnings) log.warning("{}: {}", input.key(), warning);
      for (const QcRow& row : scan.qc) {
        for (const std::string& reason : row.reasons) {
          log.warning("{} {}: {}", input.key(), row.region, reason);
        }
      }
      parts.save(input, scan, part_provenance);
    });
    const std::lock_guard<std::mutex> lock(mutex);
    if (failure) {
      log.error("{}: {}", input.key(), failure->error);
      summary.failures.push_back(*failure);
    } else {
      ++summary.prepared;
    }
    progress.advance(1, input.key());
  });
  if (signals.stop_signal() != 0) {
    throw core::Interrupted(
        signals.stop_signal(),
        fmt::format("stopped by signal; {} of {} scans are finished and kept in {}: "
                    "run the same command again",
                    summary.kept + summary.prepared, inputs.size(), parts.folder().string()));
  }
  std::sort(
      summary.failures.begin(), summary.failures.end(), [](const Failure& a, const Failure& b) {
        return std::tie(a.participant_id, a.session_id) < std::tie(b.participant_id, b.session_id);
      });
  write_failures(job.out, summary.failures, provenance);
  if (summary.failures.size() == inputs.size()) {
    std::error_code ignored;
    fs::remove(parts.folder(), ignored);
    throw core::InputError(
        fmt::format("none of {} scans could be prepared; the first: {}: {}", inputs.size(),
                    summary.failures.front().participant_id, summary.failures.front().error),
        fmt::format("{} says why{}", (job.out.parent_path() / "failed.tsv").string(),
                    summary.failures.front().hint.empty()
                        ? ""
                        : "; for the first: " + summary.failures.front().hint));
  }

  std::vector<fs::path> files;
  std::vector<QcRow> rows;
  for (const ScanInput& input : inputs) {
    const bool failed =
        std::any_of(summary.failures.begin(), summary.failures.end(), [&](const Failure& failure) {
          return failure.participant_id == input.participant_id &&
                 failure.session_id == input.session_id;
        });
    if (failed) continue;
    files.push_back(parts.volumes(input));
    for (QcRow& row : parts.qc_rows(input)) rows.push_back(std::move(row));
  }
  core::Provenance full = provenance;
  full.add("excluded", summary.excluded);
  full.add("failed", summary.failures.size());
  summary.qc = qc_table(rows);
  summary.qc.write(qc / "qc.tsv");
  full.write_beside(qc / "qc.tsv");
  core::write_text(qc / "index.html",
                   qc_page("Quality control of " + job.out.filename().string(), summary.qc));
  merge_cohorts(files, job.out, full.to_json());
  fs::remove_all(parts.folder());
  return summary;
}

std::vector<PreprocessingOptions> crops_from_masks(const CohortJob& job, const SharedInputs& shared,
                                                   const core::StopSignals& signals,
                                                   core::Log& log) {
  std::vector<Shape> largest(job.regions.size(), Shape{0, 0, 0});
  std::size_t found = 0;
  std::mutex mutex;
  core::Progress progress(log, "measuring the regions", job.inputs.size(), "scan");
  const int workers = scans_at_a_time(job.threads, job.inputs.size());
  const int threads = std::max(1, job.threads / workers);
  limit_registration_threads(threads);
  for_each_scan(job.inputs.size(), workers, signals, [&](std::size_t n) {
    const auto failure = attempt(job.inputs[n], [&] {
      const std::vector<Shape> extents =
          region_extents(job.inputs[n], shared, job.regions, threads);
      const std::lock_guard<std::mutex> lock(mutex);
      ++found;
      for (std::size_t r = 0; r < extents.size(); ++r) {
        for (std::size_t i = 0; i < 3; ++i) {
          largest[r][i] = std::max(largest[r][i], extents[r][i]);
        }
      }
    });
    progress.advance(1, job.inputs[n].key());
  });
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
