#include "eval/join.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/table.h"
#include "core/text.h"
#include "eval/statistics.h"

namespace epvs::eval {

namespace {

using core::InputError;
using core::ScoreKey;
using core::ScoresTable;
using core::UsageError;

template <class T>
bool contains(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// Counts lines without reading the file into memory.
void require_rows_within_limit(const std::filesystem::path& path) {
  core::require_exists(path, "scores table");
  std::ifstream file(path, std::ios::binary);
  const auto lines = static_cast<std::size_t>(
      std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
  if (lines > kMaximumRows + 1) {
    throw InputError(fmt::format("{} has {} rows, at most {} are read at once", path.string(),
                                 lines - 1, kMaximumRows),
                     "evaluate region by region, or keep only the rows to be evaluated");
  }
}

bool is_key(const std::string& column) {
  return contains(core::kKeyColumns, column);
}

/// The keys that a table may lack.
constexpr std::array<std::string ScoreKey::*, 4> kOptionalKeys = {
    &ScoreKey::session_id, &ScoreKey::region, &ScoreKey::fold, &ScoreKey::repeat};
constexpr std::size_t kSession = 0, kRegion = 1, kFold = 2, kRepeat = 3;

/// Which of them a table tells apart.
using KeyUse = std::bitset<kOptionalKeys.size()>;

KeyUse key_use(const std::vector<ScoreKey>& keys) {
  KeyUse use;
  for (const ScoreKey& key : keys) {
    for (std::size_t i = 0; i < use.size(); ++i)
      use[i] = use[i] || !(key.*kOptionalKeys[i]).empty();
  }
  return use;
}

ScoreKey projected(ScoreKey key, const KeyUse& use) {
  for (std::size_t i = 0; i < use.size(); ++i) {
    if (!use[i]) (key.*kOptionalKeys[i]).clear();
  }
  return key;
}

struct Source {
  const ScoresTable* table = nullptr;
  std::vector<std::size_t> rows;  ///< kept by the filters
  KeyUse use;
  std::map<ScoreKey, std::size_t> row_of;  ///< by key
};

bool fits(const std::string& key_text, const std::optional<int>& wanted) {
  return !wanted || key_text.empty() || core::parse_integer(key_text) == *wanted;
}

int number_or(const std::string& text, const std::optional<int>& option) {
  if (const auto number = core::parse_integer(text)) return static_cast<int>(*number);
  return option.value_or(0);
}

/// Filters by fold, repeat, region and split. Rows that name a fold or repeat are judged by the
/// split of that pair; rows that name none hold for every pair that others named, else for the pair
/// of the options.
class Filter {
 public:
  explicit Filter(const JoinOptions& options) : options_(options) {}

  bool keeps(const ScoreKey& key) {
    if (!fits(key.fold, options_.fold) || !fits(key.repeat, options_.repeat)) return false;
    if (!options_.regions.empty() && !key.region.empty() &&
        !contains(options_.regions, key.region)) {
      return false;
    }
    if (options_.splits == nullptr) return true;
    const bool names_pair = !key.fold.empty() || !key.repeat.empty();
    if (names_pair || members_.empty()) return members(key).count(key.participant_id) > 0;
    return std::any_of(members_.begin(), members_.end(), [&](const auto& entry) {
      return entry.second.count(key.participant_id) > 0;
    });
  }

  /// Every participant of the splits that were asked for.
  std::set<std::string> all_members() const {
    std::set<std::string> all;
    for (const auto& [pair, list] : members_) all.insert(list.begin(), list.end());
    return all;
  }

 private:
  const std::set<std::string>& members(const ScoreKey& key) {
    const std::pair pair(number_or(key.repeat, options_.repeat),
                         number_or(key.fold, options_.fold));
    auto found = members_.find(pair);
    if (found == members_.end()) {
      const auto list = options_.splits->participants(pair.first, pair.second, options_.split);
      found = members_.emplace(pair, std::set<std::string>(list.begin(), list.end())).first;
    }
    return found->second;
  }

  const JoinOptions& options_;
  std::map<std::pair<int, int>, std::set<std::string>> members_;
};

std::vector<std::string> wanted_scorers(const std::vector<ScoresTable>& tables,
                                        const JoinOptions& options) {
  std::vector<std::string> known;
  for (const ScoresTable& table : tables) {
    for (const std::string& scorer : table.scorers) {
      if (!contains(known, scorer)) known.push_back(scorer);
    }
  }
  const auto require = [&](const std::string& name, const char* option) {
    if (is_key(name)) {
      throw UsageError(
          fmt::format("{}: '{}' is a key column, not a scorer", option, name),
          "rename the score column: " + core::join(core::kKeyColumns, ", ") + " are keys");
    }
    if (!contains(known, name)) {
      throw UsageError(fmt::format("{}: no table has the scorer '{}'{}", option, name,
                                   core::did_you_mean(name, known)));
    }
  };
  std::vector<std::string> scorers;
  if (!options.reference.empty()) {
    require(options.reference, "--reference");
    scorers.push_back(options.reference);
  }
  for (const std::string& name : options.scorers) {
    require(name, "--scorers");
    if (!contains(scorers, name)) scorers.push_back(name);
  }
  if (options.scorers.empty()) {
    for (const std::string& name : known) {
      if (!contains(scorers, name)) scorers.push_back(name);
    }
  }
  if (options.needs_pair && scorers.size() < 2) {
    throw UsageError(
        fmt::format("the tables hold no scorer beside the reference '{}'", options.reference),
        "give the table of a second scorer by --scores");
  }
  return scorers;
}

/// --regions names regions of the tables, those without a region column apart.
void require_regions(const std::vector<ScoresTable>& tables,
                     const std::vector<std::string>& regions) {
  std::set<std::string> there;
  for (const ScoresTable& table : tables) {
    for (const ScoreKey& key : table.keys) there.insert(key.region);
  }
  there.erase("");
  for (const std::string& region : regions) {
    if (there.empty() || there.contains(region)) continue;
    core::throw_no_region("the scores", region, {there.begin(), there.end()});
  }
}

std::vector<Source> sources(const std::vector<ScoresTable>& tables, Filter& filter) {
  std::vector<Source> result(tables.size());
  // Tables that name folds or repeats first: they say which splits are asked for.
  for (const bool with_pairs : {true, false}) {
    for (std::size_t i = 0; i < tables.size(); ++i) {
      const ScoresTable& table = tables[i];
      const KeyUse use = key_use(table.keys);
      if ((use[kFold] || use[kRepeat]) != with_pairs) continue;
      Source& source = result[i];
      source.table = &table;
      std::vector<ScoreKey> kept;
      for (std::size_t row = 0; row < table.keys.size(); ++row) {
        if (!filter.keeps(table.keys[row])) continue;
        source.rows.push_back(row);
        source.row_of.emplace(table.keys[row], row);
        kept.push_back(table.keys[row]);
      }
      source.use = key_use(kept);
    }
  }
  return result;
}

/// The union of the keys of the tables that tell apart all that any table tells apart, then the
/// keys of the other tables that none of these has (they will be reported as missing).
std::vector<ScoreKey> all_units(const std::vector<Source>& list) {
  KeyUse all;
  for (const Source& source : list) all |= source.use;
  const auto covers_all = [&](const Source& source) { return source.use == all; };
  std::vector<ScoreKey> units;
  std::set<ScoreKey> seen;
  bool any_full = false;
  const auto add = [&](const ScoreKey& key) {
    if (seen.insert(key).second) units.push_back(key);
  };
  for (const Source& source : list) {
    if (!covers_all(source)) continue;
    any_full = true;
    for (const std::size_t row : source.rows) add(source.table->keys[row]);
  }
  if (!any_full) {
    std::vector<std::string> names;
    for (const Source& source : list) names.push_back(source.table->source);
    throw InputError(fmt::format("{} cannot be joined: each lacks a key column that another has",
                                 core::join(names, ", ")),
                     "give one of them all of the columns session_id, region, fold, repeat in use");
  }
  for (const Source& source : list) {
    if (covers_all(source)) continue;
    std::set<ScoreKey> projections;
    for (const ScoreKey& unit : units) projections.insert(projected(unit, source.use));
    for (const std::size_t row : source.rows) {
      if (projections.count(source.table->keys[row]) == 0) add(source.table->keys[row]);
    }
  }
  return units;
}

/// A table without sessions or regions holds for one session per participant, for one region.
void check_broadcast(const Source& source, const std::vector<ScoreKey>& units) {
  std::map<ScoreKey, const ScoreKey*> seen;
  KeyUse use = source.use;
  const KeyUse all = key_use(units);
  if (use[kSession] == all[kSession] && use[kRegion] == all[kRegion]) return;
  if (!use[kRegion] && all[kRegion]) {
    std::set<std::string> regions;
    for (const ScoreKey& unit : units) {
      if (!unit.region.empty()) regions.insert(unit.region);
    }
    if (regions.size() > 1) {
      throw InputError(
          fmt::format("{} has no region column, but the other tables have the regions {}",
                      source.table->source, core::join({regions.begin(), regions.end()}, ", ")),
          "add a region column, or choose one region by --regions");
    }
  }
  use.set(kFold).set(kRepeat).set(kRegion);
  for (const ScoreKey& unit : units) {
    const auto [previous, inserted] = seen.emplace(projected(unit, use), &unit);
    if (!inserted && previous->second->session_id != unit.session_id) {
      throw InputError(
          fmt::format("{} has no sessions, but {} has the sessions {} and {}", source.table->source,
                      unit.participant_id, previous->second->session_id, unit.session_id),
          "add a session_id column: a score cannot hold for two scans");
    }
  }
}

void fill(Dataset& data, Source& source) {
  for (std::size_t column = 0; column < source.table->scorers.size(); ++column) {
    const std::string& name = source.table->scorers[column];
    if (!contains(data.scorers, name)) continue;
    std::vector<double>& values = data.values[data.scorer(name)];
    for (std::size_t i = 0; i < data.units.size(); ++i) {
      const auto found = source.row_of.find(projected(data.units[i], source.use));
      if (found == source.row_of.end()) continue;
      const double value = source.table->values[found->second][column];
      if (std::isnan(value)) continue;
      if (!std::isnan(values[i])) {
        throw InputError(fmt::format("{}: {} was scored by '{}' in another table already",
                                     source.table->source, data.units[i].text(), name),
                         "a scorer may stand in several tables, but scores a unit once");
      }
      values[i] = value;
    }
  }
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 10;
  std::vector<std::string> shown(
      names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, names.size())));
  std::string text = core::join(shown, ", ");
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  return text;
}

void require_complete(const Dataset& data) {
  std::vector<std::string> complaints;
  for (std::size_t s = 0; s < data.scorers.size(); ++s) {
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < data.units.size(); ++i) {
      if (std::isnan(data.values[s][i])) missing.push_back(data.units[i].text());
    }
    if (!missing.empty()) {
      complaints.push_back(fmt::format("'{}' lacks {} of {}: {}", data.scorers[s], missing.size(),
                                       data.units.size(), listed(missing)));
    }
  }
  if (!data.unscored_participants.empty()) {
    complaints.push_back(fmt::format("{} participants of the split have no scores at all: {}",
                                     data.unscored_participants.size(),
                                     listed(data.unscored_participants)));
  }
  if (!complaints.empty()) {
    throw InputError("scores are missing: " + core::join(complaints, "; "),
                     "choose participants by --splits, columns by --scorers, regions by --regions; "
                     "or give --allow-missing to evaluate those that are there");
  }
}

std::vector<std::string> participants_of(const ScoresTable& table) {
  std::vector<std::string> names;
  for (const ScoreKey& key : table.keys) names.push_back(key.participant_id);
  return names;
}

/// Tables, and splits, that name the same participant sub-01 and 01 never fit together.
void require_equal_names(const std::vector<ScoresTable>& tables,
                         const std::set<std::string>& members) {
  const std::vector<std::string> first = participants_of(tables.front());
  const auto require = [&](const std::string& source, const std::vector<std::string>& others) {
    const std::string hint = core::prefix_hint(first, others);
    if (hint.empty()) return;
    throw InputError(
        fmt::format("{} and {} name participants differently", tables.front().source, source),
        hint);
  };
  for (std::size_t i = 1; i < tables.size(); ++i) {
    require(tables[i].source, participants_of(tables[i]));
  }
  require("the splits", {members.begin(), members.end()});
}

}  // namespace

std::size_t Dataset::scorer(const std::string& name) const {
  const auto found = std::find(scorers.begin(), scorers.end(), name);
  EPVS_ASSERT(found != scorers.end());
  return static_cast<std::size_t>(found - scorers.begin());
}

std::vector<std::size_t> Dataset::units_of(const std::string& region) const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (units[i].region == region) found.push_back(i);
  }
  return found;
}

std::vector<std::string> Dataset::regions() const {
  std::vector<std::string> names;
  for (const ScoreKey& unit : units) {
    if (!contains(names, unit.region)) names.push_back(unit.region);
  }
  return names;
}

ScoresTable read_scores(const std::filesystem::path& path, const std::vector<std::string>& wanted) {
  require_rows_within_limit(path);
  const core::Table table = core::Table::read(path);
  std::vector<std::string> columns;
  for (const std::string& column : table.columns()) {
    const bool spread = column.size() > 3 && column.ends_with("_sd") &&
                        table.has(column.substr(0, column.size() - 3));
    if (is_key(column) || spread) continue;
    if (wanted.empty() || contains(wanted, column)) columns.push_back(column);
  }
  if (columns.empty()) {
    throw InputError(fmt::format("{} has none of the scorers asked for{}", path.string(),
                                 wanted.empty() ? "" : " (" + core::join(wanted, ", ") + ")"),
                     "its columns are " + core::join(table.columns(), ", "));
  }
  return ScoresTable::from_table(table, columns);
}

Dataset join(const std::vector<ScoresTable>& tables, const JoinOptions& options) {
  Dataset data;
  data.scorers = wanted_scorers(tables, options);
  require_regions(tables, options.regions);
  Filter filter(options);
  std::vector<Source> list = sources(tables, filter);
  require_equal_names(tables, filter.all_members());
  data.units = all_units(list);
  if (data.units.empty()) {
    throw InputError(
        "no row of the scores tables is left after choosing fold, repeat, regions and "
        "split");
  }
  data.values.assign(data.scorers.size(), std::vector<double>(data.units.size(), kNaN));
  for (Source& source : list) {
    check_broadcast(source, data.units);
    fill(data, source);
  }
  std::set<std::string> scored;
  for (const ScoreKey& unit : data.units) scored.insert(unit.participant_id);
  for (const std::string& member : filter.all_members()) {
    if (scored.count(member) == 0) data.unscored_participants.push_back(member);
  }
  if (!options.allow_missing) require_complete(data);
  return data;
}

}  // namespace epvs::eval
