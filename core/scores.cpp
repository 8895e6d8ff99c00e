#include "core/scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/text.h"

namespace epvs::core {

std::string ScoreKey::text() const {
  std::vector<std::string> parts;
  for (const std::string& part : {participant_id, session_id, region}) {
    if (!part.empty()) parts.push_back(part);
  }
  if (!fold.empty()) parts.push_back("fold " + fold);
  if (!repeat.empty()) parts.push_back("repeat " + repeat);
  return join(parts, " ");
}

ScoresTable ScoresTable::read(const std::filesystem::path& path,
                              const std::vector<std::string>& only) {
  return from_table(Table::read(path), only);
}

ScoresTable ScoresTable::from_table(const Table& table, const std::vector<std::string>& only) {
  ScoresTable scores;
  scores.source = table.source();
  table.index("participant_id");
  scores.has_session = table.has("session_id");
  scores.has_region = table.has("region");
  for (const std::string& name : only) {
    if (std::find(kKeyColumns.begin(), kKeyColumns.end(), name) != kKeyColumns.end()) {
      throw UsageError(fmt::format("'{}' is a key column, not a scorer", name));
    }
    if (!table.has(name)) {
      throw UsageError(fmt::format("{} has no scorer '{}'{}", table.source(), name,
                                   did_you_mean(name, table.columns())));
    }
    scores.scorers.push_back(name);
  }
  for (const std::string& column : table.columns()) {
    const bool is_key =
        std::find(kKeyColumns.begin(), kKeyColumns.end(), column) != kKeyColumns.end();
    if (only.empty() && !is_key) scores.scorers.push_back(column);
  }
  std::vector<std::size_t> columns;
  for (const std::string& scorer : scores.scorers) columns.push_back(table.index(scorer));
  std::map<ScoreKey, std::size_t> seen;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto key_cell = [&](const char* column) -> std::string {
      if (!table.has(column)) return {};
      const std::string& text = table.cell(row, column);
      return text == kMissing ? std::string() : text;
    };
    ScoreKey key{key_cell("participant_id"), key_cell("session_id"), key_cell("region"),
                 key_cell("fold"), key_cell("repeat")};
    if (key.participant_id.empty()) {
      throw InputError(fmt::format("{}: participant_id is missing", table.where(row)));
    }
    const auto [previous, inserted] = seen.emplace(key, row);
    if (!inserted) {
      throw InputError(fmt::format("{}: {} was scored already on {}", table.where(row), key.text(),
                                   table.where(previous->second)),
                       "keep one row per participant, session and region");
    }
    std::vector<double> values;
    for (const std::size_t column : columns) values.push_back(table.number(row, column));
    scores.keys.push_back(std::move(key));
    scores.values.push_back(std::move(values));
  }
  return scores;
}

std::size_t ScoresTable::scorer_index(const std::string& scorer) const {
  const auto found = std::find(scorers.begin(), scorers.end(), scorer);
  if (found == scorers.end()) {
    throw UsageError(
        fmt::format("{} has no scorer '{}'{}", source, scorer, did_you_mean(scorer, scorers)));
  }
  return static_cast<std::size_t>(found - scorers.begin());
}

void throw_no_region(const std::string& source, const std::string& region,
                     const std::vector<std::string>& there) {
  const std::string message = fmt::format("{} has no region '{}'", source, region);
  const std::string hint = "it has " + (there.empty() ? "none" : join(there, ", "));
  if (std::find(kRegions.begin(), kRegions.end(), region) != kRegions.end()) {
    throw InputError(message, hint);
  }
  throw UsageError(message + did_you_mean(region, there), hint);
}

std::string prefix_hint(const std::vector<std::string>& some,
                        const std::vector<std::string>& others) {
  const std::set<std::string> known(others.begin(), others.end());
  for (const std::string& name : some) {
    const bool prefixed = name.rfind("sub-", 0) == 0;
    const std::string other = prefixed ? name.substr(4) : "sub-" + name;
    if (known.count(name) == 0 && known.count(other) > 0) {
      return fmt::format(
          "one table says '{}', another '{}': write participant_id the same way in all, with sub- "
          "as BIDS does",
          name, other);
    }
  }
  return {};
}

}  // namespace epvs::core
