// What `epvs inspect` says of a file: a JSON document, and the same as text. Each room describes
// its own files.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/json.h"

namespace epvs::core {

struct Report {
  Json document;
  std::string text;
};

/// "name  value" lines, the names padded to one width.
class ReportLines {
 public:
  void add(const std::string& name, const std::string& value) { lines_.emplace_back(name, value); }
  /// Every field of an object.
  void add_all(const Json& object);
  std::string text() const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

/// "41,562,577"
std::string grouped_digits(std::int64_t n);

}  // namespace epvs::core
