#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/error.h"
#include "core/text.h"
#include "data/prepare/inputs/inputs_sources.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// The value of an entity in a name such as "sub-01_run-2_T2w.nii.gz"; nothing without it.
std::optional<std::string> entity(const std::string& name, const std::string& key) {
  for (const std::string& part : core::split(name, '_')) {
    if (part.starts_with(key + "-")) return part.substr(key.size() + 1);
  }
  return std::nullopt;
}

/// "01" and "1" name the same run.
bool same_run(const std::string& a, const std::string& b) {
  const auto x = core::parse_integer(a);
  const auto y = core::parse_integer(b);
  return x && y ? *x == *y : a == b;
}

/// The scans of one suffix (T2w, PDw, T1w) in the folder anat, of the asked run where there are
/// runs.
std::vector<fs::path> scans_in(const fs::path& folder, const std::string& suffix,
                               const InputFilter& filter) {
  std::vector<fs::path> found;
  const fs::path anat = folder / "anat";
  if (!fs::is_directory(anat)) return found;
  constexpr std::array<const char*, 4> kEndings = {".nii.gz", ".nii", ".mgz", ".mgh"};
  for (const auto& entry : fs::directory_iterator(anat)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    if (std::none_of(kEndings.begin(), kEndings.end(),
                     [&](const char* ending) { return name.ends_with("_" + suffix + ending); })) {
      continue;
    }
    const auto run = entity(name, "run");
    if (!filter.run.empty() && run && !same_run(*run, filter.run)) continue;
    found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Nothing when the folder of a participant or session has no scan.
std::optional<ScanInput> read_anat(const std::string& participant, const fs::path& folder,
                                   const std::string& session, const InputFilter& filter) {
  ScanInput input;
  input.participant_id = participant;
  input.session_id = session;
  std::vector<fs::path> scans;
  if (filter.suffix != ScanSuffix::kPdw) scans = scans_in(folder, "T2w", filter);
  if (scans.empty() && filter.suffix != ScanSuffix::kT2w) scans = scans_in(folder, "PDw", filter);
  if (scans.empty()) return std::nullopt;
  if (scans.size() > 1) {
    throw core::InputError(fmt::format("{} has {} scans to choose from: {} and {}", input.key(),
                                       scans.size(), scans[0].string(), scans[1].string()),
                           "choose one with --run N, or write a table (participant_id, "
                           "session_id, t2w) with the one to use");
  }
  input.scan = scans.front();
  const std::vector<fs::path> t1w = scans_in(folder, "T1w", filter);
  if (t1w.size() == 1) input.t1w = t1w.front();
  if (t1w.size() > 1) {
    input.t1w_problem = fmt::format("{} has {} T1w scans to choose from: {} and {}", input.key(),
                                    t1w.size(), t1w[0].string(), t1w[1].string());
  }
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
      if (auto input = read_anat(id, session, name, filter)) inputs.push_back(*input);
    }
    if (sessions.empty()) {
      if (auto input = read_anat(id, participant, "", filter)) inputs.push_back(*input);
    }
    if (inputs.size() == before && skipped != nullptr) skipped->push_back(id);
  }
  if (participants.empty()) {
    throw core::InputError(fmt::format("{} has no sub-* folder", folder.string()),
                           "give the root of a BIDS dataset, or a table of scans");
  }
  require_participants(filter, participants, folder);
  return inputs;
}

}  // namespace epvs::data
