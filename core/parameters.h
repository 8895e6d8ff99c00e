// One declaration of a parameter serves the command line, the recipe, --help and the docs.
//
//   void TrainOptions::declare(core::ParameterTable& table) {
//     table.add("train.epochs", &epochs, "passes over the training participants").range(1, 1e6);
//     table.add("train.loss", &loss, "training loss");  // an enum: its names are the choices
//   }
//
// The value that the target holds when it is declared is the default. Every parameter remembers
// where its present value came from (core/parameter.h), and set() alone decides who wins: default <
// preset < --like < recipe < command line. So a preset, a recipe and options may be read in any
// order, and whoever uses the values need not know who gave them.
#pragma once

#include <deque>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/parameter.h"

namespace epvs::core {

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
