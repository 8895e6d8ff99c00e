// Which scans there are: a BIDS folder or a table of paths.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/command.h"
#include "core/enum_names.h"

namespace epvs::data {

/// One scan to prepare, with what belongs to it.
struct ScanInput {
  std::string participant_id;    ///< BIDS: with "sub-"; a table: as written
  std::string session_id;        ///< BIDS: with "ses-"; empty when there is no session
  std::filesystem::path scan;    ///< the T2w or PDw scan in which EPVS are counted
  std::filesystem::path t1w;     ///< empty when there is none
  std::string t1w_problem;       ///< why there is no T1w scan, where that is known
  std::filesystem::path labels;  ///< from a table; empty when it has no such column or cell

  /// "sub-01" or "sub-01_ses-2": names files and messages.
  std::string key() const;
};

/// Which contrast is counted in; auto: T2w where there is one, else PDw.
enum class ScanSuffix { kAuto, kT2w, kPdw };
constexpr auto names_of(ScanSuffix) {
  return std::to_array<core::EnumName<ScanSuffix>>(
      {{ScanSuffix::kAuto, "auto"}, {ScanSuffix::kT2w, "T2w"}, {ScanSuffix::kPdw, "PDw"}});
}

struct InputFilter {
  std::vector<std::string> participants;  ///< with or without "sub-"; empty: all
  std::vector<std::string> sessions;      ///< with or without "ses-"; empty: all
  std::string run;                        ///< "1", "02": of several runs; empty: must be unique
  ScanSuffix suffix = ScanSuffix::kAuto;

  /// All but the suffix as command-line options.
  void declare(core::CommandLine& line);
};

/// A folder is read as BIDS: sub-*/[ses-*/]anat/*_T2w.nii[.gz] or .mgz. A file is a table with the
/// columns participant_id, t2w or pdw, and optionally session_id, t1w, labels; its paths are
/// relative to its folder. Sorted by participant and session.
///
/// Throws InputError: no scan at all (naming dcm2niix where the folder holds DICOM), several scans
/// for one participant and session (naming both files), a table row twice, a file that does not
/// exist. Throws UsageError for a participant of the filter that is not there. BIDS participants
/// without a scan are named in `skipped`.
std::vector<ScanInput> find_scans(const std::filesystem::path& source, const InputFilter& filter,
                                  std::vector<std::string>* skipped = nullptr);

/// The T1w scan of an input whose labels lie in T1w space. Throws InputError saying why there is
/// none.
const std::filesystem::path& required_t1w(const ScanInput& input);

/// The label file of a scan. In `pattern`, {participant_id}, {participant_label} (without "sub-"),
/// {session_id}, {session_label} and {scan_folder} are replaced. Throws UsageError for another
/// placeholder, or for a session where the scan has none; InputError when the file does not exist.
std::filesystem::path labels_of(const ScanInput& input, const std::string& pattern);

/// The label map of a scan: that of its table, else by the pattern.
std::filesystem::path label_file(const ScanInput& input, const std::string& pattern);

/// Throws UsageError for unknown or unclosed placeholders: before any scan is read.
void check_pattern(const std::string& pattern);

}  // namespace epvs::data
