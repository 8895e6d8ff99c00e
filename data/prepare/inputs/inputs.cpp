#include "data/prepare/inputs/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <string_view>
#include <tuple>

#include "core/error.h"
#include "core/files.h"
#include "core/table.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

std::string without(const std::string& text, const std::string& prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

/// Whether a label is asked for; prefixes do not matter, an empty list asks for all.
bool is_asked(const std::vector<std::string>& list, const std::string& id,
              const std::string& prefix) {
  return list.empty() || std::any_of(list.begin(), list.end(), [&](const std::string& label) {
           return without(label, prefix) == without(id, prefix);
         });
}

/// Folders in a folder whose names begin with `prefix`, sorted.
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

/// Throws InputError naming dcm2niix when there is a DICOM file anywhere in the folder.
void refuse_dicom(const fs::path& folder) {
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::end(entry); ++entry) {
    if (!entry->is_regular_file()) continue;
    std::ifstream file(entry->path(), std::ios::binary);
    std::array<char, 132> start{};
    file.read(start.data(), start.size());
    if (!file || std::string_view(start.data() + 128, 4) != "DICM") continue;
    throw core::InputError(
        fmt::format("{} holds DICOM files ({})", folder.string(), entry->path().string()),
        "convert them to NIfTI first, for example: dcm2niix -z y -f %i_%p -o OUT " +
            folder.string());
  }
}

/// Throws UsageError naming the nearest when a participant of the filter is not there.
void require_participants(const InputFilter& filter, const std::vector<std::string>& there,
                          const fs::path& source) {
  for (const std::string& label : filter.participants) {
    if (std::any_of(there.begin(), there.end(), [&](const std::string& id) {
          return without(id, "sub-") == without(label, "sub-");
        })) {
      continue;
    }
    throw core::UsageError(fmt::format("participant '{}' is not in {}{}", label, source.string(),
                                       core::did_you_mean(label, there)));
  }
}

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

/// One row after another, with the table at hand for messages.
class Rows {
 public:
  explicit Rows(const fs::path& path) : path_(path), table_(core::Table::read(path)) {
    const std::vector<std::string> known = {"participant_id", "session_id", "t2w", "pdw", "t1w",
                                            "labels"};
    for (const std::string& column : table_.columns()) {
      const auto near = core::nearest(column, known);
      if (!near || column == *near || table_.has(*near)) continue;
      throw core::InputError(
          fmt::format("{}: unknown column '{}' (did you mean '{}'?)", path.string(), column, *near),
          "columns of other names than the known ones are left alone: " + core::join(known, ", "));
    }
  }

  const core::Table& table() const { return table_; }
  std::string cell(std::size_t row, const std::string& column) const {
    if (!table_.has(column) || table_.missing(row, table_.index(column))) return {};
    return table_.cell(row, column);
  }
  /// A file; empty where the cell is.
  fs::path image(std::size_t row, const std::string& column) const {
    const std::string text = cell(row, column);
    if (text.empty()) return {};
    fs::path found = fs::path(text).is_absolute() ? fs::path(text) : path_.parent_path() / text;
    if (!fs::exists(found)) {
      throw core::InputError(
          fmt::format("{}: {} '{}' does not exist", table_.where(row), column, found.string()),
          "paths in a table of scans are relative to the table's folder");
    }
    if (fs::is_directory(found)) {
      refuse_dicom(found);
      throw core::InputError(
          fmt::format("{}: {} '{}' is a folder", table_.where(row), column, found.string()),
          "give an image file");
    }
    return found;
  }

 private:
  fs::path path_;
  core::Table table_;
};

/// t2w, or pdw where that is what is asked for or all there is.
std::string scan_column(const Rows& rows, std::size_t row, ScanSuffix suffix) {
  if (suffix != ScanSuffix::kT2w && (suffix == ScanSuffix::kPdw || rows.cell(row, "t2w").empty())) {
    if (!rows.cell(row, "pdw").empty()) return "pdw";
  }
  return suffix == ScanSuffix::kPdw && rows.table().has("pdw") ? "pdw" : "t2w";
}

std::vector<ScanInput> read_scan_table(const fs::path& path, const InputFilter& filter) {
  const Rows rows(path);
  const core::Table& table = rows.table();
  if (!table.has("pdw")) table.index("t2w");
  std::vector<ScanInput> inputs;
  std::vector<std::string> participants;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    ScanInput input;
    input.participant_id = table.cell(row, "participant_id");
    input.session_id = rows.cell(row, "session_id");
    const std::string column = scan_column(rows, row, filter.suffix);
    if (table.missing(row, table.index("participant_id")) || rows.cell(row, column).empty()) {
      throw core::InputError(
          fmt::format("{}: participant_id and {} must not be missing", table.where(row), column),
          "leave the row out, or give the scan in the column t2w or pdw (see --suffix)");
    }
    participants.push_back(input.participant_id);
    if (!is_asked(filter.participants, input.participant_id, "sub-")) continue;
    if (!is_asked(filter.sessions, input.session_id, "ses-")) continue;
    input.scan = rows.image(row, column);
    input.t1w = rows.image(row, "t1w");
    input.labels = rows.image(row, "labels");
    inputs.push_back(input);
  }
  require_participants(filter, participants, path);
  return inputs;
}

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

std::string ScanInput::key() const {
  return session_id.empty() ? participant_id : participant_id + "_" + session_id;
}

void InputFilter::declare(core::CommandLine& line) {
  line.option("--participant-label", &participants, "only these, with or without sub-");
  line.option("--session-label", &sessions, "only these, with or without ses-");
  line.option("--run", &run, "the run to take where a session has several").unit("N");
}

std::vector<ScanInput> find_scans(const fs::path& source, const InputFilter& filter,
                                  std::vector<std::string>* skipped) {
  core::require_exists(source, "the folder or table of scans");
  std::vector<ScanInput> inputs;
  if (fs::is_directory(source)) {
    if (!is_bids(source)) refuse_dicom(source);
    inputs = read_bids(source, filter, skipped);
  } else {
    inputs = read_scan_table(source, filter);
  }
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

const fs::path& required_t1w(const ScanInput& input) {
  if (!input.t1w.empty()) return input.t1w;
  throw core::InputError(
      input.t1w_problem.empty()
          ? fmt::format("{} has no T1w scan, but its labels are in T1w space", input.key())
          : input.t1w_problem,
      "add the T1w scan or choose one (--run, or a table of scans), or give labels in the space of the T2w scan");
}

void check_pattern(const std::string& pattern) {
  expand(pattern, nullptr);
}

fs::path label_file(const ScanInput& input, const std::string& pattern) {
  return input.labels.empty() ? labels_of(input, pattern) : input.labels;
}

fs::path labels_of(const ScanInput& input, const std::string& pattern) {
  fs::path path = expand(pattern, &input);
  core::require_exists(path, fmt::format("the label map of {}", input.key()));
  return path;
}

}  // namespace epvs::data
