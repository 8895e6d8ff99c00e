// index.html of the quality-control folder: what was left out, what to look at, all pictures.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/table.h"

namespace epvs::data {

struct QcPage {
  std::string title;
  std::size_t scans_found = 0;                                ///< before exclusions and failures
  std::vector<std::pair<std::string, std::string>> failures;  ///< key of the scan, what was wrong
  /// Keys of the scans that have a picture beside the page.
  std::set<std::string> pictures;
};

/// One page without scripts; pictures are linked by relative names and loaded when scrolled to.
/// Counts, failures, exclusions by reason, a plot of volume and sharpness per region, the table
/// (flagged rows first), the pictures (flagged scans first, excluded last).
std::string qc_page(const QcPage& page, const core::Table& table);

}  // namespace epvs::data
