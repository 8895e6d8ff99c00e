#include "core/provenance.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/version.h"

namespace epvs::core {

namespace fs = std::filesystem;

namespace {

std::string quoted(const std::string& argument) {
  const bool plain = !argument.empty() && argument.find_first_not_of(
                                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789_-./=:,+@%") == std::string::npos;
  if (plain) return argument;
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

Provenance::Provenance(const std::string& command, const std::vector<std::string>& arguments) {
  std::string line = "epvs " + command;
  for (const std::string& argument : arguments) line += " " + quoted(argument);
  document_["software"] = "epvs";
  document_["version"] = kVersion;
  document_["git_commit"] = kGitCommit;
  document_["compiler"] = kCompiler;
  document_["command"] = command;
  document_["command_line"] = std::move(line);
  document_["started"] = utc_now();
  document_["working_folder"] = fs::current_path().string();
  document_["inputs"] = Json::array();
}

void Provenance::add_input(const fs::path& path) {
  require_exists(path, "input");
  Json entry = {{"path", path.string()}};
  if (!fs::is_directory(path)) {
    entry["bytes"] = fs::file_size(path);
    entry["sha256"] = sha256_file(path);
  }
  document_["inputs"].push_back(std::move(entry));
}

void Provenance::add(const std::string& key, const Json& value) {
  document_[key] = value;
}

Json Provenance::to_json() const {
  return document_;
}

fs::path sidecar_path(const fs::path& output) {
  fs::path path = output;
  if (path.extension() == ".gz") path.replace_extension();
  for (const char* extension : {".tsv", ".png", ".nii"}) {
    if (path.extension() == extension) return path.replace_extension(".json");
  }
  return fs::path(output.string() + ".json");
}

void Provenance::write_beside(const fs::path& output) const {
  write_json(sidecar_path(output), document_);
}

}  // namespace epvs::core
