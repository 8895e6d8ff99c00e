#include "data/prepare/label_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/text.h"

namespace epvs::data {

namespace {

/// SynthSeg 2's structures; those of its parcellation are FreeSurfer's aparc.
const std::set<std::int64_t> kSynthSeg = {2,  3,  4,  5,  7,  8,  10, 11, 12, 13, 14,
                                          15, 16, 17, 18, 24, 26, 28, 41, 42, 43, 44,
                                          46, 47, 49, 50, 51, 52, 53, 54, 58, 60};

/// Beside those, what aseg has below 100: lesions 25/57, undetermined 29/61, vessels 30/62, choroid
/// plexus 31/63, 5th ventricle 72, hypointensities 77-82, optic chiasm 85.
const std::set<std::int64_t> kMoreOfAseg = {25, 29, 30, 31, 57, 61, 62, 63,
                                            72, 77, 78, 79, 80, 81, 82, 85};

/// FIRST's structures.
const std::set<std::int64_t> kFirst = {10, 11, 12, 13, 16, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58};

constexpr std::size_t kShown = 8;

bool is_parcel(std::int64_t number) {
  return (number >= 1000 && number <= 1035) || (number >= 2000 && number <= 2035);
}

bool is_foreign(std::int64_t number, const std::string& lut) {
  if (lut == "fast") return number > 3;
  if (lut == "harvardoxford") return number > 21;
  if (lut == "first") return !kFirst.contains(number);
  if (lut == "synthseg") return !kSynthSeg.contains(number) && !is_parcel(number);
  if (lut != "freesurfer" && lut != "atlas") return false;
  if (number >= 100 && number < 15000) return false;
  return !kSynthSeg.contains(number) && !kMoreOfAseg.contains(number);
}

}  // namespace

std::vector<std::int64_t> foreign_numbers(const Volume<std::int32_t>& labels,
                                          const std::string& lut) {
  std::set<std::int64_t> numbers;
  std::int32_t last = 0;
  for (const std::int32_t label : labels.voxels) {
    if (label != last) numbers.insert(label);
    last = label;
  }
  numbers.erase(0);
  std::vector<std::int64_t> foreign;
  std::copy_if(numbers.begin(), numbers.end(), std::back_inserter(foreign),
               [&](std::int64_t number) { return is_foreign(number, lut); });
  return foreign;
}

std::string foreign_numbers_text(const Volume<std::int32_t>& labels, const std::string& lut) {
  const std::vector<std::int64_t> foreign = foreign_numbers(labels, lut);
  if (foreign.empty()) return {};
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(kShown, foreign.size()); ++i) {
    shown.push_back(std::to_string(foreign[i]));
  }
  if (foreign.size() > kShown) shown.push_back("...");
  return fmt::format("{} label number{} that '{}' does not have: {}", foreign.size(),
                     foreign.size() == 1 ? "" : "s", lut, core::join(shown, ", "));
}

}  // namespace epvs::data
