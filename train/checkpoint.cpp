#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "train/loss.h"

namespace epvs::train {

namespace fs = std::filesystem;
using core::Json;

namespace {

constexpr const char* kWeights = "weights.safetensors";
constexpr const char* kBest = "best.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kDone = "DONE";
constexpr int kFormatVersion = 4;

/// JSON has no NaN: it is stored as null.
Json row_to_json(const EpochRow& row) {
  Json values = Json::array({row.epoch});
  for (const EpochFigure& figure : kEpochFigures) values.push_back(row.*figure.value);
  values.push_back(row.is_best);
  return values;
}

EpochRow row_from_json(const Json& values) {
  EpochRow row;
  row.epoch = values.at(0).get<std::int64_t>();
  std::size_t i = 1;
  for (const EpochFigure& figure : kEpochFigures) {
    const Json& value = values.at(i++);
    row.*figure.value =
        value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
  }
  row.is_best = values.at(i).get<bool>();
  return row;
}

/// Calls visit(name, value) for every plain figure of a state.
template <class State, class Visit>
void for_each_figure(State& state, const Visit& visit) {
  visit("epoch", state.epoch);
  visit("batch", state.batch);
  visit("loss_sum", state.loss_sum);
  visit("loss_scans", state.loss_scans);
  visit("norm_sum", state.norm_sum);
  visit("updates", state.updates);
  visit("epoch_seconds", state.epoch_seconds);
  visit("tukey_scale", state.tukey_scale);
  visit("residuals", state.residuals);
  visit("best_epoch", state.best_epoch);
  visit("best_value", state.best_value);
  visit("epochs_without_improvement", state.epochs_without_improvement);
  visit("finished", state.finished);
}

bool is_complete(const fs::path& folder) {
  if (!fs::exists(folder / kDone)) return false;
  try {
    const Json done = core::read_json(folder / kDone);
    for (const auto& [name, size] : done.at("bytes").items()) {
      if (!fs::exists(folder / name)) return false;
      if (fs::file_size(folder / name) != size.get<std::uintmax_t>()) return false;
    }
  } catch (const std::exception&) {
    return false;  // a DONE that cannot be read marks nothing as done
  }
  return true;
}

fs::path beside(const fs::path& folder, const char* ending) {
  return folder.parent_path() / fmt::format(".{}{}", folder.filename().string(), ending);
}

Json read_state_file(const fs::path& checkpoint) {
  const Json document = core::read_json(checkpoint / kState);
  const int version = document.value("format_version", 0);
  if (version != kFormatVersion) {
    throw core::InputError(fmt::format("{}: checkpoint format {}, but this epvs reads {}",
                                       (checkpoint / kState).string(), version, kFormatVersion),
                           "train on with the epvs that wrote it, or anew with --force");
  }
  return document;
}

/// Everything that a training writes into its run folder.
const std::vector<std::string> kRunFiles = {"recipe.toml",  "provenance.json",     "log.txt",
                                            "training.tsv", "weights.safetensors", "scores.tsv",
                                            "scores.json",  "checkpoints"};

/// Settings that change last bits only.
const std::set<std::string> kHarmless = {"/threads", "/device", "/libtorch", "/processes"};

std::string text_of(const Json& identity, const std::string& key) {
  if (key == "/processes" && !identity.contains(key)) return "1";
  return identity.contains(key) ? identity.at(key).dump() : "absent";
}

}  // namespace

void TrainerState::begin_next_epoch(const EpochRow& row) {
  if (!residuals.empty()) tukey_scale = median_absolute_deviation(residuals);
  residuals.clear();
  history.push_back(row);
  epoch = row.epoch;
  batch = 0;
  loss_sum = norm_sum = epoch_seconds = 0;
  loss_scans = updates = 0;
}

Json TrainerState::to_json() const {
  Json document;
  for_each_figure(*this, [&](const char* name, const auto& value) { document[name] = value; });
  document["plateau"] = plateau.to_json();
  document["history"] = Json::array();
  for (const EpochRow& row : history) document["history"].push_back(row_to_json(row));
  return document;
}

TrainerState TrainerState::from_json(const Json& document, const std::string& source) {
  try {
    TrainerState state;
    for_each_figure(state, [&](const char* name, auto& value) { document.at(name).get_to(value); });
    state.plateau = Plateau::from_json(document.at("plateau"));
    for (const Json& row : document.at("history")) state.history.push_back(row_from_json(row));
    return state;
  } catch (const Json::exception& error) {
    throw core::InputError(fmt::format("{}: no training state: {}", source, error.what()));
  }
}

bool is_checkpoint_due(double seconds, double seconds_to_write, double most_minutes,
                       bool epoch_ends) {
  constexpr double kShare = 0.02;
  return (most_minutes > 0 && seconds > 60 * most_minutes) ||
         (epoch_ends && seconds_to_write <= kShare * seconds);
}

void save_checkpoint(const fs::path& folder, const DescribedWeights& now,
                     const std::optional<DescribedWeights>& best, const Optimizer& optimizer,
                     const TrainerState& state, const Json& identity) {
  const fs::path fresh = beside(folder, ".new");
  const fs::path old = beside(folder, ".old");
  fs::remove_all(fresh);
  fs::create_directories(fresh);
  models::save_weights(fresh / kWeights, now.network, now.metadata);
  models::write_tensors(fresh / kOptimizer, optimizer.state(), {{"format", "pt"}});
  std::vector<const char*> names = {kWeights, kOptimizer, kState};
  if (best) {
    models::save_weights(fresh / kBest, best->network, best->metadata);
    names.push_back(kBest);
  }
  core::write_json(
      fresh / kState,
      Json{{"format_version", kFormatVersion}, {"identity", identity}, {"state", state.to_json()}});
  Json bytes = Json::object();
  for (const char* name : names) bytes[name] = fs::file_size(fresh / name);
  core::write_json(fresh / kDone, Json{{"bytes", bytes}});
  // Folders cannot replace each other in one step, so the old one waits under another name, where
  // find_checkpoint looks too.
  if (fs::exists(folder)) {
    if (is_complete(folder)) {
      fs::remove_all(old);
      fs::rename(folder, old);
    } else {
      fs::remove_all(folder);
    }
  }
  fs::rename(fresh, folder);
  fs::remove_all(old);
}

std::optional<fs::path> find_checkpoint(const fs::path& folder) {
  for (const fs::path& candidate : {folder, beside(folder, ".new"), beside(folder, ".old")}) {
    if (is_complete(candidate)) return candidate;
  }
  return std::nullopt;
}

TrainerState read_checkpoint_state(const fs::path& checkpoint) {
  const Json document = read_state_file(checkpoint);
  return TrainerState::from_json(document.at("state"), (checkpoint / kState).string());
}

Json read_checkpoint_identity(const fs::path& checkpoint) {
  return read_state_file(checkpoint).at("identity");
}

void load_checkpoint(const fs::path& checkpoint, models::Network& network, Optimizer& optimizer) {
  const fs::path state = checkpoint / kOptimizer;
  optimizer.load_state(models::read_tensors(state, models::read_safetensors_header(state)));
  models::load_weights_into(checkpoint / kWeights, network);
}

void load_best_weights(const fs::path& checkpoint, models::Network& network) {
  models::load_weights_into(checkpoint / kBest, network);
}

fs::path last_checkpoint(const fs::path& run) {
  return run / "checkpoints" / "last";
}

bool find_training_to_resume(const fs::path& run, core::Log& log) {
  if (find_checkpoint(last_checkpoint(run))) return true;
  // The first checkpoint precedes all training, so without these nothing was ever learned here.
  for (const char* name : {"training.tsv", "weights.safetensors", "checkpoints/last"}) {
    if (!fs::exists(run / name)) continue;
    throw core::UsageError(
        fmt::format("{} holds a training, but no complete checkpoint to resume", run.string()),
        "to train anew, leave out --resume and add --force");
  }
  log.warning("{} holds no training: starting from the beginning", run.string());
  return false;
}

void make_room(const fs::path& run, bool force, bool dry_run) {
  if (fs::exists(run) && !fs::is_directory(run)) {
    throw core::UsageError(fmt::format("{} is a file, not a folder", run.string()));
  }
  const auto is_there = [&](const std::string& name) { return fs::exists(run / name); };
  if (std::ranges::none_of(kRunFiles, is_there)) return;
  if (!force) {
    throw core::UsageError(
        fmt::format("{} holds a training already", run.string()),
        "go on with --resume, overwrite it with --force, or choose another --out");
  }
  if (dry_run) return;
  for (const std::string& name : kRunFiles) fs::remove_all(run / name);
}

void require_same_training(const fs::path& run, const Json& now, bool force, core::Log& log) {
  const auto last = find_checkpoint(last_checkpoint(run));
  EPVS_ASSERT(last);
  const Json before = read_checkpoint_identity(*last);
  std::vector<std::string> changes;
  Json keys = before;
  keys.update(now);
  for (const auto& [key, value] : keys.items()) {
    if (text_of(before, key) == text_of(now, key)) continue;
    const std::string change =
        fmt::format("{} was {}, is {}", key.substr(1), text_of(before, key), text_of(now, key));
    if (kHarmless.contains(key)) {
      log.warning("{}: the result may differ from an uninterrupted training in its last bits",
                  change);
    } else {
      changes.push_back(change);
    }
  }
  if (changes.empty()) return;
  if (!force) {
    throw core::UsageError(
        fmt::format("{} was started differently: {}", run.string(), core::join(changes, "; ")),
        "go on with the old settings, or force it with --resume=force");
  }
  for (const std::string& change : changes) log.warning("resuming although {}", change);
}

}  // namespace epvs::train
