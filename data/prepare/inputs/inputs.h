// Which scans there are: a BIDS folder, a DICOM folder, or a table of paths.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/table.h"
#include "data/prepare/inputs/bids_filter.h"

namespace epvs::data {

/// One scan to prepare, with what belongs to it.
struct ScanInput {
  std::string participant_id;  ///< BIDS: with "sub-"; a table: as written; DICOM: a folder's name
  std::string session_id;      ///< BIDS: with "ses-"; empty when there is no session
  std::filesystem::path scan;  ///< the T2w or PDw scan in which EPVS are counted; file or folder
  std::string scan_series;     ///< what chooses the series when `scan` is a DICOM folder
  std::filesystem::path t1w;   ///< empty when there is none
  std::string t1w_series;
  std::string t1w_problem;       ///< why there is no T1w scan, where that is known
  std::filesystem::path labels;  ///< from a table; empty when it has no such column or cell

  /// "sub-01" or "sub-01_ses-2": names files and messages.
  std::string key() const;
};

struct InputFilter {
  std::vector<std::string> participants;  ///< with or without "sub-"; empty: all
  std::vector<std::string> sessions;      ///< with or without "ses-"; empty: all
  std::string run;                        ///< "1", "02": of several runs; empty: must be unique
  std::string suffix = "auto";            ///< T2w, PDw or auto: T2w where there is one, else PDw
  BidsFilter bids;                        ///< of --bids-filter-file
  std::string series;      ///< DICOM: id, UID or part of a description; empty: must be unique
  std::string t1w_series;  ///< DICOM: the T1w scan, in the same folder; empty: none
};

/// A folder with sub-*/[ses-*/]anat is read as BIDS (*_T2w.nii[.gz] or .mgz), another one as DICOM
/// when it holds such files: each folder in it is a participant (with folders ses-* as sessions),
/// or it is itself one, when the files lie in it or all folders are of one study. A file is a table
/// with the columns participant_id, t2w or pdw, and optionally session_id, t1w, labels, t2w_series,
/// t1w_series; its paths (files or DICOM folders) are relative to its folder. Sorted by participant
/// and session.
///
/// Throws InputError: no scan at all, several scans for one participant and session (naming both
/// files), a table row twice, a file that does not exist, a folder without DICOM, one study in the
/// folders of two participants. Throws UsageError for a participant or session of the filter that
/// is not there. BIDS participants without a scan are named in `skipped`.
std::vector<ScanInput> find_scans(const std::filesystem::path& source, const InputFilter& filter,
                                  std::vector<std::string>* skipped = nullptr);

/// The series of all DICOM folders among the inputs: participant_id, session_id, series,
/// echo_time_ms, part, modality, description, matrix, spacing_mm, images, problem, uid, folder.
/// Throws InputError when none is a DICOM folder.
core::Table series_table(const std::vector<ScanInput>& inputs);

/// The T1w scan of an input whose labels lie in T1w space. Throws InputError saying why there is
/// none.
const std::filesystem::path& required_t1w(const ScanInput& input);

/// The label file of a scan. In `pattern`, {participant_id}, {participant_label} (without "sub-"),
/// {session_id}, {session_label} and {scan_folder} are replaced. Throws UsageError for another
/// placeholder, or for a session where the scan has none; InputError when the file does not exist.
std::filesystem::path labels_of(const ScanInput& input, const std::string& pattern);

/// Throws UsageError for unknown or unclosed placeholders: before any scan is read.
void check_pattern(const std::string& pattern);

}  // namespace epvs::data
