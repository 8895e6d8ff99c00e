// The kinds of sources of find_scans (inputs.h), one file each.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "data/prepare/inputs/inputs.h"

namespace epvs::data {

inline std::string without(const std::string& text, const std::string& prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

/// Whether a label is asked for; prefixes do not matter, an empty list asks for all.
inline bool is_asked(const std::vector<std::string>& list, const std::string& id,
                     const std::string& prefix) {
  return list.empty() || std::any_of(list.begin(), list.end(), [&](const std::string& label) {
           return without(label, prefix) == without(id, prefix);
         });
}

/// Throws UsageError naming the nearest when a participant of the filter is not there.
void require_participants(const InputFilter& filter, const std::vector<std::string>& there,
                          const std::filesystem::path& source);

/// Folders in a folder whose names begin with `prefix`, sorted.
std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder,
                                              const std::string& prefix);

/// Throws InputError naming dcm2niix when there is a DICOM file anywhere in the folder.
void refuse_dicom(const std::filesystem::path& folder);

bool is_bids(const std::filesystem::path& folder);
std::vector<ScanInput> read_bids(const std::filesystem::path& folder, const InputFilter& filter,
                                 std::vector<std::string>* skipped);
std::vector<ScanInput> read_scan_table(const std::filesystem::path& path,
                                       const InputFilter& filter);

}  // namespace epvs::data
