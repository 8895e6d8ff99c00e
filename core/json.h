// JSON documents in files (nlohmann-json, key order kept), and TOML files as such documents.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace epvs::core {

using Json = nlohmann::ordered_json;

/// Throws InputError with line and column when the text is not JSON.
Json read_json(const std::filesystem::path& path);
/// A TOML file as a document; dates are not understood. Throws UsageError with the line.
Json read_toml(const std::filesystem::path& path);
/// Atomic, indented by two spaces, ends with a newline.
void write_json(const std::filesystem::path& path, const Json& document);

}  // namespace epvs::core
