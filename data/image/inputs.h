// Which scans there are: a BIDS folder or a table of paths.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace epvs::data {

/// One scan to prepare, with what belongs to it.
struct ScanInput {
  std::string participant_id;    ///< BIDS: with "sub-"; a table: as written
  std::string session_id;        ///< BIDS: with "ses-"; empty when there is no session
  std::filesystem::path scan;    ///< the T2w or PDw scan in which EPVS are counted
  std::filesystem::path t1w;     ///< empty when there is none
  std::filesystem::path labels;  ///< from a table; empty when it has no such column or cell

  /// "sub-01" or "sub-01_ses-2": names files and messages.
  std::string key() const;
};

struct InputFilter {
  std::vector<std::string> participants;  ///< with or without "sub-"; empty: all
  std::vector<std::string> sessions;      ///< with or without "ses-"; empty: all
  std::string run;                        ///< "1", "02": of several runs; empty: must be unique
  std::string suffix = "auto";            ///< T2w, PDw or auto: T2w where there is one, else PDw
};

/// A folder is read as BIDS (sub-*/[ses-*/]anat/*_T2w.nii[.gz] or .mgz), a file as a table with the
/// columns participant_id, t2w and optionally session_id, t1w, labels; paths in a table are
/// relative to its folder. Sorted by participant and session.
///
/// Throws InputError: no scan at all, several scans for one participant and session (naming both
/// files), a table row twice, a file that does not exist. Throws UsageError for a participant or
/// session of the filter that is not there. BIDS participants without a scan are named in
/// `skipped`.
std::vector<ScanInput> find_scans(const std::filesystem::path& source, const InputFilter& filter,
                                  std::vector<std::string>* skipped = nullptr);

/// The label file of a scan. In `pattern`, {participant_id}, {participant_label} (without "sub-"),
/// {session_id}, {session_label} and {scan_folder} are replaced. Throws UsageError for another
/// placeholder, or for a session where the scan has none; InputError when the file does not exist.
std::filesystem::path labels_of(const ScanInput& input, const std::string& pattern);

/// Throws UsageError for unknown or unclosed placeholders: before any scan is read.
void check_pattern(const std::string& pattern);

}  // namespace epvs::data
