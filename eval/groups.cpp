#include "eval/groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "core/error.h"
#include "core/text.h"

namespace epvs::eval {

namespace {

using core::InputError;
using core::UsageError;

const std::vector<std::string> kGroupKeys = {"session_id", "fold", "repeat"};

std::string key_value(const core::ScoreKey& key, const std::string& column) {
  const std::string& text = column == "session_id" ? key.session_id
                            : column == "fold"     ? key.fold
                                                   : key.repeat;
  return text.empty() ? core::kMissing : text;
}

/// The first unit that repeats a participant's session within the group, if any.
const core::ScoreKey* repeated(const Dataset& data, const std::vector<std::size_t>& units) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const std::size_t i : units) {
    const core::ScoreKey& key = data.units[i];
    if (!seen.emplace(key.participant_id, key.session_id).second) return &key;
  }
  return nullptr;
}

void require_single(const Dataset& data, const Group& group) {
  if (const core::ScoreKey* key = repeated(data, group.units)) {
    throw InputError(fmt::format("group '{}' holds {} more than once (several folds or repeats)",
                                 group.name, key->text()),
                     "choose one by --fold and --repeat, or give --group-by repeat (or fold)");
  }
}

}  // namespace

std::vector<std::string> unit_column(const Dataset& data, const core::Table* participants,
                                     const std::string& column) {
  std::vector<std::string> values;
  values.reserve(data.units.size());
  if (std::find(kGroupKeys.begin(), kGroupKeys.end(), column) != kGroupKeys.end()) {
    for (const core::ScoreKey& key : data.units) values.push_back(key_value(key, column));
    return values;
  }
  if (participants == nullptr) {
    throw UsageError(fmt::format("column '{}' needs a participants table", column),
                     "give it by --participants participants.tsv");
  }
  if (!participants->has(column)) {
    throw UsageError(fmt::format("{} has no column '{}'{}", participants->source(), column,
                                 core::did_you_mean(column, participants->columns())));
  }
  const std::size_t id_column = participants->index("participant_id");
  const std::size_t value_column = participants->index(column);
  std::map<std::string, std::size_t> row_of;
  std::vector<std::string> ids;
  for (std::size_t row = 0; row < participants->rows(); ++row) {
    const auto [previous, inserted] = row_of.emplace(participants->cell(row, id_column), row);
    if (!inserted) {
      throw InputError(
          fmt::format("{}: {} stands already on {}", participants->where(row),
                      participants->cell(row, id_column), participants->where(previous->second)),
          "keep one row per participant");
    }
    ids.push_back(previous->first);
  }
  for (const core::ScoreKey& key : data.units) {
    const auto found = row_of.find(key.participant_id);
    if (found == row_of.end()) {
      const std::string prefix = core::prefix_hint({key.participant_id}, ids);
      throw InputError(
          fmt::format("{} has no row for {}", participants->source(), key.participant_id),
          prefix.empty() ? "every scored participant needs a row" : prefix);
    }
    const std::string& value = participants->cell(found->second, value_column);
    if (value == "NA" || value == "NaN") {
      throw InputError(fmt::format("{}: column '{}' holds {}", participants->where(found->second),
                                   column, value),
                       core::cell_hint(value));
    }
    values.push_back(value);
  }
  return values;
}

std::vector<std::string> group_names(const Dataset& data, const core::Table* participants,
                                     const std::string& entry) {
  std::vector<std::string> names(data.units.size());
  for (const std::string& column : core::split(entry, ':')) {
    const std::vector<std::string> values = unit_column(data, participants, column);
    for (std::size_t i = 0; i < names.size(); ++i) {
      names[i] += (names[i].empty() ? "" : ";") + column + "=" + values[i];
    }
  }
  return names;
}

std::vector<Group> make_groups(const Dataset& data, const std::string& region,
                               const core::Table* participants, const GroupOptions& options) {
  const std::vector<std::size_t> units = data.units_of(region);
  std::vector<Group> groups;
  Group all{"all", "", units};
  const bool by_pair =
      std::any_of(options.group_by.begin(), options.group_by.end(), [](const std::string& entry) {
        const auto columns = core::split(entry, ':');
        return std::find(columns.begin(), columns.end(), "fold") != columns.end() ||
               std::find(columns.begin(), columns.end(), "repeat") != columns.end();
      });
  const bool skip_all = by_pair && repeated(data, units) != nullptr;
  if (!skip_all) {
    require_single(data, all);
    groups.push_back(all);
  }
  const std::vector<double>& reference = data.values.front();
  const auto add_subset = [&](const std::string& relation, const std::optional<double>& bound,
                              const auto& within) {
    if (!bound || skip_all) return;
    Group subset{"reference" + relation + core::format_number(*bound), "reference", {}};
    std::copy_if(units.begin(), units.end(), std::back_inserter(subset.units),
                 [&](std::size_t unit) { return within(reference[unit], *bound); });
    groups.push_back(std::move(subset));
  };
  add_subset("<=", options.reference_at_most, std::less_equal<>());
  add_subset(">=", options.reference_at_least, std::greater_equal<>());
  for (const std::string& entry : options.group_by) {
    const std::vector<std::string> names = group_names(data, participants, entry);
    std::map<std::string, std::vector<std::size_t>> by_name;
    for (const std::size_t i : units) by_name[names[i]].push_back(i);
    if (by_name.size() > kMaximumGroups) {
      throw UsageError(fmt::format("--group-by {}: {} different values, at most {} make groups",
                                   entry, by_name.size(), kMaximumGroups),
                       "group by a column of categories, such as scanner or sex");
    }
    for (auto& [name, members] : by_name) {
      Group group{name, entry, std::move(members)};
      require_single(data, group);
      groups.push_back(std::move(group));
    }
  }
  return groups;
}

}  // namespace epvs::eval
