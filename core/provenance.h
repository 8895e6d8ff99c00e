// Where an output comes from: version, command line, time, inputs with their hashes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"

namespace epvs::core {

class Provenance {
 public:
  Provenance(const std::string& command, const std::vector<std::string>& arguments);

  /// Records path, size and SHA-256. Folders are recorded by path only.
  void add_input(const std::filesystem::path& path);
  /// A fact of this run: device, threads, library versions.
  void add(const std::string& key, const Json& value);
  /// {"version", "git_commit", "compiler", "command", "command_line", "started", "working_folder",
  ///  "inputs": [{"path", "bytes", "sha256"}], ...}
  Json to_json() const;
  /// Writes to_json() to `<output>.json` (or `<stem>.json` for `.tsv` and `.png`: BIDS sidecars).
  void write_beside(const std::filesystem::path& output) const;

 private:
  Json document_;
};

/// The sidecar name of an output: x.tsv -> x.json, x.nii.gz -> x.json, x.h5 -> x.h5.json.
std::filesystem::path sidecar_path(const std::filesystem::path& output);

/// UTC time as 2026-01-31T12:00:00Z.
std::string utc_now();

}  // namespace epvs::core
