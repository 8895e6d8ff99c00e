#include "core/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/error.h"
#include "core/text.h"

namespace epvs::core {

namespace {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

std::string show(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return format_number(value.get<double>());
  if (value.is_array()) {
    std::vector<std::string> parts;
    for (const Json& entry : value) parts.push_back(show(entry));
    return join(parts, ",");
  }
  return value.dump();
}

}  // namespace

Parameter::Parameter(std::string name, Target target, std::string help)
    : name_(std::move(name)), help_(std::move(help)), target_(target) {
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

bool Parameter::is_flag() const {
  return std::holds_alternative<bool*>(target_);
}

bool Parameter::is_list() const {
  return std::visit(
      [](auto* value) { return IsVector<std::remove_pointer_t<decltype(value)>>::value; }, target_);
}

bool Parameter::takes_whole_texts() const {
  return unit_ == "FILE" || unit_ == "DIR" || unit_ == "NAME=VALUE";
}

std::string Parameter::type_name() const {
  struct Namer {
    std::string operator()(const bool*) const { return "true|false"; }
    std::string operator()(const int*) const { return "INT"; }
    std::string operator()(const std::int64_t*) const { return "INT"; }
    std::string operator()(const std::uint64_t*) const { return "UINT"; }
    std::string operator()(const double*) const { return "NUMBER"; }
    std::string operator()(const std::string*) const { return "TEXT"; }
    std::string operator()(const std::filesystem::path*) const { return "PATH"; }
    std::string operator()(const std::vector<double>*) const { return "NUMBER,..."; }
    std::string operator()(const std::vector<std::int64_t>*) const { return "INT,..."; }
    std::string operator()(const std::vector<std::string>*) const { return "TEXT,..."; }
  };
  return unit_.empty() ? std::visit([](auto* value) { return Namer{}(value); }, target_) : unit_;
}

std::string Parameter::constraint() const {
  std::vector<std::string> parts;
  if (!choices_.empty()) parts.push_back("one of " + join(choices_, "|"));
  const bool low = std::isfinite(minimum_);
  const bool high = std::isfinite(maximum_);
  if (low && high) parts.push_back(fmt::format("{} to {}", minimum_, maximum_));
  if (low && !high) parts.push_back(fmt::format("at least {}", minimum_));
  if (!low && high) parts.push_back(fmt::format("at most {}", maximum_));
  const std::string shown = show(default_);
  if (!required_ && !is_flag() && !shown.empty() && shown != "n/a")
    parts.push_back("default " + shown);
  return join(parts, "; ");
}

void Parameter::check(const std::string& text, double number) const {
  if (number < minimum_ || number > maximum_ || std::isnan(number)) {
    const std::string bounds = std::isfinite(maximum_)
                                   ? fmt::format("{} <= {} <= {}", minimum_, name_, maximum_)
                                   : fmt::format("{} >= {}", name_, minimum_);
    throw UsageError(fmt::format("{} = {}: violated constraint {}", name_, text, bounds));
  }
}

void Parameter::set_one(const std::string& text) {
  if (!choices_.empty() && std::find(choices_.begin(), choices_.end(), text) == choices_.end()) {
    throw UsageError(
        fmt::format("{} = '{}' is not one of {}{}", name_, text, join(choices_, ", "),
                    nearest(text, choices_) ? did_you_mean(text, choices_) : std::string()));
  }
  const auto number = [&] {
    const auto parsed = parse_number(text);
    if (!parsed) throw UsageError(fmt::format("{} = '{}' is not a number", name_, text));
    check(text, *parsed);
    return *parsed;
  };
  const auto integer = [&] {
    const auto parsed = parse_integer(text);
    if (!parsed) throw UsageError(fmt::format("{} = '{}' is not a whole number", name_, text));
    check(text, static_cast<double>(*parsed));
    return *parsed;
  };
  std::visit(
      [&](auto* value) {
        using T = std::remove_pointer_t<decltype(value)>;
        if constexpr (std::is_same_v<T, bool>) {
          if (text != "true" && text != "false") {
            throw UsageError(fmt::format("{} = '{}' is not true or false", name_, text));
          }
          *value = text == "true";
        } else if constexpr (std::is_same_v<T, double>) {
          *value = number();
        } else if constexpr (std::is_same_v<T, int>) {
          const long long parsed = integer();
          if (parsed > std::numeric_limits<int>::max() || parsed < std::numeric_limits<int>::min())
            throw UsageError(fmt::format("{} = {} is out of range", name_, text));
          *value = static_cast<int>(parsed);
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          *value = integer();
        } else if constexpr (std::is_same_v<T, std::uint64_t>) {
          const long long parsed = integer();
          if (parsed < 0) throw UsageError(fmt::format("{} = {} is negative", name_, text));
          *value = static_cast<std::uint64_t>(parsed);
        } else if constexpr (std::is_same_v<T, std::string> ||
                             std::is_same_v<T, std::filesystem::path>) {
          *value = text;
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          value->push_back(number());
        } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
          value->push_back(integer());
        } else {
          value->push_back(text);
        }
      },
      target_);
}

void Parameter::set(const std::vector<std::string>& values) {
  if (!is_list()) {
    if (values.size() != 1) {
      throw UsageError(fmt::format("{} takes one value, {} were given", name_, values.size()));
    }
    set_one(values.front());
    return;
  }
  if (length_ != 0 && values.size() != length_) {
    throw UsageError(
        fmt::format("{} takes {} values, {} were given", name_, length_, values.size()));
  }
  std::visit(
      [](auto* value) {
        if constexpr (IsVector<std::remove_pointer_t<decltype(value)>>::value) value->clear();
      },
      target_);
  for (const std::string& text : values) set_one(text);
}

Json Parameter::value() const {
  return std::visit(
      [](auto* value) -> Json {
        if constexpr (std::is_same_v<std::remove_pointer_t<decltype(value)>,
                                     std::filesystem::path>) {
          return value->string();
        } else {
          return *value;
        }
      },
      target_);
}

Parameter& ParameterTable::find(const std::string& name) {
  std::vector<std::string> names;
  for (Parameter& parameter : parameters_) {
    if (parameter.name() == name) return parameter;
    names.push_back(parameter.name());
  }
  throw UsageError(fmt::format("unknown parameter '{}'{}", name, did_you_mean(name, names)));
}

void ParameterTable::assign(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos) {
    throw UsageError(fmt::format("'{}' is not of the form name=value", assignment));
  }
  Parameter& parameter = find(std::string(trim(assignment.substr(0, equals))));
  std::string_view text = trim(std::string_view(assignment).substr(equals + 1));
  if (!parameter.is_list()) {
    parameter.set({std::string(text)});
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
  parameter.set(values);
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

void ParameterTable::from_json(const Json& document, const std::string& source_name) {
  const auto visit = [&](const auto& self, const Json& node, const std::string& prefix) -> void {
    for (const auto& [key, value] : node.items()) {
      const std::string name = prefix.empty() ? key : prefix + "." + key;
      if (value.is_object()) {
        self(self, value, name);
        continue;
      }
      std::vector<std::string> texts;
      if (value.is_array()) {
        for (const Json& entry : value) texts.push_back(show(entry));
      } else {
        texts.push_back(show(value));
      }
      try {
        find(name).set(texts);
      } catch (const Error& error) {
        error.rethrow_in(source_name);
      }
    }
  };
  visit(visit, document, "");
}

}  // namespace epvs::core
