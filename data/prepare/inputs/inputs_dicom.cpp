#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "data/prepare/inputs/dicom_series.h"
#include "data/prepare/inputs/inputs_sources.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// "out/dicom/" -> "dicom"; "." -> the name of the folder.
std::string folder_name(const fs::path& folder) {
  fs::path path = fs::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

bool has_dicom_file(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && !entry.path().filename().string().starts_with('.') &&
        looks_like_dicom(entry.path())) {
      return true;
    }
  }
  return false;
}

/// Where the participants are: the folders of `root` that hold DICOM, or `root` itself.
std::vector<fs::path> participant_folders(const fs::path& root) {
  if (has_dicom_file(root)) return {root};
  std::vector<fs::path> folders;
  std::map<std::string, std::vector<fs::path>> by_study;
  for (const fs::path& folder : folders_in(root, "")) {
    if (folder.filename().string().starts_with('.') || !holds_dicom(folder)) continue;
    folders.push_back(folder);
    for (const std::string& study : dicom_studies(folder)) by_study[study].push_back(folder);
  }
  const auto shared = std::find_if(by_study.begin(), by_study.end(),
                                   [](const auto& study) { return study.second.size() > 1; });
  if (shared == by_study.end()) return folders;
  if (by_study.size() == 1 && shared->second.size() == folders.size()) return {root};
  throw core::InputError(
      fmt::format("{} and {} hold the same study, so they cannot be two participants",
                  shared->second[0].string(), shared->second[1].string()),
      "lay the series of one participant into one folder PARTICIPANT/ or PARTICIPANT/ses-LABEL/, "
      "or write a table of scans");
}

ScanInput input_of(const std::string& participant, const std::string& session,
                   const fs::path& folder, const InputFilter& filter) {
  ScanInput input;
  input.participant_id = participant;
  input.session_id = session;
  input.scan = folder;
  input.scan_series = filter.series;
  if (!filter.t1w_series.empty()) {
    input.t1w = folder;
    input.t1w_series = filter.t1w_series;
  } else {
    input.t1w_problem = fmt::format(
        "{}: nothing says which DICOM series is the T1w scan, in whose space its labels are",
        input.key());
  }
  return input;
}

}  // namespace

std::vector<ScanInput> read_dicom_folders(const fs::path& root, const InputFilter& filter) {
  std::vector<ScanInput> inputs;
  std::vector<std::string> participants;
  for (const fs::path& folder : participant_folders(root)) {
    const std::string id = folder_name(folder);
    participants.push_back(id);
    if (!is_asked(filter.participants, id, "sub-")) continue;
    std::vector<fs::path> sessions;
    for (const fs::path& session : folders_in(folder, "ses-")) {
      if (holds_dicom(session)) sessions.push_back(session);
    }
    for (const fs::path& session : sessions) {
      const std::string name = session.filename().string();
      if (!is_asked(filter.sessions, name, "ses-")) continue;
      inputs.push_back(input_of(id, name, session, filter));
    }
    if (sessions.empty()) inputs.push_back(input_of(id, "", folder, filter));
  }
  require_participants(filter, participants, root);
  return inputs;
}

core::Table series_table(const std::vector<ScanInput>& inputs) {
  core::Table table({"participant_id", "session_id", "series", "echo_time_ms", "part", "modality",
                     "description", "matrix", "spacing_mm", "images", "problem", "uid", "folder"});
  for (const ScanInput& input : inputs) {
    std::set<fs::path> folders;
    for (const fs::path& path : {input.scan, input.t1w}) {
      if (fs::is_directory(path)) folders.insert(path);
    }
    for (const fs::path& path : folders) {
      const DicomFolder folder = list_dicom(path);
      for (const DicomSeries& series : folder.series) {
        table.add_row({input.participant_id, input.session_id, series.id,
                       core::format_number(series.echo_time_ms),
                       series.part.empty() ? "magnitude" : series.part, series.modality,
                       series.description, series.matrix(), series.spacing(),
                       std::to_string(series.slices.size()), series.problem, series.uid,
                       path.string()});
      }
      for (const std::string& damaged : folder.damaged) {
        table.add_row({input.participant_id, input.session_id, "", "", "", "", "", "", "", "",
                       "damaged or cut off: " + damaged, "", path.string()});
      }
    }
  }
  if (table.rows() == 0) {
    throw core::InputError("there is no DICOM folder whose series could be listed",
                           "--list-series shows what is in DICOM folders");
  }
  return table;
}

}  // namespace epvs::data
