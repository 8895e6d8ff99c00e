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

/// Values to put in place: text, or a list that "{name...}" puts in as arguments of their own.
using Values = std::map<std::string, std::vector<std::string>>;

/// Puts values in place; other {names} stay for the run.
std::string put(std::string text, const Values& values) {
  for (const auto& [name, list] : values) {
    const std::string pattern = "{" + name + "}";
    const std::string value = core::join(list, ",");
    for (std::size_t at = text.find(pattern); at != std::string::npos;
         at = text.find(pattern, at + value.size())) {
      text.replace(at, pattern.size(), value);
    }
  }
  return text;
}

std::vector<std::string> put_all(const std::vector<std::string>& arguments, const Values& values) {
  std::vector<std::string> result;
  for (const std::string& argument : arguments) {
    const bool splice = argument.size() > 5 && argument.front() == '{' &&
                        argument.compare(argument.size() - 4, 4, "...}") == 0;
    const auto found = splice ? values.find(argument.substr(1, argument.size() - 5)) : values.end();
    if (found == values.end()) {
      result.push_back(put(argument, values));
    } else {
      result.insert(result.end(), found->second.begin(), found->second.end());
    }
  }
  return result;
}

std::vector<std::string> list_of(const Json& value) {
  const auto text = [](const Json& entry) {
    return entry.is_string() ? entry.get<std::string>() : entry.dump();
  };
  std::vector<std::string> result;
  if (!value.is_array()) return {text(value)};
  for (const Json& entry : value) result.push_back(text(entry));
  return result;
}

/// A value of the matrix: its name among the others, and what it puts in place.
struct MatrixValue {
  std::string name;
  Values values;
};
using Matrix = std::map<std::string, std::vector<MatrixValue>>;

/// [matrix]: lists of texts, or of tables that hold the list's own name and more.
Matrix read_matrix(const Json* table, const std::string& where) {
  Matrix matrix;
  if (table == nullptr) return matrix;
  for (const auto& [name, list] : table->items()) {
    if (!list.is_array() || list.empty()) {
      throw UsageError(fmt::format("{} [matrix]: '{}' must be a list", where, name));
    }
    for (const Json& entry : list) {
      MatrixValue value;
      if (entry.is_object()) {
        for (const auto& [key, item] : entry.items()) value.values[key] = list_of(item);
        if (!value.values.contains(name)) {
          throw UsageError(
              fmt::format("{} [matrix]: an entry of '{}' has no '{}'", where, name, name));
        }
      } else {
        value.values[name] = list_of(entry);
      }
      value.name = core::join(value.values[name], ",");
      const auto same = [&](const MatrixValue& other) { return other.name == value.name; };
      if (std::ranges::any_of(matrix[name], same)) {
        throw UsageError(fmt::format("{} [matrix]: '{}' has '{}' twice", where, name, value.name));
      }
      matrix[name].push_back(std::move(value));
    }
  }
  return matrix;
}

struct Row {
  MatrixRow names;
  Values values;
};

/// All combinations of the lists that a step goes through, the last one fastest.
std::vector<Row> rows_of(const std::vector<std::string>& each, const Matrix& matrix,
                         const Values& variables, const std::string& where) {
  std::vector<Row> rows = {{{}, variables}};
  for (const std::string& name : each) {
    const auto found = matrix.find(name);
    if (found == matrix.end()) {
      std::vector<std::string> names;
      for (const auto& [known, values] : matrix) names.push_back(known);
      throw UsageError(
          fmt::format("{}: [matrix] has no '{}'{}", where, name, core::did_you_mean(name, names)));
    }
    std::vector<Row> longer;
    for (const Row& row : rows) {
      for (const MatrixValue& value : found->second) {
        Row next = row;
        next.names[name] = value.name;
        for (const auto& [key, list] : value.values) next.values[key] = list;
        longer.push_back(std::move(next));
      }
    }
    rows = std::move(longer);
  }
  return rows;
}

/// Steps become files and folders of the run.
void require_plain_name(const std::string& name, const std::string& where) {
  if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos) {
    throw UsageError(fmt::format("{}: '{}' is no name for a step", where, name),
                     "it becomes a file name: no slash, no dot at the start");
  }
}

struct StepContext {
  const Matrix& matrix;
  const Values& variables;
  const std::vector<ExperimentInput>& inputs;
};

void read_step(const Json& table, const std::string& where, const StepContext& context,
               std::vector<ExperimentStep>& steps) {
  Keys keys(table, where);
  ExperimentStep step;
  step.name = keys.text("name");
  const std::vector<std::string> command = keys.texts("command");
  if (command.empty()) throw UsageError(where + ": 'command' is empty");
  const Json* retry_given = keys.find("retry", true);
  step.retry = retry_given == nullptr ? std::vector<std::string>{"--force"} : keys.texts("retry");
  step.minutes = keys.number("minutes", 1.0);
  step.show = keys.flag("show", false);
  step.check = core::from_text<StepCheck>(keys.text("check", "none"), where + ": check");
  step.may_fail = keys.flag("may_fail", false);
  step.unless = keys.text("unless", "");
  const auto is_named = [&](const ExperimentInput& input) { return input.name == step.unless; };
  if (!step.unless.empty() && std::ranges::none_of(context.inputs, is_named)) {
    throw UsageError(fmt::format("{}: there is no input '{}'", where, step.unless));
  }
  const auto rows = rows_of(keys.texts("each", true), context.matrix, context.variables, where);
  keys.finish();
  for (const Row& row : rows) {
    ExperimentStep one = step;
    one.name = put(step.name, row.values);
    // Twice, for the variables themselves may hold names of the row.
    one.command = put_all(put_all(command, row.values), row.values);
    one.row = row.names;
    require_plain_name(one.name, where);
    const auto same = [&](const ExperimentStep& other) { return other.name == one.name; };
    if (std::ranges::any_of(steps, same)) {
      throw UsageError(fmt::format("{}: two steps are named '{}'", where, one.name));
    }
    steps.push_back(std::move(one));
  }
}

/// A block of a paper's table: each of `rows` is a scorer and a number for each of `metrics`.
void read_published(const Json& entry, const std::string& where,
                    std::vector<PublishedValue>& published) {
  Keys keys(entry, where);
  PublishedValue value;
  value.table = keys.text("table");
  value.region = keys.text("region");
  value.reference = keys.text("reference");
  const std::vector<std::string> metrics = keys.texts("metrics");
  const Json& rows = *keys.find("rows", false);
  keys.finish();
  for (const Json& row : rows) {
    const bool fits = row.is_array() && row.size() == metrics.size() + 1 && row[0].is_string() &&
                      std::all_of(row.begin() + 1, row.end(),
                                  [](const Json& number) { return number.is_number(); });
    if (!fits) {
      throw UsageError(fmt::format("{}: {} must be a scorer and a number for each of {}", where,
                                   row.dump(), core::join(metrics, ", ")));
    }
    value.scorer = row[0].get<std::string>();
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      value.metric = metrics[i];
      value.value = row[i + 1].get<double>();
      published.push_back(value);
    }
  }
}

void read_inputs(const Json* table, const std::string& where, Experiment& experiment) {
  if (table == nullptr) return;
  for (const auto& [name, entry] : table->items()) {
    for (const char* taken : {"out", "recipes", "threads", "seed", "device"}) {
      if (name == taken) {
        throw UsageError(fmt::format("{}: an input cannot be named '{}'", where, name),
                         "every experiment has it already");
      }
    }
    Keys input(entry, where + " [inputs." + name + "]");
    const std::string help = input.text("help");
    std::optional<std::string> value;
    if (entry.contains("default")) value = input.text("default");
    experiment.inputs.push_back({name, help, value, input.flag("file", false)});
    input.finish();
  }
}

void read_sizes(const Json* table, const std::string& where, Experiment& experiment) {
  if (table == nullptr) return;
  for (const auto& [size, entry] : table->items()) {
    for (const auto& [name, value] : entry.items()) {
      const auto is_named = [&](const ExperimentInput& input) { return input.name == name; };
      if (std::ranges::none_of(experiment.inputs, is_named)) {
        throw UsageError(fmt::format("{} [sizes.{}]: there is no input '{}'", where, size, name));
      }
      experiment.sizes[size][name] = core::join(list_of(value), ",");
    }
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
  read_inputs(keys.find("inputs", true), where, experiment);
  read_sizes(keys.find("sizes", true), where, experiment);
  const Matrix matrix = read_matrix(keys.find("matrix", true), where);
  for (const auto& [name, values] : matrix) {
    for (const MatrixValue& value : values) experiment.matrix[name].push_back(value.name);
  }
  Values variables;
  if (const Json* given = keys.find("variables", true)) {
    for (const auto& [name, value] : given->items()) variables[name] = list_of(value);
  }
  const Json* steps = keys.find("step", false);
  if (!steps->is_array()) throw UsageError(where + ": steps are written as [[step]]");
  for (std::size_t i = 0; i < steps->size(); ++i) {
    read_step((*steps)[i], fmt::format("{} [[step]] {}", where, i + 1),
              {matrix, variables, experiment.inputs}, experiment.steps);
  }
  if (const Json* published = keys.find("published", true)) {
    for (const Json& entry : *published) {
      read_published(entry, where + " [[published]]", experiment.published);
    }
  }
  keys.finish();
  if (!experiment.published.empty() && experiment.metrics.empty()) {
    throw UsageError(where + ": 'metrics' must name the metrics.tsv with the measured values");
  }
  return experiment;
}

}  // namespace epvs::experiments
