#include "data/prepare/stages/read_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"

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

Scan read_image(const fs::path& path, const OrientationRule& rule) {
  Scan scan = read_scan(path);
  settle_orientation(path, rule, scan.header);
  scan.image.geometry = scan.header.geometry;
  return scan;
}

Volume<std::int32_t> read_label_image(const fs::path& path, const OrientationRule& rule,
                                      std::vector<std::string>* concerns) {
  Volume<std::int32_t> labels = read_labels(path);
  ScanHeader header = read_header(path);
  settle_orientation(path, rule, header);
  labels.geometry = header.geometry;
  if (concerns != nullptr) {
    for (const std::string& concern : header.concerns) {
      concerns->push_back(path.filename().string() + ": " + concern);
    }
  }
  return labels;
}

ReadScan read_checked_scan(const ScanInput& input, const OrientationRule& rule) {
  ReadScan result{read_image(input.scan, rule), sidecar_facts(input.scan),
                  core::sha256_file(input.scan)};
  const Volume<float>& image = result.scan.image;
  const std::string name = input.scan.string();
  const NonFinite bad = count_non_finite(image);
  if (bad.count > 0) {
    throw core::InputError(
        fmt::format("{} has {} voxels that are not finite (NaN or infinite), the first at {},{},{}",
                    name, bad.count, bad.first[0], bad.first[1], bad.first[2]),
        "replace them, for example by 0 outside the head");
  }
  const auto [low, high] = std::minmax_element(image.voxels.begin(), image.voxels.end());
  if (*low == *high) {
    throw core::InputError(fmt::format("{} is constant: every voxel is {}", name,
                                       core::format_number(static_cast<double>(*low))),
                           "the scan is empty or was not converted properly");
  }
  return result;
}

core::Json sidecar_facts(const fs::path& scan) {
  core::Json facts = core::Json::object();
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
