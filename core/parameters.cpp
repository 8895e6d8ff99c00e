#include "core/parameters.h"

#include <fmt/format.h>

#include <functional>

#include "core/error.h"
#include "core/text.h"

namespace epvs::core {

namespace {

/// Calls `visit(name, value)` for every leaf of a document, its name joined by dots.
void for_each_leaf(const Json& document, const std::string& prefix,
                   const std::function<void(const std::string&, const Json&)>& visit) {
  for (const auto& [key, value] : document.items()) {
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object()) {
      for_each_leaf(value, name, visit);
    } else {
      visit(name, value);
    }
  }
}

}  // namespace

const Parameter& ParameterTable::find(const std::string& name) const {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters_) {
    if (parameter.name() == name) return parameter;
    names.push_back(parameter.name());
  }
  throw UsageError(fmt::format("unknown parameter '{}'{}", name, did_you_mean(name, names)));
}

Parameter& ParameterTable::find(const std::string& name) {
  return const_cast<Parameter&>(std::as_const(*this).find(name));
}

void ParameterTable::assign(const std::string& assignment, Origin origin) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos) {
    throw UsageError(fmt::format("'{}' is not of the form name=value", assignment));
  }
  Parameter& parameter = find(std::string(trim(assignment.substr(0, equals))));
  std::string_view text = trim(std::string_view(assignment).substr(equals + 1));
  if (!parameter.is_list()) {
    parameter.set({std::string(text)}, origin);
    return;
  }
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = trim(text.substr(1, text.size() - 2));
  }
  std::vector<std::string> values;
  if (!text.empty()) {
    for (const std::string& part : split(text, ',')) {
      std::string_view entry = trim(part);
      if (entry.size() >= 2 && entry.front() == '"' && entry.back() == '"') {
        entry = entry.substr(1, entry.size() - 2);
      }
      values.emplace_back(entry);
    }
  }
  parameter.set(values, origin);
}

Json ParameterTable::to_json() const {
  Json document = Json::object();
  for (const Parameter& parameter : parameters_) {
    Json* node = &document;
    for (const std::string& part : split(parameter.name(), '.')) node = &(*node)[part];
    *node = parameter.value();
  }
  return document;
}

void ParameterTable::from_json(const Json& document, const std::string& source_name,
                               Origin origin) {
  for_each_leaf(document, "", [&](const std::string& name, const Json& value) {
    try {
      find(name).set(texts_of(value), origin);
    } catch (const Error& error) {
      error.rethrow_in(source_name);
    }
  });
}

void ParameterTable::apply_preset(const Json& values, const std::string& source_name) {
  from_json(values, source_name, Origin::kPreset);
}

void ParameterTable::require_equal(const Json& expected, const std::string& source_name) {
  std::vector<std::string> contradictions;
  for_each_leaf(expected, "", [&](const std::string& name, const Json& value) {
    const Parameter& parameter = find(name);
    if (!parameter.stated() || parameter.parse(texts_of(value)) == parameter.value()) return;
    contradictions.push_back(fmt::format("{} is {} by the {}, but {} there", name,
                                         join(parameter.texts(), ","), to_text(parameter.origin()),
                                         join(texts_of(value), ",")));
  });
  if (!contradictions.empty()) {
    throw UsageError(
        fmt::format("{} contradicts what was stated: {}", source_name, join(contradictions, "; ")),
        "leave these out: they are taken from " + source_name);
  }
  from_json(expected, source_name, Origin::kLike);
}

void ParameterTable::validate() const {
  for (const Parameter& parameter : parameters_) parameter.parse(parameter.texts());
}

}  // namespace epvs::core
