#include "experiments/experiment.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace epvs::experiments {

namespace fs = std::filesystem;
using core::Json;
using core::UsageError;

namespace {

/// Reads keys of one table and refuses the ones nobody asked for.
class Keys {
 public:
  Keys(const Json& table, std::string where) : table_(table), where_(std::move(where)) {
    if (!table_.is_object()) throw UsageError(where_ + ": a table was expected");
  }

  std::string text(const std::string& key, std::optional<std::string> fallback = std::nullopt) {
    const Json* value = find(key, fallback.has_value());
    if (value == nullptr) return *fallback;
    if (!value->is_string()) throw wrong(key, "text");
    return value->get<std::string>();
  }

  double number(const std::string& key, std::optional<double> fallback = std::nullopt) {
    const Json* value = find(key, fallback.has_value());
    if (value == nullptr) return *fallback;
    if (!value->is_number()) throw wrong(key, "a number");
    return value->get<double>();
  }

  bool flag(const std::string& key, bool fallback) {
    const Json* value = find(key, true);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) throw wrong(key, "true or false");
    return value->get<bool>();
  }

  std::vector<std::string> texts(const std::string& key, bool optional = false) {
    const Json* value = find(key, optional);
    std::vector<std::string> list;
    if (value == nullptr) return list;
    if (!value->is_array()) throw wrong(key, "a list of text");
    for (const Json& entry : *value) {
      if (!entry.is_string()) throw wrong(key, "a list of text");
      list.push_back(entry.get<std::string>());
    }
    return list;
  }

  const Json* find(const std::string& key, bool optional) {
    known_.push_back(key);
    const auto found = table_.find(key);
    if (found != table_.end()) return &*found;
    if (optional) return nullptr;
    throw UsageError(fmt::format("{}: '{}' is missing", where_, key));
  }

  /// Throws for every key that was not read.
  void finish() const {
    for (const auto& [key, value] : table_.items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        throw UsageError(
            fmt::format("{}: unknown key '{}'{}", where_, key, core::did_you_mean(key, known_)));
      }
    }
  }

 private:
  UsageError wrong(const std::string& key, const char* expected) const {
    return UsageError(fmt::format("{}: '{}' must be {}", where_, key, expected));
  }

  const Json& table_;
  std::string where_;
  std::vector<std::string> known_;
};

/// Values of one foreach row: text, or a list that "{name...}" puts in as arguments of their own.
using Row = std::map<std::string, std::vector<std::string>>;

/// Puts the values of one foreach row in place; other {names} stay for the run.
std::string put(std::string text, const Row& row) {
  for (const auto& [name, values] : row) {
    const std::string pattern = "{" + name + "}";
    const std::string value = core::join(values, ",");
    for (std::size_t at = text.find(pattern); at != std::string::npos;
         at = text.find(pattern, at + value.size())) {
      text.replace(at, pattern.size(), value);
    }
  }
  return text;
}

std::vector<std::string> put_all(const std::vector<std::string>& arguments, const Row& row) {
  std::vector<std::string> result;
  for (const std::string& argument : arguments) {
    const bool splice = argument.size() > 5 && argument.front() == '{' &&
                        argument.compare(argument.size() - 4, 4, "...}") == 0;
    const auto found = splice ? row.find(argument.substr(1, argument.size() - 5)) : row.end();
    if (found == row.end()) {
      result.push_back(put(argument, row));
    } else {
      result.insert(result.end(), found->second.begin(), found->second.end());
    }
  }
  return result;
}

std::vector<Row> foreach_rows(const Json* rows, const std::string& where) {
  if (rows == nullptr) return {Row{}};
  const auto text = [](const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  std::vector<Row> result;
  const bool tables =
      rows->is_array() && !rows->empty() &&
      std::all_of(rows->begin(), rows->end(), [](const Json& row) { return row.is_object(); });
  if (!tables) throw UsageError(where + ": 'foreach' must be a list of tables");
  for (const Json& row : *rows) {
    Row values;
    for (const auto& [name, value] : row.items()) {
      values[name];
      if (!value.is_array()) {
        values[name].push_back(text(value));
        continue;
      }
      for (const Json& entry : value) values[name].push_back(text(entry));
    }
    result.push_back(std::move(values));
  }
  return result;
}

void read_step(const Json& table, const std::string& where, std::vector<ExperimentStep>& steps) {
  Keys keys(table, where);
  const std::string name = keys.text("name");
  const std::vector<std::string> command = keys.texts("command");
  if (command.empty()) throw UsageError(where + ": 'command' is empty");
  const Json* retry_given = keys.find("retry", true);
  const std::vector<std::string> retry =
      retry_given == nullptr ? std::vector<std::string>{"--force"} : keys.texts("retry");
  const double minutes = keys.number("minutes", 1.0);
  const bool show = keys.flag("show", false);
  const auto check = core::from_text<StepCheck>(keys.text("check", "none"), where + ": check");
  const auto rows = foreach_rows(keys.find("foreach", true), where);
  keys.finish();
  for (const auto& row : rows) {
    ExperimentStep step{put(name, row), put_all(command, row), retry, minutes, show, check};
    const bool twice = std::any_of(steps.begin(), steps.end(), [&](const ExperimentStep& other) {
      return other.name == step.name;
    });
    if (twice) throw UsageError(fmt::format("{}: two steps are named '{}'", where, step.name));
    steps.push_back(std::move(step));
  }
}

}  // namespace

Experiment Experiment::read(const fs::path& path) {
  const Json document = core::read_toml(path);
  const std::string where = path.string();
  Keys keys(document, where);
  Experiment experiment;
  keys.find("recipe_version", true);
  experiment.id = keys.text("id");
  experiment.title = keys.text("title");
  experiment.source = keys.text("source");
  experiment.description = keys.text("description", "");
  experiment.metrics = keys.text("metrics", "");
  if (const Json* inputs = keys.find("inputs", true)) {
    for (const auto& [name, table] : inputs->items()) {
      Keys input(table, where + " [inputs." + name + "]");
      const std::string help = input.text("help");
      const bool has_default = table.contains("default");
      experiment.inputs.push_back(
          {name, help, has_default ? std::optional(input.text("default")) : std::nullopt,
           input.flag("file", false)});
      input.finish();
    }
  }
  const Json* steps = keys.find("step", false);
  if (!steps->is_array()) throw UsageError(where + ": steps are written as [[step]]");
  for (std::size_t i = 0; i < steps->size(); ++i) {
    read_step((*steps)[i], fmt::format("{} [[step]] {}", where, i + 1), experiment.steps);
  }
  if (const Json* published = keys.find("published", true)) {
    for (const Json& entry : *published) {
      Keys value(entry, where + " [[published]]");
      experiment.published.push_back({value.text("table"), value.text("region"),
                                      value.text("reference"), value.text("scorer"),
                                      value.text("metric"), value.number("value")});
      value.finish();
    }
  }
  keys.finish();
  if (!experiment.published.empty() && experiment.metrics.empty()) {
    throw UsageError(where + ": 'metrics' must name the metrics.tsv with the measured values");
  }
  return experiment;
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
