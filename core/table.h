// Strict tables: UTF-8 TSV with a header, BIDS style; missing is `n/a`; numbers round-trip.
//
// Read files may have a byte-order mark and Windows line ends. A name ending in .csv is read as
// comma-separated with double quotes; a comma-separated text in a .tsv is refused by name.
#pragma once

#include <concepts>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/text.h"

namespace epvs::core {

class Table {
 public:
  Table() = default;
  explicit Table(std::vector<std::string> columns);

  /// Throws InputError naming file, line and column for ragged rows, duplicate or empty column
  /// names, an empty file.
  static Table read(const std::filesystem::path& path);
  static Table parse(const std::string& text, const std::string& source, char separator = '\t');

  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return line_.size(); }
  const std::string& source() const { return source_; }

  bool has(const std::string& column) const;
  /// Throws InputError naming the nearest column.
  std::size_t index(const std::string& column) const;

  const std::string& cell(std::size_t row, std::size_t column) const;
  const std::string& cell(std::size_t row, const std::string& column) const;
  bool missing(std::size_t row, std::size_t column) const;
  /// NaN for `n/a`; InputError naming file, line, column and text when it is not a finite number.
  double number(std::size_t row, std::size_t column) const;
  double number(std::size_t row, const std::string& column) const;
  /// Throws InputError for `n/a` and for anything that is not a whole number.
  long long integer(std::size_t row, const std::string& column) const;
  /// "scores.tsv line 7" for messages.
  std::string where(std::size_t row) const;

  /// Appends; the number of cells must equal the number of columns. Empty text becomes `n/a`.
  void add_row(std::vector<std::string> cells);
  /// The same of texts and numbers; NaN becomes `n/a`.
  template <class... T>
  void add(const T&... cells) {
    add_row({cell_text(cells)...});
  }
  std::string to_text() const;
  /// Atomic.
  void write(const std::filesystem::path& path) const;
  /// Columns aligned for reading on a terminal; numbers are rounded to `digits` significant ones. No
  /// line is longer than kConsoleWidth: long texts are cut (~ says so), then columns are left out
  /// before the last one, and a line below names them.
  std::string to_aligned(int digits = 4) const;

  static constexpr std::size_t kConsoleWidth = 100;

 private:
  static std::string cell_text(const std::string& text) { return text; }
  static std::string cell_text(double number) { return format_number(number); }
  static std::string cell_text(std::integral auto number) { return std::to_string(number); }

  std::string source_ = "table";
  std::vector<std::string> columns_;
  std::vector<std::string> cells_;
  std::vector<std::size_t> line_;
};

inline constexpr const char* kMissing = "n/a";

/// What to do about a cell that should be a number: R's NA, a decimal comma; empty for others.
std::string cell_hint(const std::string& text);

}  // namespace epvs::core
