// splits.tsv: which participants train, validate and test, per repeat and fold. Written once, from
// a seed, by participant; every later command only reads it.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/enum_names.h"

namespace epvs::core {

enum class Split { kTrain, kValidation, kTest };
constexpr auto names_of(Split) {
  return std::to_array<EnumName<Split>>(
      {{Split::kTrain, "train"}, {Split::kValidation, "validation"}, {Split::kTest, "test"}});
}

struct SplitRow {
  int repeat = 0;
  int fold = 0;
  std::string participant_id;
  Split split = Split::kTrain;
};

class Splits {
 public:
  /// Throws InputError for a participant twice in one repeat and fold (named, with both splits).
  explicit Splits(std::vector<SplitRow> rows, std::string source = "splits");

  /// Throws InputError for unknown split names, missing columns and as the constructor does.
  static Splits read(const std::filesystem::path& path);
  void write(const std::filesystem::path& path) const;

  const std::vector<SplitRow>& rows() const { return rows_; }
  /// Participants of one split, in file order. Throws InputError naming the repeats and folds that
  /// exist when this pair does not, or the split is empty.
  std::vector<std::string> participants(int repeat, int fold, Split split) const;
  /// Like participants(), but an absent split gives an empty list (the pair must exist).
  std::vector<std::string> participants_or_none(int repeat, int fold, Split split) const;
  /// The (repeat, fold) pairs in file order.
  std::vector<std::pair<int, int>> pairs() const;

 private:
  std::string source_;
  std::vector<SplitRow> rows_;
};

}  // namespace epvs::core
