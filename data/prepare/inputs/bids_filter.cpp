#include "data/prepare/inputs/bids_filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace epvs::data {

namespace {

const std::vector<std::string>& read_kinds() {
  static const std::vector<std::string> kinds = {"t2w", "pdw", "t1w"};
  return kinds;
}

/// Kinds that files written for fMRIPrep may have beside ours.
const std::vector<std::string>& other_kinds() {
  static const std::vector<std::string> kinds = {"bold", "sbref", "flair", "fmap",
                                                 "asl",  "dwi",   "roi",   "pet"};
  return kinds;
}

/// Long name -> the name in the file (BIDS 1.9, entity table).
const std::map<std::string, std::string>& entity_names() {
  static const std::map<std::string, std::string> names = {
      {"subject", "sub"},         {"session", "ses"},      {"acquisition", "acq"},
      {"ceagent", "ce"},          {"tracer", "trc"},       {"reconstruction", "rec"},
      {"direction", "dir"},       {"run", "run"},          {"modality", "mod"},
      {"echo", "echo"},           {"flip", "flip"},        {"inversion", "inv"},
      {"mtransfer", "mt"},        {"part", "part"},        {"processing", "proc"},
      {"space", "space"},         {"split", "split"},      {"resolution", "res"},
      {"description", "desc"},    {"chunk", "chunk"},      {"suffix", "suffix"},
      {"extension", "extension"}, {"datatype", "datatype"}};
  return names;
}

std::string short_name(const std::string& entity, const std::string& source) {
  std::vector<std::string> known;
  for (const auto& [long_name, name] : entity_names()) {
    if (entity == long_name || entity == name) return name;
    known.push_back(long_name);
  }
  throw core::UsageError(
      fmt::format("{}: unknown entity '{}'{}", source, entity, core::did_you_mean(entity, known)));
}

std::string text_of(const core::Json& value, const std::string& source) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return std::to_string(value.get<long long>());
  throw core::UsageError(
      fmt::format("{}: '{}' is no value of an entity", source, value.dump()),
      "expected a text, a whole number, a list of them, null (absent) or \"*\" (any)");
}

bool is_index(const std::string& entity) {
  return entity == "run" || entity == "echo" || entity == "inv" || entity == "flip";
}

/// "ses-02" and "02".
std::string label_of(const std::string& value, const std::string& entity) {
  const std::string prefix = entity + "-";
  return value.starts_with(prefix) ? value.substr(prefix.size()) : value;
}

}  // namespace

std::optional<BidsName> BidsName::parse(const std::string& file) {
  for (const char* ending : {".nii.gz", ".nii", ".mgz", ".mgh"}) {
    if (!file.ends_with(ending)) continue;
    BidsName name;
    name.extension = ending;
    for (const std::string& part :
         core::split(file.substr(0, file.size() - name.extension.size()), '_')) {
      const std::size_t dash = part.find('-');
      if (dash == std::string::npos) {
        name.suffix = part;
      } else {
        name.entities[part.substr(0, dash)] = part.substr(dash + 1);
      }
    }
    return name;
  }
  return std::nullopt;
}

bool same_index(const std::string& a, const std::string& b) {
  const auto x = core::parse_integer(a);
  const auto y = core::parse_integer(b);
  return x && y ? *x == *y : a == b;
}

BidsFilter::BidsFilter(const std::filesystem::path& path, std::vector<std::string>* ignored) {
  const core::Json document = core::read_json(path);
  const std::string source = path.string();
  if (!document.is_object()) {
    throw core::UsageError(fmt::format("{} is no BIDS filter", source),
                           R"(expected {"t2w": {"session": "02", "acquisition": "tse"}})");
  }
  for (const auto& [kind, query] : document.items()) {
    const auto& others = other_kinds();
    if (std::find(others.begin(), others.end(), kind) != others.end()) {
      if (ignored != nullptr) ignored->push_back(kind);
      continue;
    }
    const auto& kinds = read_kinds();
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end() || !query.is_object()) {
      throw core::UsageError(fmt::format("{}: unknown kind of scan '{}'{}", source, kind,
                                         core::did_you_mean(kind, kinds)),
                             R"(expected {"t2w": {"session": "02", "acquisition": "tse"}})");
    }
    for (const auto& [entity, value] : query.items()) {
      const std::string name = short_name(entity, source);
      Wanted wanted;
      wanted.absent = value.is_null();
      wanted.any = value.is_string() && value.get<std::string>() == "*";
      if (value.is_array()) {
        for (const core::Json& one : value) wanted.values.push_back(text_of(one, source));
      } else if (!wanted.absent && !wanted.any) {
        wanted.values.push_back(text_of(value, source));
      }
      for (std::string& text : wanted.values) text = label_of(text, name);
      if (name == "datatype" &&
          (wanted.absent || wanted.values != std::vector<std::string>{"anat"})) {
        throw core::UsageError(fmt::format("{}: datatype of '{}' is not \"anat\"", source, kind),
                               "scans are looked for in the folders anat only");
      }
      queries_[kind][name] = std::move(wanted);
    }
  }
}

bool BidsFilter::names(const std::string& kind, const std::string& entity) const {
  const auto query = queries_.find(kind);
  return query != queries_.end() && query->second.contains(entity);
}

bool BidsFilter::fits(const std::string& kind, const std::string& suffix,
                      const BidsName& name) const {
  if (!names(kind, "suffix") && name.suffix != suffix) return false;
  const auto query = queries_.find(kind);
  if (query == queries_.end()) return true;
  return std::all_of(query->second.begin(), query->second.end(), [&](const auto& entry) {
    const auto& [entity, wanted] = entry;
    if (entity == "datatype") return true;
    std::optional<std::string> value;
    if (entity == "suffix") {
      value = name.suffix;
    } else if (entity == "extension") {
      value = name.extension;
    } else if (const auto found = name.entities.find(entity); found != name.entities.end()) {
      value = found->second;
    }
    if (wanted.absent) return !value.has_value();
    if (wanted.any) return value.has_value();
    return value &&
           std::any_of(wanted.values.begin(), wanted.values.end(), [&](const std::string& one) {
             return is_index(entity) ? same_index(one, *value) : one == *value;
           });
  });
}

}  // namespace epvs::data
