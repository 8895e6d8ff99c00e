// The quality-control folder beside a cohort: qc.tsv, one picture per scan, a page that shows all.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/table.h"
#include "data/image/prepare_scan.h"

namespace epvs::data {

/// cohort.h5 -> cohort_qc beside it.
std::filesystem::path qc_folder(const std::filesystem::path& out);
/// "sub-01_qc.png".
std::string qc_picture_name(const std::string& key);

/// One line per scan and region. `flag` is "check" where there is a `reason`, else "ok";
/// `volume_robust_z` is 0.6745 (volume - median) / MAD within the region, n/a below 5 scans; beyond
/// +-3.5 (Iglewicz & Hoaglin 1993) it is a reason. `exclude` is "no": a person may write "yes" and
/// give the table to --exclude.
core::Table qc_table(const std::vector<QcRow>& rows);

/// index.html: the table and the pictures, flagged scans first; one file that links the pictures.
std::string qc_page(const std::string& title, const core::Table& table);

/// What a person excluded: (participant_id, session_id, region), empty text = all.
class Exclusions {
 public:
  Exclusions() = default;
  /// Reads a table with participant_id, exclude (yes or no) and optionally session_id, region,
  /// reason. Throws InputError for another word than yes and no.
  explicit Exclusions(const std::filesystem::path& path);
  bool excludes(const ScanInput& input, const std::string& region) const;
  bool empty() const { return keys_.empty(); }
  std::size_t size() const { return keys_.size(); }

 private:
  std::set<std::tuple<std::string, std::string, std::string>> keys_;
};

}  // namespace epvs::data
