#include "data/implant/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace epvs::data {

namespace {

void check_range(const char* name, const std::vector<double>& range) {
  if (range[0] > range[1]) {
    throw core::UsageError(
        fmt::format("--{} = {},{}: the smallest comes first", name, range[0], range[1]),
        fmt::format("for example --{} {},{}", name, range[1], range[0]));
  }
}

}  // namespace

void ImplantOptions::declare(core::ParameterTable& table) {
  table
      .add("implant.counts", &counts,
           "EPVS added to each region; every number gives one scan, and holds the EPVS of the "
           "smaller ones")
      .range(0, 200);
  table
      .add("implant.length_mm", &length_mm,
           "shortest and longest EPVS, at least twice as long as wide")
      .range(2, 30)
      .length(2)
      .unit("mm");
  table
      .add("implant.diameter_mm", &diameter_mm,
           "thinnest and thickest EPVS, in the middle of its length; log-normal between the two")
      .range(0.3, 5)
      .length(2)
      .unit("mm");
  table
      .add("implant.contrast", &contrast,
           "what an EPVS adds to its tissue, lowest and highest: part of the way from the scan's "
           "white matter to its CSF")
      .range(0.01, 1)
      .length(2);
  table
      .add("implant.gap_mm", &gap_mm,
           "smallest distance between two EPVS; the distance of two slices counts as this much at "
           "most")
      .range(0, 20)
      .unit("mm");
}

void ImplantOptions::validate() const {
  if (counts.empty()) {
    throw core::UsageError("--counts is empty", "for example --counts 0,5,10,15");
  }
  for (std::size_t i = 1; i < counts.size(); ++i) {
    if (counts[i] > counts[i - 1]) continue;
    throw core::UsageError(
        fmt::format("--counts has {} after {}: each must be larger than the one before", counts[i],
                    counts[i - 1]),
        "for example --counts 0,5,10,15");
  }
  check_range("length-mm", length_mm);
  check_range("diameter-mm", diameter_mm);
  check_range("contrast", contrast);
  if (length_mm[1] < 2 * diameter_mm[1]) {
    throw core::UsageError(
        fmt::format("--length-mm ends at {} and --diameter-mm at {}: an EPVS is at least twice as "
                    "long as wide",
                    length_mm[1], diameter_mm[1]),
        "give longer or thinner ones");
  }
}

}  // namespace epvs::data
