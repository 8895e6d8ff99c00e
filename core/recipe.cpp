// JSON and TOML in and out: the only file that includes toml++.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/files.h"
#include "core/parameters.h"
#include "core/text.h"

namespace epvs::core {

namespace {

std::string scalar_text(const toml::node& node, const std::string& where) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return format_number(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  throw UsageError(fmt::format("{}: text, a number, true/false or a list was expected", where));
}

void read_table(const toml::table& table, const std::string& prefix, const std::string& source,
                ParameterTable& parameters) {
  for (const auto& [key, node] : table) {
    const std::string name =
        prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str());
    const std::string where = fmt::format("{} line {}", source, node.source().begin.line);
    if (const auto* inner = node.as_table()) {
      read_table(*inner, name, source, parameters);
      continue;
    }
    std::vector<std::string> values;
    if (const auto* list = node.as_array()) {
      for (const toml::node& entry : *list) values.push_back(scalar_text(entry, where));
    } else {
      values.push_back(scalar_text(node, where));
    }
    try {
      parameters.find(name).set(values, Origin::kRecipe);
    } catch (const Error& error) {
      error.rethrow_in(where);
    }
  }
}

std::string toml_text(const Json& value) {
  if (value.is_string()) return Json(value).dump();
  if (value.is_number_float()) {
    const std::string text = format_number(value.get<double>());
    return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
  }
  if (value.is_array()) {
    std::vector<std::string> parts;
    for (const Json& entry : value) parts.push_back(toml_text(entry));
    return "[" + join(parts, ", ") + "]";
  }
  return value.dump();
}

toml::table parse_toml(const std::string& text, const std::string& source_name) {
  try {
    return toml::parse(text, source_name);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{} line {}: {}", source_name, error.source().begin.line,
                                 std::string(error.description())));
  }
}

void check_version(const toml::table& document, const std::string& source_name) {
  const auto version = document["recipe_version"].value<std::int64_t>();
  if (version && *version > ParameterTable::kRecipeVersion) {
    throw UsageError(fmt::format("{}: recipe_version = {}, but this epvs reads up to {}",
                                 source_name, *version, ParameterTable::kRecipeVersion),
                     "use the epvs that wrote the recipe, or a newer one");
  }
}

Json to_document(const toml::node& node, const std::string& source_name) {
  if (const auto* table = node.as_table()) {
    Json document = Json::object();
    for (const auto& [key, value] : *table) {
      document[std::string(key.str())] = to_document(value, source_name);
    }
    return document;
  }
  if (const auto* list = node.as_array()) {
    Json document = Json::array();
    for (const toml::node& entry : *list) document.push_back(to_document(entry, source_name));
    return document;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* flag = node.as_boolean()) return flag->get();
  throw UsageError(
      fmt::format("{} line {}: dates are not understood", source_name, node.source().begin.line));
}

}  // namespace

Json read_json(const std::filesystem::path& path) {
  try {
    return Json::parse(read_text(path));
  } catch (const Json::parse_error& error) {
    throw InputError(fmt::format("{} is not valid JSON: {}", path.string(), error.what()));
  }
}

void write_json(const std::filesystem::path& path, const Json& document) {
  write_text(path, document.dump(2) + "\n");
}

Json read_toml(const std::filesystem::path& path) {
  const toml::table document = parse_toml(read_text(path), path.string());
  check_version(document, path.string());
  return to_document(document, path.string());
}

void ParameterTable::read_recipe_text(const std::string& text, const std::string& source_name,
                                      const std::vector<std::string>& ignored_tables) {
  toml::table document = parse_toml(text, source_name);
  check_version(document, source_name);
  document.erase("recipe_version");
  for (const std::string& name : ignored_tables) document.erase(name);
  read_table(document, "", source_name, *this);
}

void ParameterTable::read_recipe(const std::filesystem::path& path,
                                 const std::vector<std::string>& ignored_tables) {
  read_recipe_text(read_text(path), path.string(), ignored_tables);
}

std::string ParameterTable::to_recipe() const {
  std::vector<std::string> tables;
  std::map<std::string, std::string> bodies;
  for (const Parameter& parameter : parameters_) {
    if (parameter.value().is_null()) continue;  // TOML has no word for "not set"
    const std::size_t dot = parameter.name().rfind('.');
    const std::string table = dot == std::string::npos ? "" : parameter.name().substr(0, dot);
    const std::string key =
        dot == std::string::npos ? parameter.name() : parameter.name().substr(dot + 1);
    if (bodies.count(table) == 0) tables.push_back(table);
    bodies[table] += fmt::format("{} = {}\n", key, toml_text(parameter.value()));
  }
  std::string text = fmt::format("recipe_version = {}\n", kRecipeVersion);
  if (bodies.count("") != 0) text += bodies[""];
  for (const std::string& table : tables) {
    if (!table.empty()) text += fmt::format("\n[{}]\n{}", table, bodies[table]);
  }
  return text;
}

}  // namespace epvs::core
