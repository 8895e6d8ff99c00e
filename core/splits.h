// splits.tsv: which participants train, validate and test, per repeat and fold. Written once, from
// a seed, by participant; every later command only reads it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace epvs::core {

struct SplitRow {
  int repeat = 0;
  int fold = 0;
  std::string participant_id;
  std::string split;  ///< train, validation or test
};

class Splits {
 public:
  explicit Splits(std::vector<SplitRow> rows, std::string source = "splits");

  /// Throws InputError for unknown split names, a participant twice in one repeat and fold (named,
  /// with both splits), missing columns.
  static Splits read(const std::filesystem::path& path);
  void write(const std::filesystem::path& path) const;

  const std::vector<SplitRow>& rows() const { return rows_; }
  /// Participants of one split, in file order. Throws InputError naming the repeats and folds that
  /// exist when this pair does not, or when the split is empty; UsageError for an unknown split.
  std::vector<std::string> participants(int repeat, int fold, const std::string& split) const;
  /// Like participants(), but an absent split gives an empty list (the pair must exist).
  std::vector<std::string> participants_or_none(int repeat, int fold,
                                                const std::string& split) const;
  /// The (repeat, fold) pairs in file order.
  std::vector<std::pair<int, int>> pairs() const;

 private:
  std::string source_;
  std::vector<SplitRow> rows_;
};

}  // namespace epvs::core
