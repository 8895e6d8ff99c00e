// What a person excluded after looking at the pictures: part of the result, with its reason.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/table.h"
#include "data/prepare/inputs/inputs.h"

namespace epvs::data {

/// One region of one scan that was left out.
struct ExcludedScan {
  std::string participant_id;
  std::string session_id;
  std::string region;
  std::string reason;

  core::Json to_json() const;
};

/// The rows of a table that say `exclude` = yes. An empty session_id or region means all of them.
class Exclusions {
 public:
  Exclusions() = default;
  /// Reads a table with participant_id, exclude (yes or no) and optionally session_id, region,
  /// exclude_reason (else reason). Throws InputError for another word than yes and no.
  explicit Exclusions(const std::filesystem::path& path);

  bool excludes(const ScanInput& input, const std::string& region) const;
  /// With its reason; nothing when the scan is not excluded.
  std::optional<ExcludedScan> find(const ScanInput& input, const std::string& region) const;
  /// What the table said about an excluded row in this column; "n/a" when it has no such column.
  std::string cell(const ExcludedScan& scan, const std::string& column) const;
  /// Rows that fit none of the scans: "sub-99 bg". A wrong name would otherwise exclude nobody
  /// without a word.
  std::vector<std::string> unknown(const std::vector<ScanInput>& inputs,
                                   const std::vector<std::string>& regions) const;

  bool empty() const { return rows_.empty(); }
  std::size_t size() const { return rows_.size(); }

 private:
  struct Row {
    std::size_t line;  ///< of the table
    ExcludedScan scan;
  };
  static bool fits(const Row& row, const std::string& participant, const std::string& session,
                   const std::string& region);

  core::Table table_;
  std::vector<Row> rows_;
};

}  // namespace epvs::data
