// One declaration of a parameter serves the command line, the recipe, --help and the docs.
//
//   void TrainOptions::declare(core::ParameterTable& table) {
//     table.add("train.epochs", &epochs, "passes over the training participants").range(1, 1e6);
//     table.add("train.loss", &loss, "training loss");  // an enum: its names are the choices
//   }
//
// The value that the target holds when it is declared is the default. Every parameter remembers
// where its present value came from, and set() alone decides who wins: default <
// preset < --like < recipe < command line. So a preset, a recipe and options may be read in any
// order, and whoever uses the values need not know who gave them.
#pragma once

#include <cstdint>
#include <deque>
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

/// `value` points to one of the types of Parameter::Target, to an enum with names or to a vector
/// of such enums.
template <class T>
Parameter::Target make_target(T* value) {
  if constexpr (std::is_constructible_v<EnumTarget, T*>) {
    return EnumTarget(value);
  } else {
    return value;
  }
}

/// The parameters of a recipe or of a command line, by dotted name ("train.epochs").
class ParameterTable {
 public:
  template <class T>
  Parameter& add(std::string name, T* value, std::string help) {
    return parameters_.emplace_back(std::move(name), make_target(value), std::move(help));
  }

  const std::deque<Parameter>& parameters() const { return parameters_; }
  /// Throws UsageError naming the nearest known parameter.
  Parameter& find(const std::string& name);
  const Parameter& find(const std::string& name) const;
  /// "train.epochs=50", "augment.flip_axes=[x,y]" or "augment.flip_axes=x,y".
  void assign(const std::string& assignment, Origin origin = Origin::kCommandLine);

  /// Reads a TOML recipe. Unknown keys are errors that name the nearest known key; a
  /// `recipe_version` above kRecipeVersion is refused. `ignored_tables` are left to others.
  void read_recipe(const std::filesystem::path& path,
                   const std::vector<std::string>& ignored_tables = {});
  void read_recipe_text(const std::string& text, const std::string& source_name,
                        const std::vector<std::string>& ignored_tables = {});
  /// All parameters with their present values as TOML.
  std::string to_recipe() const;

  /// Nested by the dots of the names: {"train": {"epochs": 50}}.
  Json to_json() const;
  /// Sets from what to_json() wrote; keys that the table does not know are errors.
  void from_json(const Json& document, const std::string& source_name,
                 Origin origin = Origin::kRecipe);
  /// What a preset implies, as to_json() writes it; never overrides what the user stated.
  void apply_preset(const Json& values, const std::string& source_name);
  /// The check of --like: everything in `expected` (as to_json() writes it) must hold in the end.
  /// Throws UsageError naming every parameter that the user stated otherwise, with both values, and
  /// `source_name`; sets the others.
  void require_equal(const Json& expected, const std::string& source_name);
  /// Checks range and choices of the values that the targets hold now. Throws UsageError.
  void validate() const;

  static constexpr int kRecipeVersion = 1;

 private:
  std::deque<Parameter> parameters_;
};

}  // namespace epvs::core
