#include "core/planned_folder.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/files.h"

namespace epvs::core {

namespace fs = std::filesystem;

PlannedFolder::PlannedFolder(fs::path folder, const std::string& plan_name, std::string what)
    : folder_(std::move(folder)), plan_(folder_ / plan_name), what_(std::move(what)) {}

void PlannedFolder::check(const Json& plan, bool force, bool finished) const {
  if (!fs::exists(folder_)) return;
  const std::string folder = folder_.string();
  if (!fs::is_directory(folder_)) throw UsageError(fmt::format("{} is not a folder", folder));
  if (fs::is_empty(folder_)) return;
  if (!fs::exists(plan_)) {
    throw UsageError(fmt::format("{} is not empty and holds no {}", folder, what_),
                     "choose another folder; --force does not clear files of others");
  }
  if (force) return;
  if (finished) {
    throw UsageError(fmt::format("{} holds a finished {}", folder, what_),
                     "give --force to replace it");
  }
  if (read_json(plan_).at("plan") != plan) {
    throw UsageError(
        fmt::format("{} holds an unfinished {} with other options or another seed", folder, what_),
        fmt::format("repeat its command (in {}) to go on, or give --force to replace it",
                    plan_.filename().string()));
  }
}

void PlannedFolder::start(const Json& plan, const Provenance& provenance, bool force,
                          std::uintmax_t bytes, const std::vector<std::string>& own) const {
  fs::create_directories(folder_);
  require_free_space(plan_, bytes);
  if (force && fs::exists(plan_)) {
    // The marker first, so that a kill here leaves an unfinished dataset.
    fs::remove(marker());
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
      if (entry.path().filename().string().starts_with("sub-")) fs::remove_all(entry.path());
    }
    for (const std::string& name : own) fs::remove_all(folder_ / name);
  }
  write_json(plan_, {{"plan", plan}, {"provenance", provenance.to_json()}});
}

}  // namespace epvs::core
