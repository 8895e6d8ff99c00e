#include "experiments/experiment.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace epvs::experiments {

namespace fs = std::filesystem;
using core::UsageError;

std::vector<std::string> gather(const std::string& argument, const Experiment& experiment,
                                const std::function<bool(const MatrixRow&)>& keep) {
  std::vector<std::pair<std::string, MatrixRow>> filled = {{argument, {}}};
  bool any = false;
  for (const auto& [name, values] : experiment.matrix) {
    const std::string pattern = "{" + name + "*}";
    if (argument.find(pattern) == std::string::npos) continue;
    any = true;
    std::vector<std::pair<std::string, MatrixRow>> longer;
    for (const auto& [text, row] : filled) {
      for (const std::string& value : values) {
        std::string next = text;
        for (std::size_t at = next.find(pattern); at != std::string::npos;
             at = next.find(pattern, at + value.size())) {
          next.replace(at, pattern.size(), value);
        }
        MatrixRow next_row = row;
        next_row[name] = value;
        longer.emplace_back(std::move(next), std::move(next_row));
      }
    }
    filled = std::move(longer);
  }
  std::vector<std::string> result;
  for (const auto& [text, row] : filled) {
    if (!any || keep(row)) result.push_back(text);
  }
  return result;
}

std::string substitute(const std::string& text, const std::map<std::string, std::string>& values) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{') {
      result += text[i];
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == '{') {
      result += '{';
      ++i;
      continue;
    }
    const std::size_t end = text.find('}', i);
    if (end == std::string::npos) throw UsageError("'" + text + "': a { is not closed");
    const std::string name = text.substr(i + 1, end - i - 1);
    const auto found = values.find(name);
    if (found == values.end()) {
      std::vector<std::string> names;
      for (const auto& [known, value] : values) names.push_back(known);
      throw UsageError(
          fmt::format("'{}': unknown name '{}'{}", text, name, core::did_you_mean(name, names)));
    }
    result += found->second;
    i = end;
  }
  return result;
}

fs::path default_recipe_folder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    // libexec/epvs/epvs-experiment of an installation
    const fs::path installed =
        self.parent_path().parent_path().parent_path() / "share" / "epvs" / "recipes";
    if (fs::is_directory(installed)) return installed;
  }
  return EPVS_RECIPE_FOLDER;
}

std::map<std::string, fs::path> find_recipes(const fs::path& folder) {
  constexpr std::string_view kEnding = ".experiment.toml";
  std::map<std::string, fs::path> recipes;
  if (!fs::is_directory(folder)) {
    throw UsageError(fmt::format("the recipe folder {} does not exist", folder.string()),
                     "give --recipes DIR");
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.size() <= kEnding.size() ||
        name.compare(name.size() - kEnding.size(), kEnding.size(), kEnding) != 0) {
      continue;
    }
    const std::string id = Experiment::read(entry.path()).id;
    const auto [previous, inserted] = recipes.emplace(id, entry.path());
    if (!inserted) {
      throw UsageError(fmt::format("{} and {} both have the id '{}'", previous->second.string(),
                                   entry.path().string(), id));
    }
  }
  return recipes;
}

}  // namespace epvs::experiments
