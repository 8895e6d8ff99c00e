// Tables of scores: one row per participant (and session, region, fold, repeat), one column per
// scorer, a rater or a method. Visual scores and predictions have the same form.
#pragma once

#include <compare>
#include <filesystem>
#include <string>
#include <vector>

#include "core/table.h"

namespace epvs::core {

/// Columns of a scores table that are keys; every other column is a scorer.
inline const std::vector<std::string> kKeyColumns = {"participant_id", "session_id", "region",
                                                     "fold", "repeat"};

/// Names one score. Empty text means that the table has no such column (or `n/a` in it).
struct ScoreKey {
  std::string participant_id;
  std::string session_id;
  std::string region;
  std::string fold;
  std::string repeat;
  auto operator<=>(const ScoreKey&) const = default;  // NOLINT(modernize-use-nullptr)
  /// "sub-01 ses-2 bg", for messages.
  std::string text() const;
};

struct ScoresTable {
  std::string source;
  std::vector<std::string> scorers;
  std::vector<ScoreKey> keys;
  /// values[row][scorer]; NaN where the table says n/a.
  std::vector<std::vector<double>> values;
  bool has_session = false;
  bool has_region = false;

  /// Reads all scorers, or only those named. Throws UsageError for an unknown scorer, InputError for
  /// a missing participant_id column, a key that appears twice (both lines named), text where a
  /// score should be.
  static ScoresTable read(const std::filesystem::path& path,
                          const std::vector<std::string>& only = {});
  static ScoresTable from_table(const Table& table, const std::vector<std::string>& only = {});
  std::size_t scorer_index(const std::string& scorer) const;
};

/// The regions that epvs makes itself; others come from a user's table of labels.
inline const std::vector<std::string> kRegions = {"bg", "cso", "hippocampi", "midbrain"};

/// For a region that `source` lacks, but for those in `there`: InputError when it is one of
/// kRegions, else UsageError, which names the nearest.
[[noreturn]] void throw_no_region(const std::string& source, const std::string& region,
                                  const std::vector<std::string>& there);

/// What to do when tables name participants differently: "write sub-01 in both ..." where a name of
/// `some` is one of `others` with or without the prefix sub-; otherwise empty.
std::string prefix_hint(const std::vector<std::string>& some,
                        const std::vector<std::string>& others);

}  // namespace epvs::core
