#include "infer/infer_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/scores.h"
#include "core/stop.h"
#include "core/table.h"
#include "core/text.h"
#include "infer/ensemble.h"
#include "infer/map_writer.h"
#include "models/profile.h"
#include "models/weights_metadata.h"

namespace epvs::infer {

namespace fs = std::filesystem;

namespace {

struct Failure {
  std::string participant_id;
  std::string session_id;
  std::string reason;
};

/// Rows of the cohort to score, and participants of the split that it lacks.
struct Selection {
  std::vector<std::size_t> rows;
  std::vector<Failure> missing;
};

Selection select_rows(const data::CohortReader& cohort, const std::string& region,
                      const std::vector<std::string>* participants) {
  const std::vector<data::CohortRow>& rows = cohort.rows(region);
  Selection selection;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (participants == nullptr ||
        std::ranges::find(*participants, rows[i].participant_id) != participants->end()) {
      selection.rows.push_back(i);
    }
  }
  if (participants == nullptr) return selection;
  for (const std::string& participant : *participants) {
    const auto is_of = [&](std::size_t i) { return rows[i].participant_id == participant; };
    if (std::ranges::any_of(selection.rows, is_of)) continue;
    selection.missing.push_back(
        {participant, "", "in the splits, but not in the region " + region + " of the cohort"});
  }
  return selection;
}

core::Json describe_members(const Ensemble& ensemble, const std::vector<fs::path>& files) {
  core::Json members = core::Json::array();
  for (std::size_t i = 0; i < ensemble.size(); ++i) {
    const models::WeightsMetadata& metadata = ensemble.metadata(i);
    members.push_back({{"weights", files[i].string()},
                       {"network", metadata.network.to_json()},
                       {"target", metadata.target},
                       {"preprocessing", metadata.preprocessing.to_json()}});
  }
  return members;
}

}  // namespace

void InferCommand::check_options(const core::Context& context) const {
  if (runs_.empty() && weights_.empty()) {
    throw core::UsageError("no network: neither --run nor --weights was given",
                           "--run RUN takes the weights.safetensors of a run folder");
  }
  if (maps_.empty() != maps_dir_.empty()) {
    throw core::UsageError(maps_.empty() ? "--maps-dir was given without --maps"
                                         : "--maps was given without --maps-dir",
                           "--maps attention --maps-dir DIR writes the maps into DIR");
  }
  if (splits_.empty()) {
    for (const char* option : {"--split", "--fold", "--repeat"}) {
      if (context.line.given(option)) {
        throw core::UsageError(std::string(option) + " was given without --splits");
      }
    }
  }
  if (std::ranges::find(core::kKeyColumns, scorer_) != core::kKeyColumns.end()) {
    throw core::UsageError("--scorer = " + scorer_ + " is the name of a key column",
                           "choose a name of your method, for example gp_unet");
  }
  if (std::set<FlipAxis>(flip_axes_.begin(), flip_axes_.end()).size() != flip_axes_.size()) {
    throw core::UsageError("--flip-axes names an axis twice");
  }
  core::refuse_existing(out_, context.force);
}

/// Everything between the parsed options and the written files.
struct InferCommand::Job {
  const InferCommand& options;
  core::Context& context;
  std::vector<fs::path> files;
  std::string region;
  std::string scorer;
  data::CohortReader cohort;
  Selection selection;
  std::map<std::size_t, InferenceResult> results;  ///< without maps
  std::vector<Failure> failures;

  Job(const InferCommand& command, core::Context& shell)
      : options(command), context(shell), cohort(command.cohort_) {
    for (const std::string& run : command.runs_) files.push_back(core::find_weights(run));
    for (const std::string& file : command.weights_) files.push_back(core::find_weights(file));
    const models::WeightsMetadata first = models::read_weights_metadata(files.front());
    region = command.region_.empty() ? first.preprocessing.region : command.region_;
    scorer = command.scorer_.empty() ? core::to_text(first.network.architecture) : command.scorer_;
    cohort.options(region);  // names the regions that exist
    std::vector<std::string> participants;
    if (!command.splits_.empty()) {
      const core::Splits splits = core::Splits::read(command.splits_);
      for (const core::Split split : command.split_) {
        const auto found = splits.participants(command.repeat_, command.fold_, split);
        participants.insert(participants.end(), found.begin(), found.end());
      }
    }
    selection = select_rows(cohort, region, command.splits_.empty() ? nullptr : &participants);
    failures = selection.missing;
    if (selection.rows.empty()) {
      throw core::InputError(fmt::format("none of the participants is in the region {} of {}",
                                         region, command.cohort_.string()),
                             "check that --splits was made for this cohort");
    }
  }

  bool needs_attention() const {
    return !options.detections_dir_.empty() ||
           std::ranges::find(options.maps_, MapKind::kAttention) != options.maps_.end();
  }
  MapGrid grid() const { return options.maps_grid_; }
  const data::CohortRow& row(std::size_t index) const { return cohort.rows(region)[index]; }

  void refuse_existing_maps() const {
    for (const std::size_t index : selection.rows) {
      for (const MapKind kind : options.maps_) {
        core::refuse_existing(
            options.maps_dir_ / map_name(row(index), region, core::to_text(kind), grid()),
            context.force);
      }
      if (!options.detections_dir_.empty()) {
        core::refuse_existing(options.detections_dir_ / detections_name(row(index), region),
                              context.force);
      }
    }
  }

  core::Json sidecar(const InferenceResult& result) const {
    const data::CohortRow& r = row(result.row);
    core::Json document;
    document["participant_id"] = r.participant_id;
    if (!r.session_id.empty()) document["session_id"] = r.session_id;
    document["region"] = region;
    document["score"] = result.score;
    document["source_path"] = r.source_path;
    document["source_sha256"] = r.source_sha256;
    return document;
  }

  core::Json map_sidecar(const Ensemble& ensemble, const InferenceResult& result,
                         MapKind kind) const {
    core::Json document = sidecar(result);
    if (kind == MapKind::kAttention) {
      document["description"] =
          "sum over k of w_k f_k(x) of the last convolution, without the bias; no unit. On the "
          "network's grid with average pooling: pool_scale * mean + bias = score";
      document["pool_scale"] = ensemble.identity_scale();
      document["bias"] = ensemble.identity_bias();
      document["identity_holds_on_network_grid"] = ensemble.identity_holds();
    } else {
      document["description"] =
          "derivative of the score with respect to the normalised voxel value";
    }
    document["grid"] = core::to_text(grid());
    if (grid() == MapGrid::kSource) document["interpolation"] = "linear";
    document["provenance"] = context.provenance.to_json();
    return document;
  }

  void write_outputs(const Ensemble& ensemble, const InferenceResult& result) const {
    const data::CohortRow& r = row(result.row);
    for (const MapKind kind : options.maps_) {
      write_map(options.maps_dir_, r, region, core::to_text(kind), grid(),
                kind == MapKind::kAttention ? result.attention : result.saliency,
                map_sidecar(ensemble, result, kind), context.threads);
    }
    if (options.detections_dir_.empty()) return;
    data::Volume<float> map(r.roi);
    map.voxels = result.attention;
    core::Json document = sidecar(result);
    document["description"] = "highest local maxima of the attention map; mm are RAS+ of the scan";
    document["detection_radius_mm"] = options.detection_radius_mm_;
    document["provenance"] = context.provenance.to_json();
    write_detections(options.detections_dir_, r, region,
                     find_detections(map, cohort.read_soft(region, result.row),
                                     detection_count(result.score), options.detection_radius_mm_),
                     document);
  }

  void compute(const Ensemble& ensemble) {
    InferenceRequest request;
    request.region = region;
    request.rows = selection.rows;
    request.batch = static_cast<std::size_t>(options.batch_);
    request.attention = needs_attention();
    request.saliency = std::ranges::find(options.maps_, MapKind::kSaliency) != options.maps_.end();
    request.flip_axes = options.flip_axes_;
    std::optional<models::Profile> profile;
    if (options.profile_) {
      request.profile = &profile.emplace(ensemble.device(), ensemble.precision());
    }
    const core::StopSignals signals;
    core::Progress progress(context.log, "infer", selection.rows.size(), "scan");
    const auto failed = [&](std::size_t index, const std::string& reason) {
      failures.push_back({row(index).participant_id, row(index).session_id, reason});
      progress.advance();
    };
    ensemble.run(
        cohort, request,
        [&](const InferenceResult& result) {
          signals.throw_if_stopped();
          try {
            const models::Timed timed(request.profile, "writing");
            write_outputs(ensemble, result);
          } catch (const core::InputError& error) {
            failed(result.row, error.what());
            return;
          }
          results[result.row] = {result.row, result.member_scores, result.score, result.sd, {}, {}};
          progress.advance();
        },
        failed);
    if (profile) {
      context.provenance.add("profile",
                             profile->report(context.log, "scan", std::ssize(request.rows)));
    }
  }

  void write_scores(std::size_t members) const {
    const bool sessions = std::ranges::any_of(
        selection.rows, [&](std::size_t index) { return !row(index).session_id.empty(); });
    const bool splits = !options.splits_.empty();
    std::vector<std::string> columns = {"participant_id"};
    if (sessions) columns.push_back("session_id");
    columns.push_back("region");
    if (splits) columns.insert(columns.end(), {"fold", "repeat"});
    columns.push_back(scorer);
    if (members > 1) columns.push_back(scorer + "_sd");
    core::Table table(columns);
    const auto add = [&](const std::string& participant, const std::string& session,
                         const InferenceResult* result) {
      std::vector<std::string> cells = {participant};
      if (sessions) cells.push_back(session);
      cells.push_back(region);
      if (splits) {
        cells.push_back(std::to_string(options.fold_));
        cells.push_back(std::to_string(options.repeat_));
      }
      cells.push_back(result ? core::format_float(result->score) : core::kMissing);
      if (members > 1) cells.push_back(result ? core::format_float(result->sd) : core::kMissing);
      table.add_row(std::move(cells));
    };
    for (const std::size_t index : selection.rows) {
      const auto found = results.find(index);
      add(row(index).participant_id, row(index).session_id,
          found == results.end() ? nullptr : &found->second);
    }
    for (const Failure& failure : selection.missing) add(failure.participant_id, "", nullptr);
    table.write(options.out_);
    context.provenance.write_beside(options.out_);
  }

  void report_failures() const {
    if (failures.empty()) return;
    core::Table table({"participant_id", "session_id", "region", "reason"});
    std::vector<std::string> names;
    for (const Failure& failure : failures) {
      std::string reason = failure.reason;
      std::replace(reason.begin(), reason.end(), '\n', ' ');
      std::replace(reason.begin(), reason.end(), '\t', ' ');
      table.add_row({failure.participant_id, failure.session_id, region, reason});
      names.push_back(failure.participant_id);
      context.log.warning("{}: {}", failure.participant_id, failure.reason);
    }
    const fs::path path = options.out_.parent_path() / "failed.tsv";
    table.write(path);
    const std::string message =
        fmt::format("{} of {} scans have no score: {}", failures.size(),
                    selection.rows.size() + selection.missing.size(), core::join(names, ", "));
    const std::string hint = path.string() + " says why";
    if (results.empty()) throw core::InputError(message, hint);
    throw core::PartialError(message, hint);
  }
};

void InferCommand::run(core::Context& context) {
  check_options(context);
  Job job(*this, context);
  job.refuse_existing_maps();
  std::optional<models::Precision> precision;
  if (precision_ != InferencePrecision::kAuto) {
    precision = core::from_text<models::Precision>(core::to_text(precision_), "--precision");
  }
  const Ensemble ensemble(job.files, context.device, context.threads, precision);
  ensemble.require_fit(job.cohort, job.region, context.log);
  if (job.needs_attention() && !ensemble.has_attention()) {
    throw core::UsageError(fmt::format("the network {} has no attention map",
                                       core::to_text(ensemble.metadata(0).network.architecture)),
                           "attention maps and detections come from gp_unet; every network has "
                           "--maps saliency");
  }
  context.begin(fmt::format(
      "{} network(s), {} of {}, region {}, on {} with {} thread(s), {}", ensemble.size(),
      job.selection.rows.size() == 1 ? std::string("1 scan")
                                     : fmt::format("{} scans", job.selection.rows.size()),
      cohort_.string(), job.region, ensemble.device(), context.threads,
      core::to_text(ensemble.precision())));
  if (context.dry_run) {
    context.end_dry_run(out_.string());
    return;
  }
  for (const fs::path& file : job.files) context.provenance.add_input(file);
  if (!splits_.empty()) context.provenance.add_input(splits_);
  context.provenance.add("cohort", {{"path", cohort_.string()},
                                    {"bytes", fs::file_size(cohort_)},
                                    {"fingerprint", job.cohort.fingerprint()}});
  context.provenance.add("scorer", job.scorer);
  context.provenance.add("networks", describe_members(ensemble, job.files));
  context.provenance.add("device", ensemble.device());
  context.provenance.add("precision", core::to_text(ensemble.precision()));
  context.provenance.add("threads", context.threads);
  context.provenance.add("libtorch", Ensemble::torch_version());
  if (!maps_dir_.empty()) write_dataset_description(maps_dir_);
  if (!detections_dir_.empty()) write_dataset_description(detections_dir_);
  job.compute(ensemble);
  job.write_scores(ensemble.size());
  context.log.info("{} score(s) in {}", job.results.size(), out_.string());
  job.report_failures();
}

}  // namespace epvs::infer
