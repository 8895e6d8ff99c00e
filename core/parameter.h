// One parameter: its name, its value, where the value came from and what it may be.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/enum_names.h"
#include "core/json.h"

namespace epvs::core {

/// Where a value came from, from the weakest to the strongest: a stronger origin wins, whatever is
/// read first; of two equal origins the later one.
enum class Origin {
  kDefault,      ///< what the program starts with
  kPreset,       ///< implied by a preset: --preset p1
  kLike,         ///< taken from weights or another file that the result must fit: --like
  kRecipe,       ///< written in a recipe
  kCommandLine,  ///< given as an option, or by --set
};

constexpr auto names_of(Origin) {
  return std::to_array<EnumName<Origin>>({{Origin::kDefault, "default"},
                                          {Origin::kPreset, "preset"},
                                          {Origin::kLike, "like"},
                                          {Origin::kRecipe, "recipe"},
                                          {Origin::kCommandLine, "command line"}});
}

/// An enum with names (core/enum_names.h), or a list of them, seen as text.
struct EnumTarget {
  template <NamedEnum E>
  explicit EnumTarget(E* value)
      : read([value] { return Json(to_text(*value)); }),
        write([value](const Json& text) {
          *value = from_text<E>(text.get_ref<const std::string&>(), "value");
        }),
        names(all_names<E>()) {}
  template <NamedEnum E>
  explicit EnumTarget(std::vector<E>* values)
      : read([values] {
          Json texts = Json::array();
          for (const E value : *values) texts.push_back(to_text(value));
          return texts;
        }),
        write([values](const Json& texts) {
          values->clear();
          for (const Json& text : texts) {
            values->push_back(from_text<E>(text.get_ref<const std::string&>(), "value"));
          }
        }),
        names(all_names<E>()),
        is_list(true) {}

  std::function<Json()> read;
  std::function<void(const Json&)> write;
  std::vector<std::string> names;
  bool is_list = false;
};

class Parameter {
 public:
  using Target =
      std::variant<bool*, int*, std::int64_t*, std::uint64_t*, double*, std::string*,
                   std::filesystem::path*, std::vector<double>*, std::vector<std::int64_t>*,
                   std::vector<std::string>*, std::vector<std::filesystem::path>*,
                   std::optional<int>*, std::optional<double>*, EnumTarget>;

  Parameter(std::string name, Target target, std::string help);

  /// Bounds of a number (of each number of a list), both included.
  Parameter& range(double minimum, double maximum = std::numeric_limits<double>::infinity());
  /// The only values of a text (of each of a list). An enum has them already.
  Parameter& choices(std::vector<std::string> allowed);
  /// Unit or kind of value, shown in help in capitals: "mm", "FILE", "DIR", "SCORER".
  Parameter& unit(std::string text);
  /// The list must have exactly this many entries, or none where none is the default.
  Parameter& length(std::size_t count);
  /// Command line only: an error when it is not given.
  Parameter& required();
  /// How it is written on the command line ("--sigma-voxels"), for messages about values from there.
  Parameter& option(std::string spelling);

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  const std::string& unit() const { return unit_; }
  const std::vector<std::string>& choices() const { return choices_; }
  bool is_required() const { return required_; }
  bool is_flag() const;
  bool is_list() const;
  /// Lists of files and assignments are given by repeating the option: a comma in one is its own.
  bool takes_whole_texts() const;
  /// What stands for the value in help: N (whole number), X (number), TEXT, FILE, MM, X,X,X, NAME,...
  std::string placeholder() const;
  /// "default 0.5, range 0..1, one of a|b"; empty when there is nothing to say.
  std::string constraint() const;

  /// Where the present value came from.
  Origin origin() const { return origin_; }
  /// Did the user state it, in a recipe or on the command line? Also true of a stated default.
  bool stated() const { return origin_ >= Origin::kRecipe; }

  /// Sets from text, one entry per list element, unless the present value has a stronger origin:
  /// then the text is only checked. Throws UsageError naming the parameter, the value and the
  /// violated constraint.
  void set(const std::vector<std::string>& values, Origin origin = Origin::kCommandLine);
  /// The text as a value of this parameter, checked but not set. Throws as set() does.
  Json parse(const std::vector<std::string>& values, Origin origin = Origin::kCommandLine) const;
  Json value() const;
  /// value() as set() takes it.
  std::vector<std::string> texts() const;
  Json default_value() const { return default_; }

 private:
  const std::string& spelled(Origin origin) const;
  void check_bounds(const std::string& shown, const std::string& text, double number) const;
  Json parse_one(const std::string& shown, const std::string& text) const;

  std::string name_;
  std::string help_;
  std::string unit_;
  std::string option_;
  Target target_;
  Json default_;
  Origin origin_ = Origin::kDefault;
  double minimum_ = -std::numeric_limits<double>::infinity();
  double maximum_ = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices_;
  std::size_t length_ = 0;
  bool required_ = false;
};

/// A value of a parameter as text, one entry per list element, none for an optional number that is
/// not set: what Parameter::set takes.
std::vector<std::string> texts_of(const Json& value);

}  // namespace epvs::core
