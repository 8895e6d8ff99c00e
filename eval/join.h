// Scores tables joined on their keys into one table of scored units.
//
// Strict by design: a participant that one scorer lacks is an error naming it, never a silent loss,
// unless --allow-missing asks for it, and then n is reported beside every number.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/scores.h"
#include "core/splits.h"

namespace epvs::eval {

/// A table beyond this many rows is refused (it would be held in memory).
inline constexpr std::size_t kMaximumRows = 1'000'000;

struct JoinOptions {
  std::string reference;  ///< empty: none, as for associations alone
  /// Scorers to keep beside the reference; empty takes every score column of the tables.
  std::vector<std::string> scorers;
  /// Regions to keep; empty keeps all.
  std::vector<std::string> regions;
  std::optional<int> fold;
  std::optional<int> repeat;
  /// Participants of `split` of each (repeat, fold); tables without fold and repeat use 0 or the
  /// options above.
  const core::Splits* splits = nullptr;
  core::Split split = core::Split::kTest;
  bool allow_missing = false;
  /// Two scorers are needed, to compare them. Associations, means and repeat scans need one.
  bool needs_pair = true;
};

/// The joined table: unit i has score values[s][i] by scorer s, NaN where missing.
struct Dataset {
  std::vector<core::ScoreKey> units;
  std::vector<std::string> scorers;  ///< the reference first, if there is one
  std::vector<std::vector<double>> values;
  /// Participants of the split that no table scores at all (only with allow_missing).
  std::vector<std::string> unscored_participants;

  std::size_t scorer(const std::string& name) const;
  std::vector<std::size_t> units_of(const std::string& region) const;
  /// Regions in order of first appearance; one empty name when no table has regions.
  std::vector<std::string> regions() const;
};

/// Reads a scores table: the key columns and all score columns, or those of `wanted` that it has.
/// `<scorer>_sd` columns are spreads, not scorers. Throws InputError for more than kMaximumRows
/// rows.
core::ScoresTable read_scores(const std::filesystem::path& path,
                              const std::vector<std::string>& wanted);

/// Joins on participant, session, region, fold and repeat. A table without fold and repeat holds
/// for all; a table without sessions (regions) joins only where each participant has one session
/// (the other tables have one region). The same scorer may stand in several tables (folds) with
/// different keys. Throws UsageError for unknown scorers and InputError for everything that does
/// not fit.
Dataset join(const std::vector<core::ScoresTable>& tables, const JoinOptions& options);

}  // namespace epvs::eval
