#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/text.h"
#include "data/prepare/inputs/inputs_sources.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// The scans of one kind in one anat folder, those of the asked run only. `session` counts as an
/// entity of names that lack it.
std::vector<fs::path> scans_in(const fs::path& folder, const std::string& kind,
                               const std::string& suffix, const std::string& session,
                               const InputFilter& filter) {
  std::vector<fs::path> found;
  const fs::path anat = folder / "anat";
  if (!fs::is_directory(anat)) return found;
  for (const auto& entry : fs::directory_iterator(anat)) {
    auto name = BidsName::parse(entry.path().filename().string());
    if (!name) continue;
    if (!session.empty()) name->entities.emplace("ses", without(session, "ses-"));
    if (!filter.bids.fits(kind, suffix, *name)) continue;
    const auto run = name->entities.find("run");
    if (!filter.run.empty() && run != name->entities.end() && !same_index(run->second, filter.run))
      continue;
    found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// The T1w scan of the same session, or of the one that the filter names.
void find_t1w(ScanInput& input, const fs::path& participant, const fs::path& folder,
              const InputFilter& filter) {
  std::vector<fs::path> found;
  if (filter.bids.names("t1w", "ses")) {
    for (const fs::path& session : folders_in(participant, "ses-")) {
      for (const fs::path& scan :
           scans_in(session, "t1w", "T1w", session.filename().string(), filter)) {
        found.push_back(scan);
      }
    }
  } else {
    found = scans_in(folder, "t1w", "T1w", input.session_id, filter);
  }
  if (found.size() == 1) input.t1w = found.front();
  if (found.size() > 1) {
    input.t1w_problem = fmt::format("{} has {} T1w scans to choose from: {} and {}", input.key(),
                                    found.size(), found[0].string(), found[1].string());
  }
}

/// Nothing when the folder has no scan.
std::optional<ScanInput> read_anat(const fs::path& participant, const fs::path& folder,
                                   const std::string& session, const InputFilter& filter) {
  ScanInput input;
  input.participant_id = participant.filename().string();
  input.session_id = session;
  std::vector<fs::path> scans;
  if (filter.suffix != "PDw") scans = scans_in(folder, "t2w", "T2w", session, filter);
  if (scans.empty() && filter.suffix != "T2w") {
    scans = scans_in(folder, "pdw", "PDw", session, filter);
  }
  if (scans.empty()) return std::nullopt;
  if (scans.size() > 1) {
    throw core::InputError(fmt::format("{} has {} scans to choose from: {} and {}", input.key(),
                                       scans.size(), scans[0].string(), scans[1].string()),
                           "choose one with --run N or --bids-filter-file, or write a table "
                           "(participant_id, session_id, t2w) with the one to use");
  }
  input.scan = scans.front();
  find_t1w(input, participant, folder, filter);
  return input;
}

}  // namespace

bool is_bids(const fs::path& folder) {
  if (fs::exists(folder / "dataset_description.json")) return true;
  const auto has_anat = [](const fs::path& place) { return fs::is_directory(place / "anat"); };
  for (const fs::path& participant : folders_in(folder, "sub-")) {
    const std::vector<fs::path> sessions = folders_in(participant, "ses-");
    if (has_anat(participant) || std::any_of(sessions.begin(), sessions.end(), has_anat)) {
      return true;
    }
  }
  return false;
}

std::vector<ScanInput> read_bids(const fs::path& folder, const InputFilter& filter,
                                 std::vector<std::string>* skipped) {
  std::vector<ScanInput> inputs;
  std::vector<std::string> participants;
  for (const fs::path& participant : folders_in(folder, "sub-")) {
    const std::string id = participant.filename().string();
    participants.push_back(id);
    if (!is_asked(filter.participants, id, "sub-")) continue;
    const std::size_t before = inputs.size();
    const std::vector<fs::path> sessions = folders_in(participant, "ses-");
    for (const fs::path& session : sessions) {
      const std::string name = session.filename().string();
      if (!is_asked(filter.sessions, name, "ses-")) continue;
      if (auto input = read_anat(participant, session, name, filter)) inputs.push_back(*input);
    }
    if (sessions.empty()) {
      if (auto input = read_anat(participant, participant, "", filter)) inputs.push_back(*input);
    }
    if (inputs.size() == before && skipped != nullptr) skipped->push_back(id);
  }
  if (participants.empty()) {
    throw core::InputError(
        fmt::format("{} has no sub-* folder and no DICOM file", folder.string()),
        "give the root of a BIDS dataset, a folder of DICOM series, or a table of scans");
  }
  require_participants(filter, participants, folder);
  return inputs;
}

}  // namespace epvs::data
