#include "data/prepare/registration/transform_search.h"

#include <fmt/format.h>

#include <Eigen/LU>
#include <algorithm>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/prepare/registration/transform_file.h"

namespace epvs::data {

namespace fs = std::filesystem;

std::string TransformName::text() const {
  return fmt::format("from-{}_to-{}_{}", from, to, kind);
}

const std::vector<std::string>& transform_endings() {
  static const std::vector<std::string> endings = {".txt", ".tfm", ".mat"};
  return endings;
}

std::optional<FoundTransform> find_transform(const fs::path& folder, const std::string& key,
                                             const TransformName& name) {
  std::vector<FoundTransform> found;
  for (const bool reversed : {false, true}) {
    const std::string text = (reversed ? name.reversed() : name).text();
    for (const std::string& ending : transform_endings()) {
      const fs::path path = folder / fmt::format("{}_{}_xfm{}", key, text, ending);
      if (fs::exists(path)) found.push_back({path, reversed});
    }
  }
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    throw core::InputError(
        fmt::format("{} and {} are both there", found[0].path.string(), found[1].path.string()),
        "keep one file for each transform of a scan");
  }
  return found.front();
}

std::vector<fs::path> transforms_of(const fs::path& folder, const std::string& key) {
  std::vector<fs::path> found;
  if (folder.empty() || !fs::is_directory(folder)) return found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string stem = entry.path().stem().string();
    const std::string ending = entry.path().extension().string();
    const auto& known = transform_endings();
    if (stem.starts_with(key + "_from-") && stem.ends_with("_xfm") &&
        std::find(known.begin(), known.end(), ending) != known.end()) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

Eigen::Matrix4d read_found_transform(const FoundTransform& found, const Geometry& from,
                                     const Geometry& to) {
  const Geometry& first = found.reversed ? to : from;
  const Geometry& second = found.reversed ? from : to;
  const std::string ending = core::lower(found.path.extension().string());
  const Eigen::Matrix4d matrix = ending == ".mat" ? read_fsl_transform(found.path, first, second)
                                                  : read_itk_transform(found.path);
  if (found.reversed) return matrix.inverse();
  return matrix;
}

}  // namespace epvs::data
