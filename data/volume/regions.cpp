#include "data/volume/regions.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

const std::vector<std::int64_t> kBasalGanglia = {11, 50, 12, 51, 13, 52, 26, 58};
const std::vector<std::int64_t> kHippocampi = {17, 53};
const std::vector<std::int64_t> kMidbrain = {173};

std::vector<std::int64_t> read_labels_of(const core::Json& value, const std::string& where) {
  if (!value.is_array() || value.empty()) {
    throw core::UsageError(
        fmt::format("{}: a list of label numbers was expected, not {}", where, value.dump()),
        "for example bg = [11, 50, 12, 51, 13, 52, 26, 58]");
  }
  std::vector<std::int64_t> labels;
  for (const core::Json& entry : value) {
    if (!entry.is_number_integer() || entry.get<std::int64_t>() < 1 ||
        entry.get<std::int64_t>() > std::numeric_limits<std::int32_t>::max()) {
      throw core::UsageError(fmt::format(
          "{}: {} is not a label number (1, 2, ...; 0 is background)", where, entry.dump()));
    }
    const auto label = entry.get<std::int64_t>();
    if (std::find(labels.begin(), labels.end(), label) != labels.end()) {
      throw core::UsageError(fmt::format("{}: label {} is there twice", where, label));
    }
    labels.push_back(label);
  }
  return labels;
}

}  // namespace

const std::vector<std::string>& known_regions() {
  static const std::vector<std::string> regions = {"bg", "cso", "hippocampi", "midbrain"};
  return regions;
}

const std::vector<std::string>& known_luts() {
  static const std::vector<std::string> luts = {"freesurfer", "synthseg", "first", "atlas"};
  return luts;
}

RegionTable RegionTable::preset(const std::string& lut) {
  const std::vector<std::string>& luts = known_luts();
  if (std::find(luts.begin(), luts.end(), lut) == luts.end()) {
    throw core::UsageError(
        fmt::format("unknown label table '{}'{}", lut, core::did_you_mean(lut, luts)),
        "known are " + core::join(luts, ", ") + "; or give a TOML file with [regions]");
  }
  RegionTable table;
  table.source_ = lut;
  table.labels_["bg"] = kBasalGanglia;
  table.labels_["hippocampi"] = kHippocampi;
  if (lut == "freesurfer" || lut == "atlas") table.labels_["midbrain"] = kMidbrain;
  return table;
}

RegionTable RegionTable::from_toml(const fs::path& path) {
  const core::Json document = core::read_toml(path);
  RegionTable table;
  table.source_ = path.string();
  for (const auto& [key, value] : document.items()) {
    if (key == "recipe_version") continue;
    if (key != "regions") {
      throw core::UsageError(fmt::format("{}: unknown key '{}'{}", path.string(), key,
                                         core::did_you_mean(key, {"regions"})),
                             "a label table has one table: [regions]");
    }
    if (!value.is_object()) {
      throw core::UsageError(fmt::format("{}: 'regions' must be a table", path.string()));
    }
    for (const auto& [region, labels] : value.items()) {
      table.labels_[region] =
          read_labels_of(labels, fmt::format("{}: regions.{}", path.string(), region));
    }
  }
  if (table.labels_.empty()) {
    throw core::UsageError(fmt::format("{} names no regions", path.string()),
                           "write [regions] and, for example, bg = [11, 50, 12, 51]");
  }
  return table;
}

RegionTable RegionTable::open(const std::string& lut_or_path) {
  return core::lower(lut_or_path).ends_with(".toml") ? from_toml(lut_or_path) : preset(lut_or_path);
}

std::vector<std::string> RegionTable::regions() const {
  std::vector<std::string> names;
  for (const auto& entry : labels_) names.push_back(entry.first);
  return names;
}

bool RegionTable::has(const std::string& region) const {
  return labels_.count(region) != 0;
}

const std::vector<std::int64_t>& RegionTable::labels(const std::string& region) const {
  const auto found = labels_.find(region);
  if (found != labels_.end()) return found->second;
  if (region == "cso") {
    throw core::UsageError(
        fmt::format("label table '{}' has no labels for cso", source_),
        "the centrum semiovale is cut out of the white matter at the level of the ventricles");
  }
  if (region == "midbrain") {
    throw core::UsageError(
        fmt::format("label table '{}' has no labels for the midbrain", source_),
        "use FreeSurfer's brain-stem substructures (label 173), or a TOML file with your numbers");
  }
  throw core::UsageError(fmt::format("label table '{}' has no region '{}'{}", source_, region,
                                     core::did_you_mean(region, regions())),
                         "it has " + core::join(regions(), ", "));
}

Shape default_crop_voxels(const std::string& region) {
  if (region == "midbrain") return {88, 88, 11};
  if (region == "cso") return {250, 290, 14};
  return {168, 128, 84};
}

Volume<std::uint8_t> region_mask(const Volume<std::int32_t>& label_map,
                                 const std::vector<std::int64_t>& labels) {
  Volume<std::uint8_t> mask(label_map.geometry);
  const std::set<std::int64_t> wanted(labels.begin(), labels.end());
  // Label maps are long runs of one number: the last answer usually holds.
  std::int32_t last = 0;
  std::uint8_t answer = wanted.count(0) != 0 ? 1 : 0;
  for (std::size_t i = 0; i < mask.voxels.size(); ++i) {
    if (label_map.voxels[i] != last) {
      last = label_map.voxels[i];
      answer = wanted.count(last) != 0 ? 1 : 0;
    }
    mask.voxels[i] = answer;
  }
  return mask;
}

}  // namespace epvs::data
