#include "core/splits.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "core/error.h"
#include "core/table.h"
#include "core/text.h"

namespace epvs::core {

Splits::Splits(std::vector<SplitRow> rows, std::string source)
    : source_(std::move(source)), rows_(std::move(rows)) {
  std::map<std::tuple<int, int, std::string>, Split> seen;
  for (const SplitRow& row : rows_) {
    const auto [previous, inserted] =
        seen.emplace(std::tuple(row.repeat, row.fold, row.participant_id), row.split);
    if (!inserted) {
      throw InputError(fmt::format("{}: {} is in {} and in {} of repeat {}, fold {}", source_,
                                   row.participant_id, to_text(previous->second),
                                   to_text(row.split), row.repeat, row.fold),
                       "each participant belongs to one split only");
    }
  }
}

Splits Splits::read(const std::filesystem::path& path) {
  const Table table = Table::read(path);
  std::vector<SplitRow> rows;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string participant = table.cell(i, "participant_id");
    try {
      rows.push_back({static_cast<int>(table.integer(i, "repeat")),
                      static_cast<int>(table.integer(i, "fold")), participant,
                      from_text<Split>(table.cell(i, "split"), "split")});
    } catch (const UsageError& error) {
      throw InputError(fmt::format("{}: {}: {}", path.string(), participant, error.what()));
    }
  }
  return Splits(std::move(rows), path.string());
}

void Splits::write(const std::filesystem::path& path) const {
  Table table({"repeat", "fold", "participant_id", "split"});
  for (const SplitRow& row : rows_) {
    table.add_row({std::to_string(row.repeat), std::to_string(row.fold), row.participant_id,
                   to_text(row.split)});
  }
  table.write(path);
}

std::vector<std::pair<int, int>> Splits::pairs() const {
  std::vector<std::pair<int, int>> pairs;
  for (const SplitRow& row : rows_) {
    const std::pair pair(row.repeat, row.fold);
    if (std::find(pairs.begin(), pairs.end(), pair) == pairs.end()) pairs.push_back(pair);
  }
  return pairs;
}

std::vector<std::string> Splits::participants_or_none(int repeat, int fold, Split split) const {
  std::vector<std::string> participants;
  bool pair_exists = false;
  for (const SplitRow& row : rows_) {
    if (row.repeat != repeat || row.fold != fold) continue;
    pair_exists = true;
    if (row.split == split) participants.push_back(row.participant_id);
  }
  if (!pair_exists) {
    std::vector<std::string> known;
    for (const auto& [r, f] : pairs()) known.push_back(fmt::format("repeat {} fold {}", r, f));
    throw InputError(fmt::format("{} has no repeat {} fold {}", source_, repeat, fold),
                     "it has " + join(known, ", "));
  }
  return participants;
}

std::vector<std::string> Splits::participants(int repeat, int fold, Split split) const {
  std::vector<std::string> found = participants_or_none(repeat, fold, split);
  if (found.empty()) {
    throw InputError(fmt::format("{}: repeat {} fold {} has no {} participants", source_, repeat,
                                 fold, to_text(split)));
  }
  return found;
}

}  // namespace epvs::core
