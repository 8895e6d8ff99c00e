// One declaration of a parameter serves the command line, the recipe, --help and the docs.
//
//   void TrainOptions::declare(core::ParameterTable& table) {
//     table.add("train.epochs", &epochs, "passes over the training participants").range(1, 1e6);
//     table.add("train.loss", &loss, "training loss").choices({"mse", "mae"});
//   }
//
// The value that the pointer holds when it is declared is the default.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "core/json.h"

namespace epvs::core {

class Parameter {
 public:
  using Target = std::variant<bool*, int*, std::int64_t*, std::uint64_t*, double*, std::string*,
                              std::filesystem::path*, std::vector<double>*,
                              std::vector<std::int64_t>*, std::vector<std::string>*>;

  Parameter(std::string name, Target target, std::string help);

  /// Bounds of a number (of each number of a list), both included.
  Parameter& range(double minimum, double maximum = std::numeric_limits<double>::infinity());
  Parameter& choices(std::vector<std::string> allowed);
  /// Unit or placeholder shown in help: "mm", "FILE", "DIR".
  Parameter& unit(std::string text);
  /// The list must have exactly this many entries.
  Parameter& length(std::size_t count);
  /// Command line only: an error when it is not given.
  Parameter& required();

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  const std::string& unit() const { return unit_; }
  const std::vector<std::string>& choices() const { return choices_; }
  bool is_required() const { return required_; }
  bool is_flag() const;
  bool is_list() const;
  /// Lists of files and assignments are given by repeating the option: a comma in one is its own.
  bool takes_whole_texts() const;
  std::string type_name() const;
  /// "default 0.5, range 0..1, one of a|b"; empty when there is nothing to say.
  std::string constraint() const;

  /// Sets from text, one entry per list element. Throws UsageError naming the parameter, the
  /// value and the violated constraint.
  void set(const std::vector<std::string>& values);
  Json value() const;
  Json default_value() const { return default_; }

 private:
  void check(const std::string& text, double number) const;
  void set_one(const std::string& text);

  std::string name_;
  std::string help_;
  std::string unit_;
  Target target_;
  Json default_;
  double minimum_ = -std::numeric_limits<double>::infinity();
  double maximum_ = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices_;
  std::size_t length_ = 0;
  bool required_ = false;
};

/// The parameters of a recipe, by dotted name ("train.epochs").
class ParameterTable {
 public:
  template <class T>
  Parameter& add(std::string name, T* value, std::string help) {
    return parameters_.emplace_back(std::move(name), Parameter::Target(value), std::move(help));
  }

  const std::deque<Parameter>& parameters() const { return parameters_; }
  /// Throws UsageError naming the nearest known parameter.
  Parameter& find(const std::string& name);
  /// "train.epochs=50", "augment.flip_axes=[x,y]" or "augment.flip_axes=x,y".
  void assign(const std::string& assignment);

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
  void from_json(const Json& document, const std::string& source_name);

  static constexpr int kRecipeVersion = 1;

 private:
  std::deque<Parameter> parameters_;
};

}  // namespace epvs::core
