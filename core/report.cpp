#include "core/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace epvs::core {

void ReportLines::add_all(const Json& object) {
  for (const auto& [key, value] : object.items()) {
    add(key, value.is_string() ? value.get<std::string>() : value.dump());
  }
}

std::string ReportLines::text() const {
  std::size_t width = 0;
  for (const auto& [name, value] : lines_) width = std::max(width, name.size());
  std::string out;
  for (const auto& [name, value] : lines_) out += fmt::format("{:<{}}  {}\n", name, width, value);
  return out;
}

std::string grouped_digits(std::int64_t n) {
  const std::string digits = std::to_string(n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

}  // namespace epvs::core
