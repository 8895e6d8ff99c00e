#include "data/prepare/inputs/label_tables.h"

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

RegionTable RegionTable::open(const std::string& lut_or_path) {
  const std::string name = core::lower(lut_or_path);
  return name.ends_with(".toml") ? from_toml(lut_or_path) : preset(lut_or_path);
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
    if (!cso_.white_matter.empty()) return cso_.white_matter;
    throw core::UsageError(
        fmt::format("label table '{}' has no white matter, of which cso is cut out", source_),
        "give a second label map with --white-matter, for example FAST's *_pve_2");
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

namespace {

/// SynthSeg 2's structures; those of its parcellation are FreeSurfer's aparc.
const std::set<std::int64_t> kSynthSeg = {2,  3,  4,  5,  7,  8,  10, 11, 12, 13, 14,
                                          15, 16, 17, 18, 24, 26, 28, 41, 42, 43, 44,
                                          46, 47, 49, 50, 51, 52, 53, 54, 58, 60};

/// Beside those, what aseg has below 100: lesions 25/57, undetermined 29/61, vessels 30/62, choroid
/// plexus 31/63, 5th ventricle 72, hypointensities 77-82, optic chiasm 85.
const std::set<std::int64_t> kMoreOfAseg = {25, 29, 30, 31, 57, 61, 62, 63,
                                            72, 77, 78, 79, 80, 81, 82, 85};

/// FIRST's structures.
const std::set<std::int64_t> kFirst = {10, 11, 12, 13, 16, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58};

constexpr std::size_t kShown = 8;

bool is_parcel(std::int64_t number) {
  return (number >= 1000 && number <= 1035) || (number >= 2000 && number <= 2035);
}

bool is_foreign(std::int64_t number, const std::string& lut) {
  if (lut == "fast") return number > 3;
  if (lut == "harvardoxford") return number > 21;
  if (lut == "first") return !kFirst.contains(number);
  if (lut == "synthseg") return !kSynthSeg.contains(number) && !is_parcel(number);
  if (lut != "freesurfer" && lut != "atlas") return false;
  if (number >= 100 && number < 15000) return false;
  return !kSynthSeg.contains(number) && !kMoreOfAseg.contains(number);
}

}  // namespace

std::vector<std::int64_t> foreign_numbers(const Volume<std::int32_t>& labels,
                                          const std::string& lut) {
  std::set<std::int64_t> numbers;
  std::int32_t last = 0;
  for (const std::int32_t label : labels.voxels) {
    if (label != last) numbers.insert(label);
    last = label;
  }
  numbers.erase(0);
  std::vector<std::int64_t> foreign;
  std::copy_if(numbers.begin(), numbers.end(), std::back_inserter(foreign),
               [&](std::int64_t number) { return is_foreign(number, lut); });
  return foreign;
}

std::string foreign_numbers_text(const Volume<std::int32_t>& labels, const std::string& lut) {
  const std::vector<std::int64_t> foreign = foreign_numbers(labels, lut);
  if (foreign.empty()) return {};
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(kShown, foreign.size()); ++i) {
    shown.push_back(std::to_string(foreign[i]));
  }
  if (foreign.size() > kShown) shown.push_back("...");
  return fmt::format("{} label number{} that '{}' does not have: {}", foreign.size(),
                     foreign.size() == 1 ? "" : "s", lut, core::join(shown, ", "));
}

}  // namespace epvs::data
