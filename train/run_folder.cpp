#include "train/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "train/checkpoint.h"

namespace epvs::train {

namespace fs = std::filesystem;
using core::Json;

namespace {

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

bool RunFolder::find_training_to_resume(core::Log& log) const {
  if (find_checkpoint(path_ / "checkpoints" / "last")) return true;
  // The first checkpoint precedes all training, so without these nothing was ever learned here.
  for (const char* name : {"training.tsv", "weights.safetensors", "checkpoints/last"}) {
    if (!fs::exists(path_ / name)) continue;
    throw core::UsageError(
        fmt::format("{} holds a training, but no complete checkpoint to resume", path_.string()),
        "to train anew, leave out --resume and add --force");
  }
  log.warning("{} holds no training: starting from the beginning", path_.string());
  return false;
}

void RunFolder::make_room(bool force, bool dry_run) const {
  if (fs::exists(path_) && !fs::is_directory(path_)) {
    throw core::UsageError(fmt::format("{} is a file, not a folder", path_.string()));
  }
  const auto is_there = [&](const std::string& name) { return fs::exists(path_ / name); };
  if (std::ranges::none_of(kRunFiles, is_there)) return;
  if (!force) {
    throw core::UsageError(
        fmt::format("{} holds a training already", path_.string()),
        "go on with --resume, overwrite it with --force, or choose another --out");
  }
  if (dry_run) return;
  for (const std::string& name : kRunFiles) fs::remove_all(path_ / name);
}

void RunFolder::require_same_training(const Json& now, bool force, core::Log& log) const {
  const auto last = find_checkpoint(path_ / "checkpoints" / "last");
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
        fmt::format("{} was started differently: {}", path_.string(), core::join(changes, "; ")),
        "go on with the old settings, or force it with --resume=force");
  }
  for (const std::string& change : changes) log.warning("resuming although {}", change);
}

}  // namespace epvs::train
