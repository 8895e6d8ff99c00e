#include "data/image/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "core/error.h"
#include "core/files.h"
#include "core/table.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEndings[] = {".nii.gz", ".nii", ".mgz", ".mgh"};

/// "sub-01_run-2_T2w.nii.gz" -> entities, suffix "T2w". Nothing when it is not such a name.
struct BidsName {
  std::map<std::string, std::string> entities;
  std::string suffix;
};

std::optional<BidsName> parse_name(const std::string& file) {
  for (const char* ending : kEndings) {
    if (!file.ends_with(ending)) continue;
    BidsName name;
    for (const std::string& part :
         core::split(file.substr(0, file.size() - std::string(ending).size()), '_')) {
      const std::size_t dash = part.find('-');
      if (dash == std::string::npos) {
        name.suffix = part;
      } else {
        name.entities[part.substr(0, dash)] = part.substr(dash + 1);
      }
    }
    return name;
  }
  return std::nullopt;
}

std::string without(const std::string& text, const std::string& prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

bool same_run(const std::string& a, const std::string& b) {
  const auto x = core::parse_integer(a);
  const auto y = core::parse_integer(b);
  return x && y ? *x == *y : a == b;
}

std::vector<fs::path> folders_in(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && entry.path().filename().string().starts_with(prefix)) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// The scans of one suffix in one anat folder, those of the asked run only.
std::vector<fs::path> scans_in(const fs::path& anat, const std::string& suffix,
                               const std::string& run) {
  std::vector<fs::path> found;
  if (!fs::is_directory(anat)) return found;
  for (const auto& entry : fs::directory_iterator(anat)) {
    const auto name = parse_name(entry.path().filename().string());
    if (!name || name->suffix != suffix) continue;
    const auto of_file = name->entities.find("run");
    if (!run.empty() && of_file != name->entities.end() && !same_run(of_file->second, run))
      continue;
    found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Nothing when the folder has no scan.
std::optional<ScanInput> read_anat(const fs::path& folder, const std::string& participant,
                                   const std::string& session, const InputFilter& filter) {
  ScanInput input;
  input.participant_id = participant;
  input.session_id = session;
  std::vector<fs::path> scans;
  if (filter.suffix != "PDw") scans = scans_in(folder / "anat", "T2w", filter.run);
  if (scans.empty() && filter.suffix != "T2w") {
    scans = scans_in(folder / "anat", "PDw", filter.run);
  }
  if (scans.empty()) return std::nullopt;
  if (scans.size() > 1) {
    throw core::InputError(fmt::format("{} has {} scans to choose from: {} and {}", input.key(),
                                       scans.size(), scans[0].string(), scans[1].string()),
                           "choose one with --run N, or write a table (participant_id, session_id, "
                           "t2w) with the one to use");
  }
  input.scan = scans.front();
  const std::vector<fs::path> t1w = scans_in(folder / "anat", "T1w", filter.run);
  if (t1w.size() == 1) input.t1w = t1w.front();
  return input;
}

std::vector<ScanInput> read_bids(const fs::path& folder, const InputFilter& filter,
                                 std::vector<std::string>* skipped) {
  std::vector<ScanInput> inputs;
  std::vector<std::string> participants;
  std::set<std::string> wanted;
  for (const std::string& label : filter.participants) wanted.insert(without(label, "sub-"));
  std::set<std::string> wanted_sessions;
  for (const std::string& label : filter.sessions) wanted_sessions.insert(without(label, "ses-"));
  for (const fs::path& participant : folders_in(folder, "sub-")) {
    const std::string id = participant.filename().string();
    participants.push_back(id);
    if (!wanted.empty() && !wanted.contains(without(id, "sub-"))) continue;
    const std::size_t before = inputs.size();
    const std::vector<fs::path> sessions = folders_in(participant, "ses-");
    for (const fs::path& session : sessions) {
      const std::string name = session.filename().string();
      if (!wanted_sessions.empty() && !wanted_sessions.contains(without(name, "ses-"))) continue;
      if (auto input = read_anat(session, id, name, filter)) inputs.push_back(*input);
    }
    if (sessions.empty()) {
      if (auto input = read_anat(participant, id, "", filter)) inputs.push_back(*input);
    }
    if (inputs.size() == before && skipped != nullptr) skipped->push_back(id);
  }
  if (participants.empty()) {
    throw core::InputError(fmt::format("{} has no sub-* folder", folder.string()),
                           "give the root of a BIDS dataset, or a table of scans");
  }
  for (const std::string& label : filter.participants) {
    const std::string id = "sub-" + without(label, "sub-");
    if (std::find(participants.begin(), participants.end(), id) == participants.end()) {
      throw core::UsageError(fmt::format("participant '{}' is not in {}{}", label, folder.string(),
                                         core::did_you_mean(id, participants)));
    }
  }
  return inputs;
}

std::vector<ScanInput> read_table(const fs::path& path, const InputFilter& filter) {
  const core::Table table = core::Table::read(path);
  const std::vector<std::string> known = {"participant_id", "session_id", "t2w", "t1w", "labels"};
  const auto cell = [&table](std::size_t row, const std::string& column) -> std::string {
    if (!table.has(column) || table.missing(row, table.index(column))) return {};
    return table.cell(row, column);
  };
  const auto file = [&](std::size_t row, const std::string& column) -> fs::path {
    const std::string text = cell(row, column);
    if (text.empty()) return {};
    const fs::path found =
        fs::path(text).is_absolute() ? fs::path(text) : path.parent_path() / text;
    if (!fs::exists(found)) {
      throw core::InputError(
          fmt::format("{}: {} '{}' does not exist", table.where(row), column, found.string()),
          "paths in a table of scans are relative to the table's folder");
    }
    return found;
  };
  std::vector<ScanInput> inputs;
  const auto asked = [](const std::vector<std::string>& list, const std::string& id,
                        const std::string& prefix) {
    if (list.empty()) return true;
    return std::any_of(list.begin(), list.end(), [&](const std::string& label) {
      return without(label, prefix) == without(id, prefix);
    });
  };
  for (std::size_t row = 0; row < table.rows(); ++row) {
    ScanInput input;
    input.participant_id = table.cell(row, "participant_id");
    input.session_id = cell(row, "session_id");
    if (table.missing(row, table.index("participant_id")) || cell(row, "t2w").empty()) {
      throw core::InputError(
          fmt::format("{}: participant_id and t2w must not be missing", table.where(row)));
    }
    if (!asked(filter.participants, input.participant_id, "sub-")) continue;
    if (!asked(filter.sessions, input.session_id, "ses-")) continue;
    input.scan = file(row, "t2w");
    input.t1w = file(row, "t1w");
    input.labels = file(row, "labels");
    inputs.push_back(input);
  }
  for (const std::string& label : filter.participants) {
    const bool found = std::any_of(inputs.begin(), inputs.end(), [&](const ScanInput& input) {
      return without(input.participant_id, "sub-") == without(label, "sub-");
    });
    if (!found) {
      throw core::UsageError(fmt::format("participant '{}' is not in {}", label, path.string()));
    }
  }
  return inputs;
}

}  // namespace

std::string ScanInput::key() const {
  return session_id.empty() ? participant_id : participant_id + "_" + session_id;
}

std::vector<ScanInput> find_scans(const fs::path& source, const InputFilter& filter,
                                  std::vector<std::string>* skipped) {
  core::require_exists(source, "the BIDS folder or table of scans");
  std::vector<ScanInput> inputs =
      fs::is_directory(source) ? read_bids(source, filter, skipped) : read_table(source, filter);
  if (inputs.empty()) {
    throw core::InputError(
        fmt::format("{} has no scan to prepare", source.string()),
        "BIDS: sub-*/[ses-*/]anat/*_T2w.nii.gz (or PDw); a table: columns participant_id and t2w; "
        "see also --participant-label, --session-label, --run, --suffix");
  }
  std::sort(inputs.begin(), inputs.end(), [](const ScanInput& a, const ScanInput& b) {
    return std::tie(a.participant_id, a.session_id) < std::tie(b.participant_id, b.session_id);
  });
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    if (inputs[i].key() == inputs[i - 1].key()) {
      throw core::InputError(fmt::format("{} is there twice: {} and {}", inputs[i].key(),
                                         inputs[i - 1].scan.string(), inputs[i].scan.string()),
                             "give each scan of a participant its own session_id");
    }
  }
  for (const ScanInput& input : inputs) {
    if (input.key().find('/') != std::string::npos) {
      throw core::InputError(fmt::format("participant_id '{}' has a slash", input.key()),
                             "it names files: use letters, digits, - and _");
    }
  }
  return inputs;
}

namespace {

/// Replaces the placeholders; with no input, only checks them.
std::string expand(const std::string& pattern, const ScanInput* input) {
  const std::vector<std::string> known = {"participant_id", "participant_label", "session_id",
                                          "session_label", "scan_folder"};
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      text += pattern[i];
      continue;
    }
    const std::size_t end = pattern.find('}', i);
    const std::string name =
        end == std::string::npos ? pattern.substr(i + 1) : pattern.substr(i + 1, end - i - 1);
    if (end == std::string::npos || std::find(known.begin(), known.end(), name) == known.end()) {
      throw core::UsageError(fmt::format("--labels '{}': unknown placeholder '{{{}}}'{}", pattern,
                                         name, core::did_you_mean(name, known)));
    }
    i = end;
    if (input == nullptr) continue;
    if (name.starts_with("session") && input->session_id.empty()) {
      throw core::UsageError(fmt::format("--labels '{}' names a session, but {} has none", pattern,
                                         input->participant_id));
    }
    if (name == "participant_id") text += input->participant_id;
    if (name == "participant_label") text += without(input->participant_id, "sub-");
    if (name == "session_id") text += input->session_id;
    if (name == "session_label") text += without(input->session_id, "ses-");
    if (name == "scan_folder") text += input->scan.parent_path().string();
  }
  return text;
}

}  // namespace

void check_pattern(const std::string& pattern) {
  expand(pattern, nullptr);
}

fs::path labels_of(const ScanInput& input, const std::string& pattern) {
  const fs::path path = expand(pattern, &input);
  core::require_exists(path, fmt::format("the label map of {}", input.key()));
  return path;
}

}  // namespace epvs::data
