#include "core/json.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/files.h"

namespace epvs::core {

Json read_json(const std::filesystem::path& path) {
  try {
    return Json::parse(read_text(path));
  } catch (const Json::parse_error& error) {
    throw InputError(fmt::format("{} is not valid JSON: {}", path.string(), error.what()));
  }
}

void write_json(const std::filesystem::path& path, const Json& document) {
  write_text(path, document.dump(2) + "\n");
}

}  // namespace epvs::core
