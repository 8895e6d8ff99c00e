#include "data/prepare/regions.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "core/table.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

const std::vector<std::int64_t> kBasalGanglia = {11, 50, 12, 51, 13, 52, 26, 58};
const std::vector<std::int64_t> kHippocampi = {17, 53};
const std::vector<std::int64_t> kMidbrain = {173};

/// FreeSurfer's numbers; white matter also as its parcellation has it.
CsoLabels freesurfer_cso() {
  CsoLabels cso{{2, 41}, {4, 43}, {11, 50}};
  for (const std::int64_t side : {3000, 4000}) {
    for (std::int64_t i = 1; i <= 35; ++i) cso.white_matter.push_back(side + i);
  }
  cso.white_matter.push_back(5001);
  cso.white_matter.push_back(5002);
  return cso;
}

/// A structure's name in lower case with spaces only.
std::string plain_name(const std::string& name) {
  std::string plain = core::lower(name);
  std::replace(plain.begin(), plain.end(), '-', ' ');
  std::replace(plain.begin(), plain.end(), '_', ' ');
  return plain;
}

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
  static const std::vector<std::string> luts = {"freesurfer", "synthseg", "first",        "fast",
                                                "fast_pve",   "atlas",    "harvardoxford"};
  return luts;
}

RegionTable RegionTable::preset(const std::string& lut) {
  const std::vector<std::string>& luts = known_luts();
  if (std::find(luts.begin(), luts.end(), lut) == luts.end()) {
    throw core::UsageError(
        fmt::format("unknown label table '{}'{}", lut, core::did_you_mean(lut, luts)),
        "known are " + core::join(luts, ", ") +
            "; or give a TOML file with [regions], or a *_dseg.tsv with index and name");
  }
  RegionTable table;
  table.source_ = lut;
  if (lut == "fast" || lut == "fast_pve") {
    table.cso_.white_matter = {lut == "fast" ? 3 : 1};
    return table;
  }
  if (lut == "harvardoxford") {  // index in HarvardOxford-Subcortical.xml plus one
    table.labels_["bg"] = {5, 16, 6, 17, 7, 18, 11, 21};
    table.labels_["hippocampi"] = {9, 19};
    table.cso_ = {{1, 12}, {3, 14}, {5, 16}};
    return table;
  }
  table.cso_ = freesurfer_cso();
  if (lut == "first") table.cso_ = {{}, {}, {11, 50}};
  table.labels_["bg"] = kBasalGanglia;
  table.labels_["hippocampi"] = kHippocampi;
  if (lut == "freesurfer" || lut == "atlas") table.labels_["midbrain"] = kMidbrain;
  return table;
}

RegionTable RegionTable::from_toml(const fs::path& path) {
  const core::Json document = core::read_toml(path);
  RegionTable table;
  table.source_ = path.string();
  table.cso_ = freesurfer_cso();
  for (const auto& [key, value] : document.items()) {
    if (key == "recipe_version") continue;
    if (key != "regions" && key != "cso") {
      throw core::UsageError(fmt::format("{}: unknown key '{}'{}", path.string(), key,
                                         core::did_you_mean(key, {"regions", "cso"})),
                             "a label table has the tables [regions] and [cso]");
    }
    if (!value.is_object()) {
      throw core::UsageError(fmt::format("{}: '{}' must be a table", path.string(), key));
    }
    for (const auto& [name, labels] : value.items()) {
      const std::vector<std::int64_t> numbers =
          read_labels_of(labels, fmt::format("{}: {}.{}", path.string(), key, name));
      if (key == "regions") {
        table.labels_[name] = numbers;
      } else {
        table.cso_list(name, path) = numbers;
      }
    }
  }
  if (table.labels_.empty()) {
    throw core::UsageError(fmt::format("{} names no regions", path.string()),
                           "write [regions] and, for example, bg = [11, 50, 12, 51]");
  }
  return table;
}

std::vector<std::int64_t>& RegionTable::cso_list(const std::string& name, const fs::path& path) {
  if (name == "white_matter") return cso_.white_matter;
  if (name == "ventricles") return cso_.ventricles;
  if (name == "caudate") return cso_.caudate;
  throw core::UsageError(
      fmt::format("{}: unknown key 'cso.{}'{}", path.string(), name,
                  core::did_you_mean(name, {"white_matter", "ventricles", "caudate"})));
}

RegionTable RegionTable::from_tsv(const fs::path& path) {
  const core::Table rows = core::Table::read(path);
  RegionTable table;
  table.source_ = path.filename().string();
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const auto label = core::parse_integer(rows.cell(row, "index"));
    if (!label) {
      throw core::InputError(fmt::format("{}: index '{}' is not a whole number", rows.where(row),
                                         rows.cell(row, "index")));
    }
    const std::string name = plain_name(rows.cell(row, "name"));
    const auto has = [&name](const char* word) { return name.find(word) != std::string::npos; };
    if (has("caudate")) table.cso_.caudate.push_back(*label);
    if (has("caudate") || has("putamen") || has("pallid") || has("accumbens")) {
      table.labels_["bg"].push_back(*label);
    }
    if (has("hippocampus")) table.labels_["hippocampi"].push_back(*label);
    if (has("midbrain")) table.labels_["midbrain"].push_back(*label);
    if (has("cerebral white matter")) table.cso_.white_matter.push_back(*label);
    if (has("lateral ventric") && !has("inf")) table.cso_.ventricles.push_back(*label);
  }
  if (table.labels_.empty() && table.cso_.white_matter.empty()) {
    throw core::InputError(
        fmt::format("{} names none of the structures of bg, hippocampi, midbrain or cso",
                    path.string()),
        "expected names such as Left Caudate, Right Hippocampus, Left Cerebral White Matter");
  }
  return table;
}

RegionTable RegionTable::open(const std::string& lut_or_path) {
  const std::string name = core::lower(lut_or_path);
  if (name.ends_with(".toml")) return from_toml(lut_or_path);
  return name.ends_with(".tsv") ? from_tsv(lut_or_path) : preset(lut_or_path);
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
                         labels_.empty() ? "it has white matter only (--white-matter, region cso)"
                                         : "it has " + core::join(regions(), ", "));
}

Shape default_crop_voxels(const std::string& region) {
  if (region == "midbrain") return {88, 88, 11};
  if (region == "cso") return {250, 290, 14};
  return {168, 128, 84};
}

}  // namespace epvs::data
