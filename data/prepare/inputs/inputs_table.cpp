#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/table.h"
#include "core/text.h"
#include "data/prepare/inputs/inputs_sources.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// One row after another, with the table at hand for messages.
class Rows {
 public:
  explicit Rows(const fs::path& path) : path_(path), table_(core::Table::read(path)) {
    const std::vector<std::string> known = {"participant_id", "session_id", "t2w", "pdw", "t1w",
                                            "labels"};
    for (const std::string& column : table_.columns()) {
      const auto near = core::nearest(column, known);
      if (!near || column == *near || table_.has(*near)) continue;
      throw core::InputError(
          fmt::format("{}: unknown column '{}' (did you mean '{}'?)", path.string(), column, *near),
          "columns of other names than the known ones are left alone: " + core::join(known, ", "));
    }
  }

  const core::Table& table() const { return table_; }
  std::string cell(std::size_t row, const std::string& column) const {
    if (!table_.has(column) || table_.missing(row, table_.index(column))) return {};
    return table_.cell(row, column);
  }
  /// A file; empty where the cell is.
  fs::path image(std::size_t row, const std::string& column) const {
    const std::string text = cell(row, column);
    if (text.empty()) return {};
    const fs::path found =
        fs::path(text).is_absolute() ? fs::path(text) : path_.parent_path() / text;
    if (!fs::exists(found)) {
      throw core::InputError(
          fmt::format("{}: {} '{}' does not exist", table_.where(row), column, found.string()),
          "paths in a table of scans are relative to the table's folder");
    }
    if (fs::is_directory(found)) {
      refuse_dicom(found);
      throw core::InputError(
          fmt::format("{}: {} '{}' is a folder", table_.where(row), column, found.string()),
          "give an image file");
    }
    return found;
  }

 private:
  fs::path path_;
  core::Table table_;
};

/// t2w, or pdw where that is what is asked for or all there is.
std::string scan_column(const Rows& rows, std::size_t row, ScanSuffix suffix) {
  if (suffix != ScanSuffix::kT2w && (suffix == ScanSuffix::kPdw || rows.cell(row, "t2w").empty())) {
    if (!rows.cell(row, "pdw").empty()) return "pdw";
  }
  return suffix == ScanSuffix::kPdw && rows.table().has("pdw") ? "pdw" : "t2w";
}

}  // namespace

std::vector<ScanInput> read_scan_table(const fs::path& path, const InputFilter& filter) {
  const Rows rows(path);
  const core::Table& table = rows.table();
  if (!table.has("pdw")) table.index("t2w");
  std::vector<ScanInput> inputs;
  std::vector<std::string> participants;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    ScanInput input;
    input.participant_id = table.cell(row, "participant_id");
    input.session_id = rows.cell(row, "session_id");
    const std::string column = scan_column(rows, row, filter.suffix);
    if (table.missing(row, table.index("participant_id")) || rows.cell(row, column).empty()) {
      throw core::InputError(
          fmt::format("{}: participant_id and {} must not be missing", table.where(row), column),
          "leave the row out, or give the scan in the column t2w or pdw (see --suffix)");
    }
    participants.push_back(input.participant_id);
    if (!is_asked(filter.participants, input.participant_id, "sub-")) continue;
    if (!is_asked(filter.sessions, input.session_id, "ses-")) continue;
    input.scan = rows.image(row, column);
    input.t1w = rows.image(row, "t1w");
    input.labels = rows.image(row, "labels");
    inputs.push_back(input);
  }
  require_participants(filter, participants, path);
  return inputs;
}

}  // namespace epvs::data
