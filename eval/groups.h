// Groups of units: all, by columns of participants.tsv or keys, crossed columns, subsets by score.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/table.h"
#include "eval/join.h"

namespace epvs::eval {

struct GroupOptions {
  /// Each entry is a column of participants.tsv or a key (session_id, fold, repeat); several
  /// columns joined by ':' are crossed ("scanner:sex").
  std::vector<std::string> group_by;
  /// Adds the subset of units whose reference score is at most / at least this (P1 section 3.4).
  std::optional<double> reference_at_most;
  std::optional<double> reference_at_least;
};

struct Group {
  std::string name;    ///< "all", "scanner=philips-3t", "scanner=a;sex=m", "reference<=20"
  std::string column;  ///< what it was made by: "", "scanner", "scanner:sex", "reference"
  std::vector<std::size_t> units;
};

/// A column with more distinct values than this is refused: it is a measurement, not a group.
inline constexpr std::size_t kMaximumGroups = 100;

/// The groups of the units of one region, in a stable order: all, the subsets, then by column and
/// value. `participants` may be null when no column of it is named. A group that would hold a
/// participant's session twice (several folds or repeats) is an InputError; with group_by fold or
/// repeat the group "all" is left out instead.
std::vector<Group> make_groups(const Dataset& data, const std::string& region,
                               const core::Table* participants, const GroupOptions& options);

/// The group of every unit by one entry of group_by: "scanner=a;sex=m" by "scanner:sex".
std::vector<std::string> group_names(const Dataset& data, const core::Table* participants,
                                     const std::string& entry);

/// The value of a participants.tsv column (or key) for every unit; "n/a" where it is missing.
/// Throws UsageError for an unknown column, InputError for a participant without a row.
std::vector<std::string> unit_column(const Dataset& data, const core::Table* participants,
                                     const std::string& column);

}  // namespace epvs::eval
