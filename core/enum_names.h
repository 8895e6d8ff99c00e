// Enums with names: one small table per enum serves parsing, printing, the choices of an option
// and its help. The table stands beside the enum and is found by its type:
//
//   enum class Loss { kMse, kMae };
//   constexpr auto names_of(Loss) {
//     return std::to_array<core::EnumName<Loss>>({{Loss::kMse, "mse"}, {Loss::kMae, "mae"}});
//   }
#pragma once

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/text.h"

namespace epvs::core {

template <class E>
struct EnumName {
  E value;
  std::string_view text;
};

/// An enum with a names_of table.
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E value) {
  names_of(value);
};

/// The name of `value`; a value without a name is a bug in epvs.
template <NamedEnum E>
std::string to_text(E value) {
  for (const EnumName<E>& entry : names_of(value)) {
    if (entry.value == value) return std::string(entry.text);
  }
  internal_error(__FILE__, __LINE__, "the enum has a name for every value");
}

/// All names, in the order of the table.
template <NamedEnum E>
std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const EnumName<E>& entry : names_of(E{})) names.emplace_back(entry.text);
  return names;
}

/// "train.loss = 'msa' is not one of mse, mae (did you mean 'mse'?)".
[[noreturn]] inline void throw_not_a_choice(const std::string& what, std::string_view text,
                                            const std::vector<std::string>& names) {
  const bool near = nearest(text, names).has_value();
  throw UsageError(fmt::format("{} = '{}' is not one of {}{}", what, text, join(names, ", "),
                               near ? did_you_mean(text, names) : std::string()));
}

/// The value whose name is `text`. Throws UsageError naming `what` and the choices.
template <NamedEnum E>
E from_text(std::string_view text, const std::string& what) {
  for (const EnumName<E>& entry : names_of(E{})) {
    if (entry.text == text) return entry.value;
  }
  throw_not_a_choice(what, text, all_names<E>());
}

}  // namespace epvs::core
