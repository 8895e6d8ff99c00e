#include "train/train_command.h"

#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/scores.h"
#include "core/splits.h"
#include "core/table.h"
#include "core/text.h"
#include "core/version.h"
#include "models/precision.h"
#include "models/profile.h"
#include "models/torch.h"
#include "train/augmentation/preview.h"
#include "train/resolve_recipe.h"

namespace epvs::train {

namespace fs = std::filesystem;
using core::Json;

namespace {

/// Without a number each process of a machine takes the GPU of its local rank; a launcher that
/// shows each process only its own GPU leaves one to take.
torch::Device choose_device(const std::string& wanted, const ProcessGroup& group) {
  const torch::Device device = models::resolve_device(wanted);
  const bool has_number = wanted.find(':') != std::string::npos;
  if (!group.has_others() || !device.is_cuda() || has_number || torch::cuda::device_count() == 1) {
    return device;
  }
  return models::resolve_device(fmt::format("cuda:{}", group.local_rank()));
}

/// What must be equal in all processes: all that decides the result.
Json comparable(Json identity, const torch::Device& device) {
  identity.erase("/threads");
  identity["/device"] = device.is_cuda() ? "cuda" : "cpu";
  identity["/epvs"] = std::string(core::kVersion) + " " + core::kGitCommit;
  return identity;
}

}  // namespace

void TrainCommand::read_recipe() {
  if (!recipe_file_.empty()) {
    core::require_exists(recipe_file_, "recipe");
    table_.read_recipe(recipe_file_, kForeignTables);
  }
  for (const std::string& assignment : set_) table_.assign(assignment);
  if (!region_.empty()) table_.assign("train.region=" + region_);
  recipe_.validate();
}

void TrainCommand::preview(core::Context& context) {
  if (recipe_file_.empty() || cohort_.empty()) {
    throw core::UsageError("--preview-augmentation needs RECIPE and --cohort");
  }
  core::refuse_existing(preview_, context.force);
  const data::CohortReader cohort(cohort_);
  const std::string region = data::choose_region(cohort, recipe_.train.region);
  const models::CohortSource source(cohort, region);
  constexpr std::size_t kScans = 4;
  constexpr int kDraws = 6;
  if (source.size() == 0) {
    throw core::InputError(fmt::format("{} has no scan of {}", cohort_.string(), region));
  }
  std::vector<std::size_t> rows(std::min(kScans, source.size()));
  std::iota(rows.begin(), rows.end(), 0);
  const data::Picture sheet = augmentation_sheet(source, rows, recipe_.augment, context.seed,
                                                 kDraws, cohort.options(region).spacing_mm);
  if (context.dry_run) return;
  data::write_png(preview_, sheet, {{"provenance", context.provenance.to_json().dump()}});
  fmt::print("{}\n", preview_.string());
}

void TrainCommand::require_inputs() {
  const auto require = [](bool given, const char* name, const char* what) {
    if (!given) {
      throw core::UsageError(fmt::format("{} is missing: {}", name, what),
                             "epvs train --help lists the options");
    }
  };
  require(!recipe_file_.empty(), "RECIPE", "the recipe of the training");
  require(!cohort_.empty(), "--cohort", "the cohort file");
  require(!scores_.empty(), "--scores", "the table of scores");
  require(!target_.empty(), "--target", "the column of the scores to learn");
  require(!splits_.empty(), "--splits", "the splits");
  require(!out_.empty(), "--out", "the run folder");
  if (resume_force_ && !resume_) {
    throw core::UsageError("--resume-force without --resume", "write --resume=force");
  }
  core::require_exists(cohort_, "cohort");
  core::require_exists(scores_, "table of scores");
  core::require_exists(splits_, "splits");
  if (!init_.empty()) init_ = core::find_weights(init_);
}

Json TrainCommand::identity(const data::CohortReader& cohort, const data::Examples& examples,
                            std::uint64_t seed, int threads, const torch::Device& device,
                            const ProcessGroup& group) const {
  Json identity{{"recipe", table_.to_json()},
                {"cohort", cohort.fingerprint()},
                {"examples", examples.fingerprint()},
                {"region", examples.region},
                {"target", target_},
                {"repeat", repeat_},
                {"fold", fold_},
                {"seed", seed},
                {"init", init_.empty() ? Json() : Json(core::sha256_file(init_))},
                {"threads", threads},
                {"device", device.str()},
                {"libtorch", TORCH_VERSION}};
  if (group.has_others()) identity["processes"] = group.size();
  return identity.flatten();
}

void TrainCommand::write_scores(Trainer& trainer, const data::Examples& examples,
                                bool is_first) const {
  const std::string scorer =
      scorer_.empty() ? core::to_text(recipe_.network.architecture) : scorer_;
  core::Table table({"participant_id", "session_id", "region", "fold", "repeat", scorer});
  for (const auto* part : {&examples.validation, &examples.test}) {
    const std::vector<double> scores = trainer.predict(*part);
    for (std::size_t i = 0; i < part->size(); ++i) {
      const data::Example& example = (*part)[i];
      table.add_row({example.participant_id, example.session_id, examples.region,
                     std::to_string(fold_), std::to_string(repeat_),
                     core::format_float(scores[i])});
    }
  }
  if (is_first) table.write(out_ / "scores.tsv");
}

void TrainCommand::require_trainable(const data::Examples& examples,
                                     const ProcessGroup& group) const {
  const bool patient = recipe_.train.patience > 0;
  if (examples.validation.empty() && (patient || recipe_.train.schedule == Schedule::kPlateau)) {
    throw core::UsageError(
        fmt::format("{}, but {} has no validation participants",
                    patient ? fmt::format("train.patience = {}", recipe_.train.patience)
                            : "train.schedule = plateau",
                    splits_.string()),
        "set another value, or make splits with a validation part");
  }
  if (recipe_.train.batch_size < group.size()) {
    throw core::UsageError(
        fmt::format("train.batch_size = {}, but {} processes share each batch",
                    recipe_.train.batch_size, group.size()),
        fmt::format("set train.batch_size = {} or more, or take fewer processes", group.size()));
  }
}

void TrainCommand::describe_run(core::Context& context, const torch::Device& device, int threads,
                                bool resumed, const ProcessGroup& group) const {
  core::Provenance& provenance = context.provenance;
  for (const fs::path& input : {recipe_file_, cohort_, scores_, splits_}) {
    provenance.add_input(input);
  }
  if (!init_.empty()) provenance.add_input(init_);
  provenance.add("device", device.str());
  provenance.add("threads", threads);
  provenance.add("precision", core::to_text(recipe_.train.precision));
  provenance.add("seed", context.seed);
  provenance.add("libtorch", TORCH_VERSION);
  provenance.add("resumed", resumed);
  if (group.has_others()) {
    Json names = Json::array();
    for (int rank = 0; rank < group.size(); ++rank) names.push_back(group.name(rank));
    provenance.add("processes", names);
  }
  core::write_text(out_ / "recipe.toml", table_.to_recipe());
  core::write_json(out_ / "provenance.json", provenance.to_json());
}

void TrainCommand::run(core::Context& context) {
  read_recipe();
  if (print_recipe_) {
    fmt::print("{}", table_.to_recipe());
    return;
  }
  if (!preview_.empty()) {
    preview(context);
    return;
  }
  require_inputs();
  ProcessGroup group = ProcessGroup::join(find_launch(process_environment()));
  if (!group.is_first()) context.log.set_prefix(group.name(group.rank()) + ": ");
  try {
    train(context, group);
    group.finish();
  } catch (const core::Interrupted&) {
    group.finish();
    throw;
  } catch (const std::exception& error) {
    group.fail(error.what());
    throw;
  }
}

TrainingJob TrainCommand::make_job(const data::CohortReader& cohort, const data::Examples& examples,
                                   const Json& identity, std::uint64_t seed,
                                   const torch::Device& device) const {
  TrainingJob job;
  job.recipe = recipe_;
  job.examples = examples;
  job.preprocessing = cohort.options(examples.region);
  job.run_folder = out_;
  if (!init_.empty()) job.init = init_;
  job.seed = seed;
  job.device = device;
  job.log_steps = log_steps_;
  job.identity = identity;
  job.provenance = Json{{"recipe_sha256", core::sha256_text(table_.to_recipe())},
                        {"cohort", cohort.fingerprint()},
                        {"examples_sha256", examples.fingerprint()},
                        {"seed", seed},
                        {"repeat", repeat_},
                        {"fold", fold_},
                        {"train_scans", examples.train.size()},
                        {"bias_init", recipe_.network.bias_init},
                        {"pool_scale", recipe_.network.pool_scale}};
  return job;
}

void TrainCommand::begin(core::Context& context, const data::Examples& examples,
                         const torch::Device& device, int threads, ProcessGroup& group) const {
  if (!group.is_first()) return;
  if (!context.dry_run) {
    fs::create_directories(out_);
    context.log.add_file(out_ / "log.txt");
  }
  context.begin(
      fmt::format("{} on {} of {}: {} train, {} validation, {} test scans; {}, {} threads, "
                  "LibTorch {}, seed {}",
                  core::to_text(recipe_.network.architecture), examples.region, cohort_.string(),
                  examples.train.size(), examples.validation.size(), examples.test.size(),
                  device.str(), threads, TORCH_VERSION, context.seed));
  for (int rank = 0; group.has_others() && rank < group.size(); ++rank) {
    context.log.info("{}", group.name(rank));
  }
  data::describe_examples(examples, context.log);
}

void TrainCommand::train(core::Context& context, ProcessGroup& group) {
  // What all processes would log alike, rank 0 logs.
  core::Log muted(core::LogLevel::kError);
  core::Log& log = group.is_first() ? context.log : muted;
  const torch::Device device = choose_device(context.device, group);
  models::require_precision(recipe_.train.precision, device);
  const int threads = context.line.given("--threads")
                          ? context.threads
                          : std::max(1, context.threads / group.local_size());
  bool resumed = false;
  if (group.is_first() && resume_) resumed = find_training_to_resume(out_, log);
  if (group.is_first() && !resume_) make_room(out_, context.force, context.dry_run);
  resumed = group.largest({resumed ? 1.0 : 0.0}).front() > 0;
  const data::CohortReader cohort(cohort_);
  const data::Examples examples =
      data::collect_examples(cohort, data::choose_region(cohort, recipe_.train.region),
                             core::ScoresTable::read(scores_, {target_}), target_,
                             core::Splits::read(splits_), repeat_, fold_);
  require_trainable(examples, group);
  const Json own_identity = identity(cohort, examples, context.seed, threads, device, group);
  group.require_equal(comparable(own_identity, device));
  if (init_.empty()) {
    resolve_recipe(cohort, examples, recipe_, log);
  } else {
    resolve_recipe_for_weights(init_, cohort, examples, recipe_, table_, log);
  }
  if (resumed && group.is_first()) {
    require_same_training(out_, own_identity, resume_force_, log);
  }
  begin(context, examples, device, threads, group);
  if (context.dry_run) {
    if (group.is_first()) context.end_dry_run(out_.string());
    return;
  }
  const models::TorchSettings settings{threads, recipe_.train.flush_denormals,
                                       recipe_.train.deterministic};
  const std::string determinism = models::determinism_note(settings, device);
  context.provenance.add("determinism", determinism);
  if (device.is_cuda()) log.info("{}", determinism);
  if (group.is_first()) describe_run(context, device, threads, resumed, group);
  models::set_up_torch(settings);
  group.use_device(device);
  core::StopSignals signals;
  const models::CohortSource source(cohort, examples.region,
                                    static_cast<std::size_t>(recipe_.train.cache_gb * 1e9), device);
  log.info("{} of {} volumes are kept in the memory of {}{}", source.most_kept(), source.size(),
           source.device().str(),
           source.most_kept() < source.size() ? ", the others are read ahead" : "");
  TrainingJob job = make_job(cohort, examples, own_identity, context.seed, device);
  std::optional<models::Profile> profile;
  if (profile_) job.profile = &profile.emplace(device, recipe_.train.precision);
  Trainer trainer(std::move(job), source, log, signals, group);
  if (resumed) trainer.resume();
  const TrainingSummary summary = trainer.run();
  if (profile) context.provenance.add("profile", profile->report(log, "step", summary.steps));
  trainer.save_best(out_ / "weights.safetensors");
  write_scores(trainer, examples, group.is_first());
  if (group.is_first()) finish(context, summary);
}

void TrainCommand::finish(core::Context& context, const TrainingSummary& summary) const {
  context.provenance.write_beside(out_ / "scores.tsv");
  context.log.info("stopped after {} epochs ({}), {}; best epoch {}", summary.epochs,
                   summary.stopped_because, core::format_duration(summary.seconds),
                   summary.best_epoch);
  if (!init_.empty() && summary.best_epoch == 0) {
    context.log.warning(
        "no epoch was better than the weights of --init on the validation scans: "
        "weights.safetensors are those");
  }
  fmt::print("{}\n", (out_ / "weights.safetensors").string());
}

}  // namespace epvs::train
