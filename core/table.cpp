#include "core/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"

namespace epvs::core {

namespace {

std::vector<std::string> split_csv(const std::string& line, const std::string& where) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      cells.back() += c;
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  if (quoted) throw InputError(fmt::format("{}: a quotation mark is not closed", where));
  return cells;
}

void check_header(const std::vector<std::string>& columns, const std::string& source) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].empty()) {
      throw InputError(fmt::format("{}: column {} has no name", source, i + 1));
    }
    if (std::find(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(i), columns[i]) !=
        columns.begin() + static_cast<std::ptrdiff_t>(i)) {
      throw InputError(fmt::format("{}: column '{}' appears twice", source, columns[i]));
    }
  }
}

}  // namespace

std::string cell_hint(const std::string& text) {
  const std::string small = lower(text);
  if (small == "na" || small == "nan" || small == "null" || small == "none" || text == ".") {
    return fmt::format(
        "a missing value is written n/a, not {} (in R: write.table(..., sep = \"\\t\", na = "
        "\"n/a\", quote = FALSE, row.names = FALSE))",
        text);
  }
  const bool decimal_comma = std::count(text.begin(), text.end(), ',') == 1;
  return decimal_comma ? "write decimals with a point, not a comma" : "";
}

Table::Table(std::vector<std::string> columns) : columns_(std::move(columns)) {
  check_header(columns_, source_);
}

Table Table::read(const std::filesystem::path& path) {
  return parse(read_text(path), path.string(),
               lower(path.extension().string()) == ".csv" ? ',' : '\t');
}

Table Table::parse(const std::string& text, const std::string& source, char separator) {
  Table table;
  table.source_ = source;
  std::string_view rest = text;
  if (rest.substr(0, 3) == "\xEF\xBB\xBF") rest.remove_prefix(3);
  if (rest.substr(0, 2) == "\xFF\xFE" || rest.substr(0, 2) == "\xFE\xFF") {
    throw InputError(fmt::format("{} is UTF-16 text, UTF-8 was expected", source),
                     "save the table again as UTF-8");
  }
  std::size_t line_number = 0;
  while (!rest.empty()) {
    ++line_number;
    const std::size_t end = rest.find('\n');
    std::string line(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() && rest.empty()) break;
    const std::string where = fmt::format("{} line {}", source, line_number);
    std::vector<std::string> cells =
        separator == ',' ? split_csv(line, where) : split(line, separator);
    for (std::string& cell : cells) cell = std::string(trim(cell));
    if (table.columns_.empty()) {
      if (separator == '\t' && cells.size() == 1 && line.find_first_of(",;") != std::string::npos) {
        throw InputError(
            fmt::format("{} looks separated by '{}', but a tab-separated table was expected",
                        source, line[line.find_first_of(",;")]),
            "convert it to tabs, or name a comma-separated file .csv");
      }
      if (separator == ',' && cells.size() == 1 && line.find(';') != std::string::npos) {
        throw InputError(
            fmt::format("{} looks separated by ';', but a .csv is read with commas", source),
            "save it with tabs as .tsv, or with commas and decimal points (in R: write.csv, not "
            "write.csv2)");
      }
      check_header(cells, source);
      table.columns_ = std::move(cells);
      continue;
    }
    if (cells.size() != table.columns_.size()) {
      throw InputError(fmt::format("{}: {} cells, but the header has {} columns", where,
                                   cells.size(), table.columns_.size()));
    }
    for (std::string& cell : cells)
      table.cells_.push_back(cell.empty() ? kMissing : std::move(cell));
    table.line_.push_back(line_number);
  }
  if (table.columns_.empty()) throw InputError(fmt::format("{} is empty", source));
  return table;
}

bool Table::has(const std::string& column) const {
  return std::find(columns_.begin(), columns_.end(), column) != columns_.end();
}

std::size_t Table::index(const std::string& column) const {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  if (found == columns_.end()) {
    throw InputError(
        fmt::format("{} has no column '{}'{}", source_, column, did_you_mean(column, columns_)));
  }
  return static_cast<std::size_t>(found - columns_.begin());
}

const std::string& Table::cell(std::size_t row, std::size_t column) const {
  return cells_.at(row * columns_.size() + column);
}

const std::string& Table::cell(std::size_t row, const std::string& column) const {
  return cell(row, index(column));
}

bool Table::missing(std::size_t row, std::size_t column) const {
  return cell(row, column) == kMissing;
}

double Table::number(std::size_t row, std::size_t column) const {
  const std::string& text = cell(row, column);
  if (text == kMissing) return std::numeric_limits<double>::quiet_NaN();
  const auto value = parse_number(text);
  if (value && std::isfinite(*value)) return *value;
  throw InputError(fmt::format("{}: column '{}' holds '{}', a finite number or n/a was expected",
                               where(row), columns_[column], text),
                   cell_hint(text));
}

double Table::number(std::size_t row, const std::string& column) const {
  return number(row, index(column));
}

long long Table::integer(std::size_t row, const std::string& column) const {
  const std::string& text = cell(row, column);
  const auto value = parse_integer(text);
  if (value) return *value;
  throw InputError(fmt::format("{}: column '{}' holds '{}', a whole number was expected",
                               where(row), column, text),
                   cell_hint(text));
}

std::string Table::where(std::size_t row) const {
  return fmt::format("{} line {}", source_, line_.at(row));
}

void Table::add_row(std::vector<std::string> cells) {
  EPVS_ASSERT(cells.size() == columns_.size());
  for (std::string& cell : cells) {
    if (cell.find_first_of("\t\n\r") != std::string::npos) {
      throw InputError(fmt::format("'{}' holds a tab or line break and cannot be a cell", cell));
    }
    cells_.push_back(cell.empty() ? kMissing : std::move(cell));
  }
  line_.push_back(line_.size() + 2);
}

std::string Table::to_text() const {
  std::string text = join(columns_, "\t") + "\n";
  for (std::size_t row = 0; row < rows(); ++row) {
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      text += cell(row, column);
      text += column + 1 == columns_.size() ? '\n' : '\t';
    }
  }
  return text;
}

void Table::write(const std::filesystem::path& path) const {
  write_text(path, to_text());
}

namespace {

using Lines = std::vector<std::vector<std::string>>;  ///< the header first

/// Characters of UTF-8 text.
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0U) != 0x80U; }));
}

std::size_t width_of(const Lines& lines, std::size_t column) {
  std::size_t width = 0;
  for (const auto& line : lines) width = std::max(width, characters(line[column]));
  return width;
}

std::size_t total_width(const Lines& lines) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < lines[0].size(); ++i) total += width_of(lines, i) + 2;
  return total - std::min<std::size_t>(total, 2);
}

/// Only names and notes may be cut, never a number or an interval.
bool is_text(const Lines& lines, std::size_t column) {
  return std::none_of(lines.begin() + 1, lines.end(), [&](const auto& line) {
    const std::string& cell = line[column];
    return !cell.empty() && std::string("-+.<0123456789").find(cell[0]) != std::string::npos;
  });
}

std::string cut(const std::string& text, std::size_t width) {
  if (characters(text) <= width) return text;
  std::string result;
  std::size_t count = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    if (begins && ++count == width) break;
    result += c;
  }
  return result + "~";
}

/// Cuts the widest texts, at least to `shortest` characters, until the lines fit.
void cut_texts(Lines& lines, std::size_t shortest) {
  while (total_width(lines) > Table::kConsoleWidth) {
    std::size_t widest = 0;
    std::size_t width = shortest;
    for (std::size_t i = 0; i < lines[0].size(); ++i) {
      if (width_of(lines, i) <= width || !is_text(lines, i)) continue;
      widest = i;
      width = width_of(lines, i);
    }
    if (width == shortest) return;
    for (auto& line : lines) line[widest] = cut(line[widest], width - 1);
  }
}

/// Leaves out columns before the last one until the lines fit; returns their names.
std::vector<std::string> leave_out_columns(Lines& lines) {
  std::vector<std::string> names;
  while (total_width(lines) > Table::kConsoleWidth && lines[0].size() > 2) {
    names.insert(names.begin(), lines[0][lines[0].size() - 2]);
    for (auto& line : lines) line.erase(line.end() - 2);
  }
  return names;
}

}  // namespace

std::string Table::to_aligned(int digits) const {
  Lines lines(rows() + 1);
  lines[0] = columns_;
  for (std::size_t row = 0; row < rows(); ++row) {
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      const std::string& text = cell(row, column);
      const auto value = parse_number(text);
      const bool fraction = value && std::isfinite(*value) && !parse_integer(text);
      lines[row + 1].push_back(fraction ? fmt::format("{:.{}g}", *value, digits) : text);
    }
  }
  constexpr std::size_t kShortestText = 24;
  cut_texts(lines, kShortestText);
  const std::vector<std::string> left_out = leave_out_columns(lines);
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < lines[0].size(); ++i) widths.push_back(width_of(lines, i));
  std::string result;
  for (const auto& line : lines) {
    std::string padded;
    for (std::size_t i = 0; i < line.size(); ++i) {
      padded += line[i] + std::string(widths[i] - characters(line[i]) + 2, ' ');
    }
    while (!padded.empty() && padded.back() == ' ') padded.pop_back();
    result += padded + "\n";
  }
  if (!left_out.empty()) {
    result += wrap("not shown: " + join(left_out, ", "), kConsoleWidth, 0) + "\n";
  }
  return result;
}

}  // namespace epvs::core
