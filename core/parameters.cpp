#include "core/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <type_traits>

#include "core/error.h"
#include "core/text.h"

namespace epvs::core {

namespace {

namespace fs = std::filesystem;

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return format_number(value.get<double>());
  return value.dump();
}

template <class T>
Json json_of(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}
template <class T>
Json json_of(const T& value) {
  return value;
}

template <class T>
void assign_json(const Json& value, std::optional<T>& target) {
  target = value.is_null() ? std::nullopt : std::optional<T>(value.get<T>());
}
template <class T>
void assign_json(const Json& value, T& target) {
  target = value.get<T>();
}

/// Does the target point to one of these types?
template <class... T>
bool holds(const Parameter::Target& target) {
  return (std::holds_alternative<T*>(target) || ...);
}

bool is_number(const Parameter::Target& target) {
  return holds<double, std::optional<double>, std::vector<double>>(target);
}

bool is_whole(const Parameter::Target& target) {
  return holds<int, std::optional<int>, std::int64_t, std::uint64_t, std::vector<std::int64_t>>(
      target);
}

bool is_path(const Parameter::Target& target) {
  return holds<fs::path, std::vector<fs::path>>(target);
}

}  // namespace

std::vector<std::string> texts_of(const Json& value) {
  if (value.is_null()) return {};
  if (!value.is_array()) return {text_of(value)};
  std::vector<std::string> texts;
  for (const Json& entry : value) texts.push_back(text_of(entry));
  return texts;
}

Parameter::Parameter(std::string name, Target target, std::string help)
    : name_(std::move(name)), help_(std::move(help)), target_(std::move(target)) {
  if (const auto* named = std::get_if<EnumTarget>(&target_)) choices_ = named->names;
  default_ = value();
}

Parameter& Parameter::range(double minimum, double maximum) {
  minimum_ = minimum;
  maximum_ = maximum;
  return *this;
}

Parameter& Parameter::choices(std::vector<std::string> allowed) {
  choices_ = std::move(allowed);
  return *this;
}

Parameter& Parameter::unit(std::string text) {
  unit_ = std::move(text);
  return *this;
}

Parameter& Parameter::length(std::size_t count) {
  length_ = count;
  return *this;
}

Parameter& Parameter::required() {
  required_ = true;
  return *this;
}

Parameter& Parameter::option(std::string spelling) {
  option_ = std::move(spelling);
  return *this;
}

bool Parameter::is_flag() const {
  return holds<bool>(target_);
}

bool Parameter::is_list() const {
  if (const auto* named = std::get_if<EnumTarget>(&target_)) return named->is_list;
  return std::visit(
      [](const auto& target) {
        return IsVector<std::remove_pointer_t<std::decay_t<decltype(target)>>>::value;
      },
      target_);
}

bool Parameter::takes_whole_texts() const {
  return is_path(target_) || unit_ == "FILE" || unit_ == "DIR" || unit_ == "NAME=VALUE";
}

std::string Parameter::placeholder() const {
  std::string one = "TEXT";
  if (!unit_.empty()) {
    one = unit_;
    std::transform(one.begin(), one.end(), one.begin(), [](unsigned char c) {
      return c == ' ' ? '_' : static_cast<char>(std::toupper(c));
    });
  } else if (is_flag()) {
    return "true|false";
  } else if (!choices_.empty()) {
    one = "NAME";
  } else if (is_number(target_)) {
    one = "X";
  } else if (is_whole(target_)) {
    one = "N";
  } else if (is_path(target_)) {
    one = "FILE";
  }
  if (!is_list() || one.find(',') != std::string::npos) return one;
  if (takes_whole_texts()) return one + "...";
  if (length_ == 0) return one + ",...";
  return join(std::vector<std::string>(length_, one), ",");
}

std::string Parameter::constraint() const {
  std::vector<std::string> parts;
  if (!choices_.empty()) parts.push_back("one of " + join(choices_, "|"));
  const bool low = std::isfinite(minimum_);
  const bool high = std::isfinite(maximum_);
  if (low && high) parts.push_back(fmt::format("{} to {}", minimum_, maximum_));
  if (low && !high) parts.push_back(fmt::format("at least {}", minimum_));
  if (!low && high) parts.push_back(fmt::format("at most {}", maximum_));
  const std::string shown = join(texts_of(default_), ",");
  if (!required_ && !is_flag() && !shown.empty() && shown != "n/a")
    parts.push_back("default " + shown);
  return join(parts, "; ");
}

const std::string& Parameter::spelled(Origin origin) const {
  return origin == Origin::kCommandLine && !option_.empty() ? option_ : name_;
}

void Parameter::check_bounds(const std::string& shown, const std::string& text,
                             double number) const {
  if (number >= minimum_ && number <= maximum_) return;
  const std::string bounds = std::isfinite(maximum_)
                                 ? fmt::format("{} <= {} <= {}", minimum_, shown, maximum_)
                                 : fmt::format("{} >= {}", shown, minimum_);
  throw UsageError(fmt::format("{} = {}: violated constraint {}", shown, text, bounds));
}

Json Parameter::parse_one(const std::string& shown, const std::string& text) const {
  if (!choices_.empty() && std::find(choices_.begin(), choices_.end(), text) == choices_.end()) {
    throw_not_a_choice(shown, text, choices_);
  }
  if (is_flag()) {
    if (text != "true" && text != "false") {
      throw UsageError(fmt::format("{} = '{}' is not true or false", shown, text));
    }
    return text == "true";
  }
  if (is_number(target_)) {
    const auto number = parse_number(text);
    if (!number) throw UsageError(fmt::format("{} = '{}' is not a number", shown, text));
    check_bounds(shown, text, *number);
    return *number;
  }
  if (!is_whole(target_)) return text;
  const auto number = parse_integer(text);
  if (!number) throw UsageError(fmt::format("{} = '{}' is not a whole number", shown, text));
  check_bounds(shown, text, static_cast<double>(*number));
  if (holds<std::uint64_t>(target_)) {
    if (*number < 0) throw UsageError(fmt::format("{} = {} is negative", shown, text));
    return static_cast<std::uint64_t>(*number);
  }
  if (holds<int, std::optional<int>>(target_) &&
      (*number > std::numeric_limits<int>::max() || *number < std::numeric_limits<int>::min())) {
    throw UsageError(fmt::format("{} = {} is out of range", shown, text));
  }
  return static_cast<std::int64_t>(*number);
}

Json Parameter::parse(const std::vector<std::string>& values, Origin origin) const {
  const std::string& shown = spelled(origin);
  if (!is_list()) {
    if (values.empty() && holds<std::optional<int>, std::optional<double>>(target_)) return Json();
    if (values.size() != 1) {
      throw UsageError(fmt::format("{} takes one value, {} were given", shown, values.size()));
    }
    return parse_one(shown, values.front());
  }
  const bool empty_default = values.empty() && default_.empty();
  if (length_ != 0 && values.size() != length_ && !empty_default) {
    throw UsageError(
        fmt::format("{} takes {} values, {} were given", shown, length_, values.size()));
  }
  Json list = Json::array();
  for (const std::string& text : values) list.push_back(parse_one(shown, text));
  return list;
}

void Parameter::set(const std::vector<std::string>& values, Origin origin) {
  const Json parsed = parse(values, origin);
  if (origin < origin_) return;
  origin_ = origin;
  std::visit(
      [&](auto& target) {
        if constexpr (std::is_same_v<std::decay_t<decltype(target)>, EnumTarget>) {
          target.write(parsed);
        } else {
          assign_json(parsed, *target);
        }
      },
      target_);
}

Json Parameter::value() const {
  return std::visit(
      [](const auto& target) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(target)>, EnumTarget>) {
          return target.read();
        } else {
          return json_of(*target);
        }
      },
      target_);
}

std::vector<std::string> Parameter::texts() const {
  return texts_of(value());
}

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
