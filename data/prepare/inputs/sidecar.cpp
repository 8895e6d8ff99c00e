#include "data/prepare/inputs/sidecar.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// "sub-01", "acq-x", ... and the suffix, from a name without its ending.
struct Parts {
  std::set<std::string> entities;
  std::string suffix;
};

Parts parts_of(const std::string& stem) {
  Parts parts;
  std::size_t start = 0;
  while (true) {
    const std::size_t end = stem.find('_', start);
    if (end == std::string::npos) break;
    parts.entities.insert(stem.substr(start, end - start));
    start = end + 1;
  }
  parts.suffix = stem.substr(start);
  return parts;
}

/// Sidecars in one folder that apply to the scan, the most specific last.
std::vector<fs::path> sidecars_in(const fs::path& folder, const Parts& scan) {
  std::vector<std::pair<std::size_t, fs::path>> found;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
    if (entry.path().extension() != ".json") continue;
    const Parts parts = parts_of(entry.path().stem().string());
    const bool fits =
        parts.suffix == scan.suffix && std::includes(scan.entities.begin(), scan.entities.end(),
                                                     parts.entities.begin(), parts.entities.end());
    if (fits) found.emplace_back(parts.entities.size(), entry.path());
  }
  std::sort(found.begin(), found.end());
  std::vector<fs::path> paths;
  for (const auto& [count, path] : found) paths.push_back(path);
  return paths;
}

void take(const fs::path& path, core::Json& facts) {
  const core::Json sidecar = core::read_json(path);
  if (!sidecar.is_object()) {
    throw core::InputError(fmt::format("{} is not a JSON object", path.string()),
                           "a BIDS sidecar holds names and values");
  }
  const auto copy = [&](const char* name, bool number) {
    const auto found = sidecar.find(name);
    if (found == sidecar.end() || found->is_null()) return;
    if (number ? !found->is_number() : !found->is_string()) {
      throw core::InputError(fmt::format("{}: {} is {}; expected a {}", path.string(), name,
                                         found->dump(), number ? "number" : "text"));
    }
    facts[name] = *found;
  };
  copy("SliceThickness", true);
  copy("SpacingBetweenSlices", true);
  copy("MagneticFieldStrength", true);
  copy("Manufacturer", false);
  copy("ManufacturersModelName", false);
}

}  // namespace

core::Json sidecar_facts(const fs::path& scan) {
  core::Json facts = core::Json::object();
  if (fs::is_directory(scan)) return facts;  // a series of DICOM files
  std::string stem = scan.filename().string();
  stem = stem.substr(0, stem.find('.'));
  const Parts parts = parts_of(stem);
  // From the scan's own folder up to the root of the dataset: at most anat, session, participant.
  std::vector<fs::path> folders;
  fs::path folder = fs::absolute(scan).parent_path();
  for (int level = 0; level < 4; ++level) {
    folders.push_back(folder);
    if (fs::exists(folder / "dataset_description.json") || folder == folder.parent_path()) break;
    folder = folder.parent_path();
  }
  const bool in_dataset = fs::exists(folders.back() / "dataset_description.json");
  if (!in_dataset) folders.resize(1);
  std::reverse(folders.begin(), folders.end());
  for (const fs::path& level : folders) {
    for (const fs::path& sidecar : sidecars_in(level, parts)) take(sidecar, facts);
  }
  return facts;
}

}  // namespace epvs::data
