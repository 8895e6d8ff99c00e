#include <fmt/format.h>

#include "core/error.h"
#include "data/cohort/cohort_files.h"
#include "data/cohort/schema.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// The first field that differs, as "crop_voxels: [168,128,84] and [88,88,11]"; empty when equal.
std::string first_difference(const PreprocessingOptions& a, const PreprocessingOptions& b) {
  const core::Json left = a.to_json();
  const core::Json right = b.to_json();
  for (const auto& [key, value] : left.items()) {
    if (value != right.at(key))
      return fmt::format("{}: {} and {}", key, value.dump(), right.at(key).dump());
  }
  return {};
}

}  // namespace

void merge_cohorts(const std::vector<fs::path>& parts, const fs::path& out,
                   const core::Json& provenance) {
  if (parts.empty()) throw core::UsageError("no cohorts to merge were given");
  std::vector<PreprocessingOptions> options;
  std::map<std::string, std::pair<std::size_t, fs::path>> known;
  std::size_t float_bytes = 0;
  fs::path float_part;
  // Every part is opened twice, one at a time: memory and open files do not grow with their number.
  for (const fs::path& path : parts) {
    const CohortReader reader(path);
    for (const std::string& name : reader.regions()) {
      const auto& region = reader.state_->region(name);
      if (float_bytes == 0) {
        float_bytes = region.float_bytes;
        float_part = path;
      }
      if (region.float_bytes != float_bytes) {
        throw core::InputError(
            fmt::format("{} stores {}-byte numbers, {} {}-byte ones", float_part.string(),
                        float_bytes, path.string(), region.float_bytes),
            "prepare all parts with the same precision");
      }
      const auto [found, is_new] = known.emplace(name, std::pair(options.size(), path));
      if (is_new) {
        options.push_back(region.options);
        continue;
      }
      const auto& [index, first] = found->second;
      const std::string difference = first_difference(options[index], region.options);
      if (!difference.empty()) {
        throw core::InputError(fmt::format("{} and {} differ in region {}: {}", first.string(),
                                           path.string(), name, difference),
                               "prepare all parts with the same options");
      }
    }
  }
  CohortWriter writer(out, options, provenance, float_bytes == 2);
  for (const fs::path& path : parts) {
    const CohortReader reader(path);
    for (const std::string& name : reader.regions()) {
      const auto& region = reader.state_->region(name);
      for (std::size_t row = 0; row < region.rows.size(); ++row) {
        const EncodedVolumes volumes = {reader.state_->read_chunk(region, region.roi, row),
                                        reader.state_->read_chunk(region, region.hard, row),
                                        reader.state_->read_chunk(region, region.soft, row)};
        try {
          writer.state_->append(name, region.rows[row], volumes);
        } catch (const core::InputError& error) {
          error.rethrow_in(path.string());
        }
      }
    }
  }
  writer.finish();
}

}  // namespace epvs::data
