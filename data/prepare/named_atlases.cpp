#include "data/prepare/named_atlases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFsl = "fsl:";
constexpr const char* kTemplateFlow = "templateflow:";
constexpr const char* kEnding = ".nii.gz";

fs::path fsl_folder(const std::string& text) {
  const char* folder = std::getenv("FSLDIR");
  if (folder == nullptr || *folder == '\0') {
    throw core::UsageError(fmt::format("'{}': FSLDIR is not set", text),
                           "set FSLDIR to the folder of FSL, or give the path of the file");
  }
  return fs::path(folder) / "data";
}

fs::path templateflow_folder(const std::string& text) {
  if (const char* folder = std::getenv("TEMPLATEFLOW_HOME"); folder != nullptr && *folder != '\0') {
    return folder;
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return fs::path(home) / ".cache" / "templateflow";
  }
  throw core::UsageError(fmt::format("'{}': neither TEMPLATEFLOW_HOME nor HOME is set", text),
                         "set TEMPLATEFLOW_HOME, or give the path of the file");
}

bool there(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && fs::file_size(path, ignored) > 0;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

[[noreturn]] void not_found(const std::string& text, const std::vector<fs::path>& tried) {
  std::vector<std::string> lines;
  for (const fs::path& path : tried) lines.push_back(path.string());
  const bool flow = text.starts_with(kTemplateFlow);
  throw core::InputError(
      fmt::format("'{}' was not found; looked for: {}", text, core::join(lines, ", ")),
      flow
          ? "fetch it with TemplateFlow's client (templateflow.api.get), or give the path of a file"
          : "check FSLDIR and the name, or give the path of a file");
}

fs::path find_fsl(const std::string& text, bool atlas) {
  const std::string name = text.substr(std::string(kFsl).size());
  const fs::path data = fsl_folder(text);
  std::vector<fs::path> tried = {data / "standard" / (name + kEnding)};
  if (atlas) {
    for (const fs::path& folder : entries_of(data / "atlases")) {
      if (fs::is_directory(folder)) tried.push_back(folder / (name + kEnding));
    }
    if (tried.size() == 1) tried.push_back(data / "atlases" / "*" / (name + kEnding));
  }
  for (const fs::path& path : tried) {
    if (there(path)) return path;
  }
  not_found(text, tried);
}

/// Parts of "templateflow:SPACE:...".
std::vector<std::string> flow_parts(const std::string& text, std::size_t least, std::size_t most,
                                    const char* form) {
  std::vector<std::string> parts = core::split(text.substr(std::string(kTemplateFlow).size()), ':');
  const bool empty = std::any_of(parts.begin(), parts.end(), [](const std::string& part) {
    return part.empty() || part.find('/') != std::string::npos;
  });
  if (empty || parts.size() < least || parts.size() > most) {
    throw core::UsageError(fmt::format("'{}' is not of the form {}", text, form));
  }
  return parts;
}

/// "tpl-X_SUFFIX" with or without a resolution, the lowest first.
std::optional<fs::path> find_flow(const fs::path& folder, const std::string& space,
                                  const std::string& suffix, const std::string& ending,
                                  std::vector<fs::path>& tried) {
  const std::string start = "tpl-" + space;
  for (const fs::path& path : entries_of(folder)) {
    const std::string name = path.filename().string();
    if (!name.starts_with(start + "_res-") || !name.ends_with("_" + suffix + ending)) continue;
    const std::string rest = name.substr(start.size() + 5);
    const std::string number = rest.substr(0, rest.find('_'));
    if (rest == number + "_" + suffix + ending && core::parse_integer(number) && there(path)) {
      return path;
    }
  }
  const fs::path plain = folder / fmt::format("{}_{}{}", start, suffix, ending);
  if (there(plain)) return plain;
  tried.push_back(folder / fmt::format("{}[_res-NN]_{}{}", start, suffix, ending));
  return std::nullopt;
}

}  // namespace

fs::path find_named_template(const std::string& text) {
  if (text.starts_with(kFsl)) return find_fsl(text, false);
  if (!text.starts_with(kTemplateFlow)) return text;
  const std::vector<std::string> parts = flow_parts(text, 1, 2, "templateflow:SPACE[:SUFFIX]");
  const fs::path folder = templateflow_folder(text) / ("tpl-" + parts[0]);
  const std::vector<std::string> suffixes = parts.size() == 2
                                                ? std::vector<std::string>{parts[1]}
                                                : std::vector<std::string>{"T2w", "T1w"};
  std::vector<fs::path> tried;
  for (const std::string& suffix : suffixes) {
    if (const auto path = find_flow(folder, parts[0], suffix, kEnding, tried)) return *path;
  }
  not_found(text, tried);
}

NamedAtlas find_named_atlas(const std::string& text) {
  if (text.starts_with(kFsl)) {
    const fs::path path = find_fsl(text, true);
    const bool known = path.filename().string().starts_with("HarvardOxford-sub-maxprob-");
    return {path, known ? "harvardoxford" : ""};
  }
  if (!text.starts_with(kTemplateFlow)) return {text, ""};
  const std::vector<std::string> parts = flow_parts(text, 2, 3, "templateflow:SPACE:ATLAS[:DESC]");
  const fs::path folder = templateflow_folder(text) / ("tpl-" + parts[0]);
  std::string suffix = "atlas-" + parts[1];
  if (parts.size() == 3) suffix += "_desc-" + parts[2];
  suffix += "_dseg";
  std::vector<fs::path> tried;
  const auto path = find_flow(folder, parts[0], suffix, kEnding, tried);
  if (!path) not_found(text, tried);
  const auto table = find_flow(folder, parts[0], suffix, ".tsv", tried);
  return {*path, table ? table->string() : ""};
}

}  // namespace epvs::data
